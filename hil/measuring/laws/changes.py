"""Retention series as changes since the write, cell by cell: what drift laws are fitted to."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy import optimize

from hil.measuring.laws.samples import OUTLIER, Range, Retention, robust_spread

Array = NDArray[np.float64]
BOLTZMANN_EV = 8.617333262e-5
REFERENCE_K = 300.0
"""Temperature, kelvin, at which times of a law are stated."""
MOST = 0.6
"""Share of the cells that must have been read at an age for its mean and variance to count."""

ALIKE = 3.0
"""Groups whose spreads differ by less than so many times their own uncertainty (squared, on average) are alike."""

TINY = 1e-6
"""Change, microsiemens, below which nothing was seen to move."""

LEVELS = 8
"""Groups of cells of like conductance: their factors are a table in the datasheet."""


@dataclass(frozen=True)
class Prepared:
    """Changes since the write, microsiemens.

    Attributes:
        change: (cells, ages - 1), NaN where not read or an outlier.
        start: First conductance, (cells,).
        age: Of every change's end, seconds, (ages - 1,) or (cells, ages - 1).
        inverse_t: `1 / k T_ref - 1 / k T` of every cell, an electronvolt; 0 where the temperature is not known.
        group: Which group of like conductance, (cells,).
        factor: How strongly a group moves beside the others, (groups,).
        centre: Middle conductance of every group.
        top: Highest conductance of the range.
        outliers: Share of readings left out.
        limits: Lowest and highest change that counts at every age, (2, ages - 1); the widest of all temperatures.
    """

    change: Array
    start: Array
    age: Array
    inverse_t: Array
    group: NDArray[np.int64]
    factor: Array
    centre: Array
    top: float
    outliers: float
    limits: Array

    @cached_property
    def blocks(self) -> list[tuple[int, NDArray[np.int64], NDArray[np.int64], Array]]:
        """Cells of one group that were read at the same ages: group, the ages' places, the cells, their changes."""
        seen = np.isfinite(self.change)
        found = []
        for pattern in np.unique(seen, axis=0):
            same = (seen == pattern).all(axis=1)
            for g in range(LEVELS):
                rows = np.flatnonzero(same & (self.group == g))
                if len(rows) and pattern.any():
                    found.append((g, ages := np.flatnonzero(pattern), rows, self.change[np.ix_(rows, ages)]))
        return found

    def variance(self, log_t0: float) -> tuple[float, float, float]:
        """Of the changes: its slope an e-fold, its acceleration, and that of the noise of two readings.

        Least squares of `noise2 + slope (L + acceleration L^2)` over the ages; factors of the groups are 1 in the mean
        square, so that they do not matter.
        """
        variance = np.maximum(self.moments[1], TINY**2)
        folds = np.maximum(np.log(self.age[self.complete]) - log_t0, 0.0)
        columns = [np.ones_like(folds), folds, folds**2][: max(2, min(3, len(folds) - 1))]
        found = optimize.nnls(np.stack(columns, axis=1) / variance[:, None], np.ones_like(folds))[0]
        slope = max(float(found[1]), 1e-9)
        return slope, float(found[2]) / slope if len(found) > 2 else 0.0, max(float(found[0]), 1e-6)

    def clock(self, log_t0: float) -> tuple[float, Array, float]:
        """The walk's own time `S` at every age, so that the variance of the changes is as it was measured.

        Returns:
            The variance of an e-fold of `S`, `S` at the ages (interpolated where few cells were read), and the variance
            of the noise of two readings.
        """
        _, _, noise2 = self.variance(log_t0)
        folds = np.maximum(np.log(self.age) - log_t0, 1e-6)
        seen = self.complete
        grown = np.maximum(self.moments[1] - noise2, 0.0)
        slope = max(float(grown[-1] / folds[seen][-1]), 1e-9)
        least = 1e-3 * np.arange(1, seen.sum() + 1)
        rising = np.maximum.accumulate(grown / slope) + least * (np.diff(grown, prepend=0.0) <= 0)
        rising = strictly_rising(np.maximum(rising, least))
        return slope, np.interp(folds, np.concatenate([[0.0], folds[seen]]), np.concatenate([[0.0], rising])), noise2

    def drift(self, log_t0: float) -> tuple[float, float]:
        """Mean change an e-fold of time, and a squared one, by least squares."""
        mean, variance, count = self.moments
        folds = np.maximum(np.log(self.age[self.complete]) - log_t0, 1e-3)
        weight = np.sqrt(count / np.maximum(variance, TINY**2))
        degree = [folds, folds**2][: min(2, len(folds) - 1)]
        design = np.stack(degree, axis=1) * weight[:, None]
        found = np.linalg.lstsq(design, mean * weight, rcond=None)[0]
        return float(found[0]), float(found[1]) if len(found) > 1 else 0.0

    @cached_property
    def complete(self) -> NDArray[np.bool_]:
        """Ages at which most cells were read: the others speak of a selection."""
        count = np.isfinite(self.change).sum(axis=0)
        return np.asarray(count > MOST * count.max())

    @cached_property
    def moments(self) -> tuple[Array, Array, NDArray[np.int64]]:
        """Mean and variance of the changes at the ages that most cells were read at, and of how many cells."""
        change = self.change[:, self.complete]
        return np.nanmean(change, axis=0), np.nanvar(change, axis=0), np.isfinite(change).sum(axis=0)

    @cached_property
    def increments(self) -> dict[tuple[int, int], NDArray[np.int64]]:
        """Cells by the two neighbouring ages they were read at; -1 for the write."""
        seen = np.isfinite(self.change)
        last = np.full(len(seen), -1)
        found: dict[tuple[int, int], NDArray[np.int64]] = {}
        for k in range(seen.shape[1]):
            for before in np.unique(last[seen[:, k]]):
                found[int(before), k] = np.flatnonzero(seen[:, k] & (last == before))
            last[seen[:, k]] = k
        return found

    def of(self, chosen: NDArray[np.int64]) -> Prepared:
        """Some of the cells."""
        age = self.age if self.age.ndim == 1 else self.age[chosen]
        return Prepared(self.change[chosen], self.start[chosen], age, self.inverse_t[chosen], self.group[chosen],
                        self.factor, self.centre, self.top, self.outliers, self.limits)  # fmt: skip


