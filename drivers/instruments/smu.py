"""One channel of a source-measure unit: what may be done when, whatever the dialect."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from drivers.errors import OutOfRange
from drivers.instruments.readback import confirm
from drivers.roles import Measured

Source = Literal["volts", "amps"]


class SmuChannel:
    """A `SourceMeasure`; a driver adds the commands: `_configure`, `_send_level`, `_switch`, `is_on`, `_read`.

    Function, ranges and compliance change only while the output is off; it goes on only at level 0 and with a
    compliance that was read back.

    Args:
        name: Terminal, as the rack names it.
        line_hz: Mains frequency, for deadlines.
        conversions: Integrations of one reading at most.

    Attributes:
        source: What is sourced; None until a compliance was read back.
        on: Output relay.
        level: Present set-point.
        measure_s: How long a reading may take.
    """

    def __init__(self, name: str, line_hz: float, conversions: int) -> None:
        self.name = name
        self.source: Source | None = None
        self.on = False
        self.level = 0.0
        self.measure_s = 1.0
        self._conversion_s = conversions / line_hz

    def forget(self) -> None:
        """After a reset: nothing is configured."""
        self.source, self.on, self.level = None, False, 0.0

    def source_volts(self, *, range_v: float, limit_a: float, measure_a: float, nplc: float) -> None:
        """Volts in a fixed range, compliance and current range read back, at 0 V."""
        self._prepare("volts", range_v, limit_a, measure_a, nplc)

    def source_amps(self, *, range_a: float, limit_v: float, nplc: float) -> None:
        """Amperes in a fixed range, compliance read back, at 0 A."""
        self._prepare("amps", range_a, limit_v, limit_v, nplc)

    def set_level(self, level: float) -> None:
        """Volts or amperes, as configured."""
        if self.source is None:
            raise OutOfRange("the channel is not configured", device=self.name)
        self._send_level(self.source, level)
        self.level = level

    def output(self, on: bool) -> None:
        """Output relay, read back."""
        if on and self.source is None:
            raise OutOfRange("no compliance has been set and read back: the output stays off", device=self.name)
        if on and self.level != 0.0:
            raise OutOfRange(f"the level is {self.level:g}, an output goes on at 0 and is ramped", device=self.name)
        self._switch(on)
        self.on = self.is_on()
        confirm("the output", on, self.on, self.name)

    def measure(self) -> Measured:
        """One reading; refused while the output is off, when it means nothing."""
        self._needs_output()
        return self._read()

    def pulse(self, level_v: float, width_s: float, count: int) -> None:
        """Refused: software cannot time a pulse, and the box has no pulse function."""
        raise OutOfRange(f"{type(self).__name__} does not time pulses; force with a 2600B or a B2900", device=self.name)

    def sweep(self, levels: Sequence[float]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """A staircase, set and measured point by point; 0 at the end, whatever happens."""
        amps = []
        try:
            for level in levels:
                self.set_level(level)
                amps.append(self.measure().amps)
        finally:
            self.set_level(0.0)
        return np.asarray(levels, dtype=np.float64), np.asarray(amps, dtype=np.float64)

    def is_on(self) -> bool:
        """Output relay, asked of the box."""
        raise NotImplementedError

    def _prepare(self, source: Source, full: float, limit: float, measured: float, nplc: float) -> None:
        if self.on:
            raise OutOfRange(
                "the output is on: function, ranges and compliance change only while it is off", device=self.name
            )
        self.source = None
        self._configure(source, full, limit, measured, nplc)
        self.source, self.level = source, 0.0
        self.measure_s = 1.0 + nplc * self._conversion_s

    def _needs_output(self, source: Source | None = None) -> None:
        if not self.on:
            raise OutOfRange("the output is off: nothing to measure", device=self.name)
        if source not in (None, self.source):
            raise OutOfRange(f"the channel sources {self.source}, {source} are needed", device=self.name)

    def _configure(self, source: Source, full: float, limit: float, measured: float, nplc: float) -> None:
        """Function, source range, level 0, compliance, measurement range, integration; each read back."""
        raise NotImplementedError

    def _send_level(self, source: Source, level: float) -> None:
        raise NotImplementedError

    def _switch(self, on: bool) -> None:
        raise NotImplementedError

    def _read(self) -> Measured:
        raise NotImplementedError
