"""What a rack needs of its instruments, in SI units; any class with these methods plays the part.

Every instrument refuses what would be unsafe by itself: an output that has no compliance yet does not go on, a
set-point beyond the fence does not reach the wire, a reading that is a sentinel raises.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Measured:
    """One reading of a source-measure unit.

    Attributes:
        volts: Voltage at the terminal.
        amps: Current out of the terminal.
        limited: True where the compliance held the output back.
    """

    volts: float
    amps: float
    limited: bool


class Box(Protocol):
    """Any instrument."""

    name: str

    def identity(self) -> str:
        """Asks who it is."""

    def reset(self) -> None:
        """Known state, outputs off, relays open, error queue empty; returns when it is reached."""

    def errors(self) -> list[str]:
        """Empties the error queue."""

    def safe(self) -> None:
        """Outputs off and relays open at once, whatever the state; sends even when earlier answers are missing."""

    def close(self) -> None:
        """Ends the session; sends nothing."""


class SourceMeasure(Protocol):
    """One channel of a source-measure unit, two-wire, LO on the common ground."""

    name: str

    def source_volts(self, *, range_v: float, limit_a: float, measure_a: float, nplc: float) -> None:
        """Output off; source volts in a fixed range, compliance set and read back, level 0, fixed current range."""

    def source_amps(self, *, range_a: float, limit_v: float, nplc: float) -> None:
        """Output off; source current in a fixed range, voltage compliance set and read back, level 0."""

    def set_level(self, level: float) -> None:
        """Volts or amperes, as configured."""

    def output(self, on: bool) -> None:
        """Output relay; on only with a compliance that was read back."""

    def measure(self) -> Measured:
        """One reading at the configured integration."""

    def pulse(self, level_v: float, width_s: float, count: int) -> None:
        """Square pulses from 0 V, timed by the instrument, at least one width apart.

        Raises:
            OutOfRange: the instrument cannot time a pulse.
        """

    def sweep(self, levels: Sequence[float]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Levels and currents (n,), (n,) of a staircase of set-points, ending at 0."""


class SwitchMatrix(Protocol):
    """Relays, named as the box writes them."""

    name: str

    def close_channels(self, channels: Sequence[str]) -> None:
        """Closes relays and returns when they have settled."""

    def open_channels(self, channels: Sequence[str]) -> None:
        """Opens relays and returns when they have settled."""

    def closed(self) -> frozenset[str]:
        """What is closed, read back from the box."""

    def open_all(self) -> None:
        """Opens everything."""


class Voltmeter(Protocol):
    """A meter of voltages against ground."""

    name: str

    def configure(self, *, range_v: float, nplc: float) -> None:
        """Fixed range, integration, no autozero between readings."""

    def measure(self) -> float:
        """One reading, volts."""


class Scanner(Protocol):
    """A meter behind a multiplexer."""

    name: str

    def scan(self, channels: Sequence[str]) -> NDArray[np.float64]:
        """One reading a channel, volts, in the order asked."""


class VoltageSource(Protocol):
    """A bank of voltage outputs."""

    name: str

    def set_volts(self, volts: Mapping[str, float]) -> None:
        """Sets outputs, by channel."""

    def outputs(self, channels: Sequence[str], on: bool) -> None:
        """Connects or disconnects outputs; on only at a level that was set."""


class TemperatureStage(Protocol):
    """What heats or cools the crossbar."""

    name: str

    def set_temperature(self, kelvin: float) -> None:
        """Set-point, read back; returns at once."""

    def temperature(self) -> float:
        """Of the stage, kelvin."""


class Clock(Protocol):
    """What time it is on the bench, and waiting."""

    def now_s(self) -> float:
        """Seconds since some origin."""

    def wait(self, seconds: float) -> None:
        """Waits."""
