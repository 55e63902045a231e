"""Drift laws at one temperature: likelihoods of every cell, changes in microsiemens."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from hil.measuring.laws.changes import LEVELS, Prepared
from hil.measuring.laws.walks import correlated, jumping

Array = NDArray[np.float64]
FEW_NODES, FEW_WEIGHTS = np.polynomial.hermite_e.hermegauss(5)
FEW_WEIGHTS = FEW_WEIGHTS / FEW_WEIGHTS.sum()


def e_folds(ready: Prepared, log_t0: float, ea: float = 0.0) -> Array:
    """`ln(t / t0)`, of the reference temperature, at least 0; (cells or 1, ages)."""
    log = np.log(np.maximum(ready.age, 1e-30)) - log_t0
    log = log if log.ndim == 2 else log[None]
    return np.maximum(log + ea * ready.inverse_t[:, None] if ea else log, 0.0)


def _grouped(ready: Prepared, mean: Callable[[int], Array], covariance: Callable[[int], Array]) -> Array:
    """Joint normal likelihood, group by group."""
    total = np.zeros(len(ready.start))
    laws = [(mean(g), covariance(g)) for g in range(LEVELS)]
    for g, seen, rows in ready.blocks:
        middle, wide = laws[g]
        total[rows] = correlated(ready.change[np.ix_(rows, seen)] - middle[seen], wide[np.ix_(seen, seen)])
    return total


def _noise(count: int, sigma: float) -> Array:
    """Covariance of differences to one first reading, all with the same noise."""
    return np.asarray(sigma**2 * (np.eye(count) + 1))


def none_law(ready: Prepared, u: Array) -> Array:
    """Nothing but noise of the readings: `ln` of it."""
    count = ready.change.shape[1]
    return _grouped(ready, lambda g: np.zeros(count), lambda g: _noise(count, np.exp(u[0])))


def _relative(ready: Prepared, of: Array, kept: Array, slope: Array, spread: float, noise: float) -> Array:
    """Changes that are in proportion to something of each cell: `of (kept - 1 + spread slope xi)`, and noise."""
    total = np.zeros(len(ready.start))
    for _, seen, rows in ready.blocks:
        scale = np.maximum(np.abs(of[rows]), 1e-9)
        off = ready.change[np.ix_(rows, seen)] / scale[:, None] * np.sign(of[rows])[:, None] - (kept[seen] - 1)
        typical = float(np.median(scale))
        wide = spread**2 * np.outer(slope[seen], slope[seen]) + _noise(len(seen), noise / typical)
        total[rows] = correlated(off, wide) - len(seen) * np.log(scale)
    return total


def power(ready: Prepared, u: Array) -> Array:
    """Parameters: `ln t0`, mean exponent, `ln` of its spread, `ln` of the noise."""
    t0, nu, spread, noise = np.exp(u[0]), u[1], np.exp(u[2]), np.exp(u[3])
    log = np.log1p(ready.age / t0)
    kept = np.exp(-nu * log)
    return _relative(ready, ready.start, kept, kept * log, spread, noise)


def exponential(ready: Prepared, u: Array) -> Array:
    """Parameters: `ln tau`, `ln` of its spread, rest, `ln` of the noise."""
    tau, spread, rest, noise = np.exp(u[0]), np.exp(u[1]), u[2], np.exp(u[3])
    kept = np.exp(-ready.age / tau)
    return _relative(ready, ready.start - rest, kept, kept * ready.age / tau, spread, noise)


def relaxation(ready: Prepared, u: Array) -> Array:
    """Parameters: `ln t0`, mean slope, `ln` of the slope and of the offset of the spread, `ln` of the noise."""
    folds = e_folds(ready, u[0])[0]
    spread = np.exp(u[2]) * folds + np.exp(u[3])
    return _grouped(
        ready, lambda g: u[1] * folds, lambda g: np.outer(spread, spread) + _noise(len(folds), np.exp(u[4]))
    )


def gaussian_walk(ready: Prepared, u: Array) -> Array:
    """Parameters: `ln t0`, mean slope, `ln` of the variance slope, `ln` of the noise."""
    folds = e_folds(ready, u[0])[0]
    variance = np.exp(u[2]) * np.minimum.outer(folds, folds)
    return _grouped(ready, lambda g: ready.factor[g] * u[1] * folds,
                    lambda g: ready.factor[g] ** 2 * variance + _noise(len(folds), np.exp(u[3])))  # fmt: skip


def walk_by_jumps(ready: Prepared, u: Array) -> Array:
    """Increments taken for independent, which the noise of readings is not quite; mean and variance are the changes'.

    Parameters: `ln t0`, `ln jumps`, lean of the jumps, `ln` of the volatility.
    """
    slope, clock, noise2 = ready.clock(float(u[0]))
    jumps, spread = np.exp(u[1]), np.exp(u[3])
    lean = np.sqrt(slope / jumps) * np.tanh(u[2]) * 0.99
    folds = e_folds(ready, u[0])[0]
    factor = ready.factor[ready.group] * np.exp(spread * (FEW_NODES[:, None] - spread))
    first, second = ready.drift(float(u[0]))
    mean = first * folds + second * folds**2
    total = np.zeros(factor.shape)
    for (before, k), rows in ready.increments.items():
        step = max(float(clock[k] - (clock[before] if before >= 0 else 0.0)), 1e-9)
        x = ready.change[rows, k] - (ready.change[rows, before] if before >= 0 else 0.0)
        x = x - ready.factor[ready.group[rows]] * float(mean[k] - (mean[before] if before >= 0 else 0.0))
        f = factor[:, rows]
        total[:, rows] += jumping(x / f, step, slope, jumps, lean, noise2) - np.log(f)
    top = total.max(axis=0)
    return np.asarray(np.log((FEW_WEIGHTS[:, None] * np.exp(total - top)).sum(axis=0)) + top)
