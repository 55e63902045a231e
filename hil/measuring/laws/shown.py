"""What readings show of a walk: those far off are left out, and no cell conducts less than nothing."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hil.measuring.laws.changes import Prepared
from hil.measuring.laws.walks import Walk, density

Array = NDArray[np.float64]
NODES, WEIGHTS = np.polynomial.hermite_e.hermegauss(9)
WEIGHTS = WEIGHTS / WEIGHTS.sum()
STARTS = 12
"""Quantiles of the cells' first conductances for which the walk is looked at."""
ROUNDS = 4
ENOUGH = 1e-4
"""Change of a round after which no other follows: each changes a fraction of what the one before did."""
MOST = 2.0
"""Times by which a variance may be more than what is seen of it."""


def unseen(ready: Prepared, walk: Walk, clock: Array, mean: Array, spread: float) -> Array:
    """Variance of the changes over what is seen of it, at the ages most cells were read at.

    A walk by jumps has long tails. Readings beyond the limits of `prepare` are left out, so that a walk with the
    variance of the rest would have too little once its own are left out; and at 0 conductance a walk ends.

    Args:
        ready: The changes.
        walk: Its jumps, and the noise of two readings.
        clock: e-folds of the walk's own time at those ages.
        mean: Of the changes there, microsiemens.
        spread: Of the logarithm of what a cell moves by (volatility).

    Returns:
        1 or a little more, (ages,): a walk whose own time is as much longer shows the variance that was measured.
    """
    wanted = walk.slope * clock + walk.noise2
    low, high = ready.limits[:, ready.complete]
    start = np.quantile(ready.start, (np.arange(STARTS) + 0.5) / STARTS)
    order = np.argsort(ready.centre)
    factor = np.interp(start, ready.centre[order], ready.factor[order])
    times, going = np.ones_like(clock), np.arange(len(clock))
    for _ in range(ROUNDS):
        before = times[going]
        seen = [_variance(walk, times[k] * clock[k], mean[k], factor, start, spread, (low[k], high[k])) for k in going]
        times[going] = np.clip(before * wanted[going] / np.maximum(seen, 1e-12), 1.0, MOST)
        going = going[np.abs(times[going] - before) > ENOUGH]
    return times


def _variance(
    walk: Walk, folds: float, mean: float, factor: Array, start: Array, spread: float, limits: tuple[float, float]
) -> float:
    """Of all cells together, after so many e-folds.

    A change grows with the increment, so that what is seen is a stretch of the grid, and below it all are at the end.
    """
    moments, ends = np.zeros(3), (limits[0] <= -start) & (-start <= limits[1])
    for node, weight in zip(NODES, WEIGHTS, strict=True):
        moved = float(np.exp(spread * (node - spread)))
        x, p = density(walk.beside(moved), folds)
        below = np.zeros((3, len(x) + 1))  # of increments, and of their squares, below every one
        np.cumsum(p * (x[1] - x[0]) * np.stack([np.ones_like(x), x, x**2]), axis=1, out=below[:, 1:])
        bottom, low = (np.searchsorted(x, (edge / factor - mean) / moved) for edge in (-start, limits[0]))
        high = np.searchsorted(x, (limits[1] / factor - mean) / moved, side="right")
        first = np.maximum(bottom, low)
        held, along, square = below[:, np.maximum(first, high)] - below[:, first]
        scale, shift, ended = factor * moved, factor * mean, np.where(ends, below[0, bottom], 0.0)
        moments[0] += weight * (held + ended).sum()
        moments[1] += weight * (scale * along + shift * held - start * ended).sum()
        moments[2] += (
            weight * (scale**2 * square + 2 * scale * shift * along + shift**2 * held + start**2 * ended).sum()
        )
    return float(moments[2] / moments[0] - (moments[1] / moments[0]) ** 2)
