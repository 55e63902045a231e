"""What was measured, arranged cell by cell: the form that laws are fitted to, wherever it comes from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hil.measuring.imports.readings import Readings

Array = NDArray[np.float64]
OUTLIER = 8.0
"""Readings this many standard deviations off are left out, and counted."""
SMOOTHED = 25
"""Readings at either end of a ramp whose median is its end; a tenth of a shorter ramp's."""


@dataclass(frozen=True)
class Range:
    """Conductances that the levels 0 and 1 stand for, siemens."""

    low_s: float
    high_s: float

    @property
    def span_s(self) -> float:
        """Between them."""
        return self.high_s - self.low_s

    def level(self, siemens: Array) -> Array:
        """Level of a conductance."""
        return (siemens - self.low_s) / self.span_s


@dataclass(frozen=True)
class Ramps:
    """Trains of pulses of one polarity.

    Attributes:
        x: Levels, (ramps, readings), NaN where a ramp is shorter.
        pulses: Pulses between a reading and the one before, (ramps, readings); 0 for the first.
        cell: Cell of every ramp.
        up: Towards the highest conductance.
        amplitude_v: Height, volts; NaN where nobody said.
        width_s: Width, seconds; NaN likewise.
    """

    x: Array
    pulses: Array
    cell: NDArray[np.int64]
    up: bool
    amplitude_v: float = float("nan")
    width_s: float = float("nan")

    def of(self, chosen: NDArray[np.int64]) -> Ramps:
        """Some of the ramps."""
        return Ramps(self.x[chosen], self.pulses[chosen], self.cell[chosen], self.up, self.amplitude_v, self.width_s)

    @property
    def steps(self) -> Array:
        """Change between readings a pulse, towards the end the pulses aim at, (ramps, readings - 1)."""
        with np.errstate(invalid="ignore", divide="ignore"):
            moved = np.diff(self.x, axis=1) / np.where(self.pulses[:, 1:] > 0, self.pulses[:, 1:], np.nan)
        return moved if self.up else -moved


@dataclass(frozen=True)
class Retention:
    """Conductances at growing times after the write.

    Attributes:
        siemens: (cells, ages), NaN where not read.
        age_s: (ages,), rising, the first 0 or the earliest reading; or (cells, ages) where every cell has its own.
        temperature_k: Of every cell during the wait, (cells,); NaN where nobody said.
        cell: Number of every cell in its source.
    """

    siemens: Array
    age_s: Array
    temperature_k: Array
    cell: NDArray[np.int64]

    def of(self, chosen: NDArray[np.int64]) -> Retention:
        """Some of the cells."""
        age = self.age_s if self.age_s.ndim == 1 else self.age_s[chosen]
        return Retention(self.siemens[chosen], age, self.temperature_k[chosen], self.cell[chosen])

    @property
    def ages_s(self) -> Array:
        """Ages cell by cell, (cells, ages)."""
        return np.broadcast_to(self.age_s, self.siemens.shape)


@dataclass(frozen=True)
class Series:
    """Repeated readings of cells nobody touches, (cells, readings), at a constant interval."""

    siemens: Array
    interval_s: float

    def of(self, chosen: NDArray[np.int64]) -> Series:
        """Some of the cells."""
        return Series(self.siemens[chosen], self.interval_s)


@dataclass(frozen=True)
class Resets:
    """Conductances after reset pulses, (repeats, heights)."""

    siemens: Array
    volts: Array

    def of(self, chosen: NDArray[np.int64]) -> Resets:
        """Some of the repeats."""
        return Resets(self.siemens[chosen], self.volts)


@dataclass(frozen=True)
class Writes:
    """What was read after a write, one row a write."""

    target_s: Array
    siemens: Array
    cell: NDArray[np.int64]


