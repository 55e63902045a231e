"""Measurements as rows of steps: something is done to the cells, once and only once, then something is looked at."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from firmware_specs.codes import Capability
from hil.measuring.characterize.probe import Probe

Array = NDArray[np.float64]
Record = dict[str, Array]


@dataclass(frozen=True)
class Mark:
    """Where the device stood before a deed.

    Attributes:
        pulses: Writes and pulses of all cells together; 0 where the device does not count them.
        clock_s: Its clock.
    """

    pulses: int
    clock_s: float

    @classmethod
    def of(cls, probe: Probe) -> Mark:
        """The device's present mark."""
        counted = probe.pulses_taken().sum() if probe.can(Capability.USAGE) else 0
        return cls(int(counted), probe.clock_s())


class Deed(Protocol):
    """Something that must not happen twice."""

    def apply(self, probe: Probe) -> None:
        """Does it."""

    def happened(self, before: Mark, now: Mark) -> bool:
        """Was it done between two marks? Asked after a run was cut off in the middle of it."""

    @property
    def cost(self) -> int:
        """Pulses a cell takes of it."""

    @property
    def plane(self) -> int | None:
        """The plane that takes them; None: all."""


@dataclass(frozen=True)
class Write:
    """Writes levels, (planes, rows, columns) or one for all; `balanced` ones opposite stuck cells, too."""

    levels: Array | float
    cost: int = 1
    plane: None = None
    balanced: bool = False

    def apply(self, probe: Probe) -> None:
        """One programming transaction."""
        probe.write(probe.balanced(self.levels) if self.balanced else self.levels)

    def happened(self, before: Mark, now: Mark) -> bool:
        """Writing the same levels once more does no harm to what is measured, half a write would: write again."""
        return False


@dataclass(frozen=True)
class Pulses:
    """Pulses to every cell of one plane: one transaction, which a device does as a whole or not at all."""

    plane: int
    up: bool
    count: int
    amplitude_v: float
    width_s: float

    @property
    def cost(self) -> int:
        """Pulses a cell takes."""
        return self.count

    def apply(self, probe: Probe) -> None:
        """One transaction."""
        probe.pulse(self.plane, self.up, self.count, self.amplitude_v, self.width_s)

    def happened(self, before: Mark, now: Mark) -> bool:
        """The device counts pulses: more than before means that they were delivered."""
        return now.pulses > before.pulses


@dataclass(frozen=True)
class Wait:
    """Lets time pass."""

    seconds: float
    cost: int = 0
    plane: None = None

    def apply(self, probe: Probe) -> None:
        """On the device's clock."""
        probe.wait(self.seconds)

    def happened(self, before: Mark, now: Mark) -> bool:
        """The clock says."""
        return now.clock_s >= before.clock_s + self.seconds


@dataclass(frozen=True)
class Temperature:
    """Sets the chip's temperature."""

    kelvin: float
    cost: int = 0
    plane: None = None

    def apply(self, probe: Probe) -> None:
        """At once on an emulator; a real stage is waited for by whoever drives it."""
        probe.set_temperature(self.kelvin)

    def happened(self, before: Mark, now: Mark) -> bool:
        """Setting it once more does no harm."""
        return False


@dataclass(frozen=True)
class Step:
    """One step of a measurement.

    Attributes:
        look: Reads from the device; every step of a measurement gives the same variables in the same shapes.
        deeds: Done before looking, in order.
        at: Coordinates of the step, e.g. the target level or the time.
    """

    look: Callable[[Probe], Record]
    deeds: tuple[Deed, ...] = ()
    at: Mapping[str, float] = field(default_factory=dict)