def prepare(data: Retention, within: Range) -> Prepared:
    """Changes since the first reading, robustly: readings far from all others are left out and counted."""
    scale = 1e6
    start = data.siemens[:, 0] * scale
    change = (data.siemens[:, 1:] - data.siemens[:, :1]) * scale
    ages = data.ages_s
    age = data.age_s[1:] if data.age_s.ndim == 1 else ages[:, 1:] - ages[:, :1]
    wild = np.zeros(change.shape, dtype=bool)
    limits = np.stack([np.full(change.shape[1], np.inf), np.full(change.shape[1], -np.inf)])
    for kelvin in np.unique(np.nan_to_num(data.temperature_k)):
        rows = np.nan_to_num(data.temperature_k) == kelvin
        for k in range(change.shape[1]):
            low, high = _limits(change[rows, k])
            wild[rows, k] = (change[rows, k] < low) | (change[rows, k] > high)
            limits[:, k] = min(limits[0, k], low), max(limits[1, k], high)
    top = within.high_s * scale
    edges = np.quantile(start, np.linspace(0, 1, LEVELS + 1)[1:-1])
    group = np.searchsorted(edges, start)
    clean = np.where(wild, np.nan, change)
    factor, centre = np.ones(LEVELS), np.zeros(LEVELS)
    whole = _typical(clean[:, -1])
    for g in range(LEVELS):
        mine = group == g
        centre[g] = float(np.median(start[mine])) if mine.any() else 0.0
        if mine.sum() > 100 and whole > 0:
            factor[g] = max(_typical(clean[mine, -1]) / whole, 1e-3)
    count = np.bincount(group, minlength=LEVELS)
    if (2 * count * np.log(factor) ** 2).sum() < ALIKE * LEVELS:
        factor[:] = 1.0
    factor /= np.sqrt((factor[group] ** 2).mean())
    kelvin = np.where(np.isfinite(data.temperature_k), data.temperature_k, REFERENCE_K)
    inverse = (1 / REFERENCE_K - 1 / kelvin) / BOLTZMANN_EV
    share = float(wild.sum() / np.isfinite(change).sum())
    return Prepared(clean, start, age, inverse, group, factor, centre, top, share, limits)


def _limits(change: Array) -> tuple[float, float]:
    """About the mean, `OUTLIER` standard deviations of all readings that are not absurd.

    Changes have long tails, which belong to them: only what is hundreds of times as far off as most is left out of mean
    and deviation.
    """
    off = np.abs(change - np.nanmedian(change))
    near = change[off <= OUTLIER**3 * (float(robust_spread(change)) or float(np.nanstd(change)))]
    middle, reach = float(near.mean()), OUTLIER * float(near.std())
    return middle - reach, middle + reach


def _typical(change: Array) -> float:
    return float(np.nanstd(change))


def strictly_rising(values: Array) -> Array:
    """Positive numbers, each raised to a millionth above the one before where it is not larger by itself."""
    found = np.array(values, float)
    for index in range(1, len(found)):
        found[index] = max(found[index], found[index - 1] * (1 + 1e-6))
    return found