def range_of(readings: Readings) -> Range:
    """The range a table covers, but for the outermost 0.1 % at either end where it is long."""
    g = readings.conductance_s
    if readings.kind == "writes":
        g = readings.columns["target"]
    low, high = np.percentile(g, [0.1, 99.9]) if len(g) > 20_000 else (g.min(), g.max())
    if readings.kind == "ramps" and len(g) <= 5000:  # one noisy cell: ends of smoothed ramps
        ramps = [row[np.isfinite(row)] for r in ramps_of(readings, Range(0.0, 1.0)) for row in r.x]
        few = [min(SMOOTHED, max(1, len(row) // 10)) for row in ramps]
        ends = [np.median(end) for row, n in zip(ramps, few, strict=True) for end in (row[:n], row[-n:])]
        low, high = min(ends), max(ends)
    return Range(max(float(low), 0.0), float(high))


def ramps_of(readings: Readings, within: Range) -> list[Ramps]:
    """Ramps of a table, up ones first."""
    cycle = readings.columns.get("cycle", np.zeros(len(readings)))
    polarity, pulse, x = readings.columns["polarity"], readings.columns["pulse"], within.level(readings.conductance_s)
    found = []
    for up in (True, False):
        mine = np.flatnonzero((polarity > 0) == up)
        if not len(mine):
            continue
        keys, ramp = np.unique(np.stack([readings.cell[mine], cycle[mine]], axis=1), axis=0, return_inverse=True)
        order = np.lexsort((pulse[mine], ramp.ravel()))
        mine, ramp = mine[order], ramp.ravel()[order]
        length = np.bincount(ramp)
        place = np.arange(len(mine)) - np.repeat(np.cumsum(length) - length, length)
        levels = np.full((len(keys), length.max()), np.nan)
        numbers = np.full_like(levels, np.nan)
        levels[ramp, place], numbers[ramp, place] = x[mine], pulse[mine]
        between = np.zeros_like(levels)
        between[:, 1:] = np.nan_to_num(np.diff(numbers, axis=1))
        height, width = (_one(readings.columns.get(name), mine) for name in ("amplitude", "width"))
        found.append(Ramps(levels, between, keys[:, 0].astype(np.int64), up, height, width))
    return found


def retention_of(readings: Readings) -> Retention:
    """Retention of a table: by nominal ages where all cells share them, else first and last reading of each cell."""
    time = readings.columns["time"]
    temperature = readings.columns.get("temperature", np.full(len(readings), np.nan))
    ages = np.unique(time)
    known, row = np.unique(readings.cell, return_inverse=True)
    count = len(known)
    if len(ages) <= 64:
        siemens = np.full((count, len(ages)), np.nan)
        siemens[row, np.searchsorted(ages, time)] = readings.conductance_s
        age: Array = ages
    else:
        order = np.lexsort((time, row))
        cell = row[order]
        first = np.searchsorted(cell, np.arange(count))
        last = np.searchsorted(cell, np.arange(count), side="right") - 1
        pick = np.stack([order[first], order[last]], axis=1)
        siemens, age = readings.conductance_s[pick], time[pick]
    kelvin = np.full(count, np.nan)
    kelvin[row] = temperature
    begun = np.isfinite(siemens[:, 0])
    age = age if age.ndim == 1 else age[begun]
    return Retention(siemens[begun], age, kelvin[begun], known[begun])


def series_of(readings: Readings) -> Series:
    """Equal stretches of repeated readings, as long as the shortest cell's."""
    order = np.lexsort((readings.columns["time"], readings.cell))
    value, time = readings.conductance_s[order], readings.columns["time"][order]
    length = np.unique(readings.cell[order], return_counts=True)[1]
    shortest = int(length.min())
    start = np.cumsum(length) - length
    pick = start[:, None] + np.arange(shortest)
    interval = float(np.median(np.diff(time[pick], axis=1))) if shortest > 1 else 1.0
    return Series(value[pick], interval)


def resets_of(readings: Readings) -> Resets:
    """Repeats by height, as many as all heights have."""
    volts = np.unique(readings.columns["amplitude"])
    columns = [readings.conductance_s[readings.columns["amplitude"] == v] for v in volts]
    shortest = min(map(len, columns))
    return Resets(np.stack([c[:shortest] for c in columns], axis=1), volts)


def writes_of(readings: Readings) -> Writes:
    """Targets and what was read."""
    return Writes(readings.columns["target"], readings.conductance_s, readings.cell)


def robust_spread(values: Array, axis: int | None = None) -> Array:
    """Standard deviation of a normal that has the same median of absolute deviations."""
    middle = np.nanmedian(values, axis=axis, keepdims=axis is not None)
    return np.asarray(1.4826 * np.nanmedian(np.abs(values - middle), axis=axis))


def _one(column: Array | None, mine: NDArray[np.int64]) -> float:
    return float("nan") if column is None else float(np.median(column[mine]))
