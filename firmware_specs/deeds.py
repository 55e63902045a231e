"""What a device did, as a ledger counts it: the same words and the same arithmetic on both sides of a wire.

The emulated chip counts what it did, a driver counts what the device confirmed; the two are compared (`hil ledger`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from operator import attrgetter

import numpy as np
from numpy.typing import NDArray

from firmware_specs.messages import Measure, Product, Pulse, ReadCells, Settle, Train, Update, WriteCells

Numbers = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Deeds:
    """Counts of what was done; whole numbers but for seconds and joules.

    Attributes:
        free: Free phases settled, one a sample.
        nudged: Nudged phases settled, one a sample and nudge.
        dac: Values converted to currents or voltages.
        adc: States, currents of sources, and lines of products converted to codes, every reading counted.
        products: Samples multiplied by one plane of one array.
        reads: Readings of single cells.
        pulses_up: Programming pulses towards the largest conductance.
        pulses_down: Programming pulses towards the smallest.
        written: Cells written to a target.
        write_pulses: Writes that took; more than `written` where the device verifies.
        device_s: Time all of it takes by what the device states, seconds.
        array_j: What settling dissipated in the cells, joules, where it can be known.
        free_s, nudged_s: Seconds of `device_s` that were free and nudged phases.
        free_j, nudged_j: Joules of `array_j` that were of free and nudged phases.

    Files of counts hold these in this order: what is new goes behind.
    """

    free: float = 0
    nudged: float = 0
    dac: float = 0
    adc: float = 0
    products: float = 0
    reads: float = 0
    pulses_up: float = 0
    pulses_down: float = 0
    written: float = 0
    write_pulses: float = 0
    device_s: float = 0.0
    array_j: float = 0.0
    free_s: float = 0.0
    nudged_s: float = 0.0
    free_j: float = 0.0
    nudged_j: float = 0.0

    def __add__(self, other: Deeds) -> Deeds:
        return Deeds(*(a + b for a, b in zip(self.numbers(), other.numbers(), strict=True)))

    def __sub__(self, other: Deeds) -> Deeds:
        return Deeds(*(a - b for a, b in zip(self.numbers(), other.numbers(), strict=True)))

    def times(self, count: int) -> Deeds:
        """So many times the same."""
        return Deeds(*(a * count for a in self.numbers()))

    def numbers(self) -> tuple[float, ...]:
        """In the order of `FIELDS`."""
        return _numbers(self)

    def document(self) -> dict[str, float]:
        """As JSON values, whole numbers as such."""
        pairs = zip(FIELDS, self.numbers(), strict=True)
        return {name: value if name in REALS else round(value) for name, value in pairs}


FIELDS = tuple(field.name for field in fields(Deeds))
_numbers: Callable[[Deeds], tuple[float, ...]] = attrgetter(*FIELDS)
REALS = ("device_s", "array_j", "free_s", "nudged_s", "free_j", "nudged_j")
"""Fields that are no counts."""
NOTHING = Deeds()


class Tally:
    """Adds up deeds, and tells others of each."""

    def __init__(self) -> None:
        self.told: list[Callable[[Deeds], None]] = []
        self._sums: Numbers = np.zeros(len(FIELDS))

    @property
    def total(self) -> Deeds:
        """All so far."""
        return Deeds(*self._sums.tolist())

    def add(self, deeds: Deeds) -> None:
        """One more thing was done."""
        self._sums += deeds.numbers()
        for tell in self.told:
            tell(deeds)


def settled(samples: int, nudges: int, driven: int, nudged: int, read: int, reads: int, seconds: float = 0.0) -> Deeds:
    """A settle.

    Args:
        samples: Of the batch.
        nudges: Nudged phases.
        driven: Values of the drive, a sample.
        nudged: Values of one nudge, a sample.
        read: Values that are read, a sample and phase.
        reads: Conversions of each.
        seconds: What it takes, all samples together, every phase as long.
    """
    return Deeds(
        free=samples,
        nudged=samples * nudges,
        dac=samples * (driven + nudges * nudged),
        adc=samples * (1 + nudges) * read * reads,
        device_s=seconds,
        free_s=seconds / (1 + nudges),
        nudged_s=seconds * nudges / (1 + nudges),
    )


def updated(samples: int, nudges: int, driven: int, nudged: int, cells: int, seconds: float) -> Deeds:
    """An update by the device itself: phases as of `settled`, none of them read, and one write of every cell.

    What of its seconds are phases and what the writing is not told apart.
    """
    phases = settled(samples, nudges, driven, nudged, 0, 1)
    return phases + Deeds(write_pulses=cells, device_s=seconds)


def of_update(request: Update, cells: int, seconds: float) -> Deeds:
    """Of an UPDATE on an array of so many cells."""
    nudged = request.nudges[0].shape[1] if request.nudges else 0
    return updated(len(request.drive), len(request.nudges), request.drive.shape[1], nudged, cells, seconds)


def of_settle(request: Settle, read: int, seconds: float) -> Deeds:
    """Of a SETTLE that reads so many values of a sample and phase."""
    nudged = request.nudges[0].shape[1] if request.nudges else 0
    samples, driven = request.drive.shape
    return settled(samples, len(request.nudges), driven, nudged, read, request.reads, seconds)


def of_product(request: Product, lines: int, seconds: float) -> Deeds:
    """Of a PRODUCT on so many read lines."""
    samples, driven = request.inputs.shape
    return Deeds(products=samples, dac=samples * driven, adc=samples * lines * request.reads, device_s=seconds)


def of_read(request: ReadCells | Measure, seconds: float) -> Deeds:
    """Of READ_CELLS or MEASURE."""
    volts = len(request.volts) if isinstance(request, Measure) else 1
    return Deeds(reads=request.region.cells * request.reads * volts, device_s=seconds)


def of_pulse(request: Pulse, pulses: int, seconds: float) -> Deeds:
    """Of a PULSE with so many pulses in all."""
    if request.up:
        return Deeds(pulses_up=pulses, device_s=seconds)
    return Deeds(pulses_down=pulses, device_s=seconds)


def coincided(trains: Sequence[Train], slot_s: float) -> Deeds:
    """Of trains on rows and columns, every slot of which takes so many seconds, however many cells move in it."""
    pulses = {up: sum(int(train.counts.sum()) for train in trains if train.up is up) for up in (True, False)}
    return Deeds(
        pulses_up=pulses[True], pulses_down=pulses[False], device_s=sum(train.slots for train in trains) * slot_s
    )


def of_write(request: WriteCells, pulses: int, write_s: float) -> Deeds:
    """Of a WRITE_CELLS that took so many writes of so many seconds each."""
    written = sum(patch.codes.size for patch in request.patches)
    return Deeds(written=written, write_pulses=pulses, device_s=pulses * write_s)


def finite(deeds: Deeds) -> bool:
    """Whether numbers read from somewhere can be deeds: none is negative, infinite or NaN."""
    return all(math.isfinite(value) and value >= 0 for value in deeds.numbers())
