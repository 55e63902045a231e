"""Drift laws at one temperature: likelihoods (sets, cells) of parameters (sets, ...), changes in microsiemens."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hil.measuring.laws.changes import LEVELS, Prepared
from hil.measuring.laws.walks import Walk, correlated, jumping

Array = NDArray[np.float64]
FEW_NODES, FEW_WEIGHTS = np.polynomial.hermite_e.hermegauss(5)
FEW_WEIGHTS = FEW_WEIGHTS / FEW_WEIGHTS.sum()


def e_folds(ready: Prepared, log_t0: Array, ea: Array | None = None) -> Array:
    """`ln(t / t0)` of the reference temperature, at least 0: (sets, cells or 1, ages), of `log_t0` and `ea` (sets,)."""
    log = np.log(np.maximum(ready.age, 1e-30))
    log = (log if log.ndim == 2 else log[None]) - log_t0[:, None, None]
    return np.maximum(log if ea is None else log + ea[:, None, None] * ready.inverse_t[:, None], 0.0)


def _grouped(ready: Prepared, mean: Array, covariance: Array) -> Array:
    """Joint normal likelihood, group by group: mean (sets, groups, ages), covariance (sets, groups, ages, ages)."""
    total = np.zeros((len(mean), len(ready.start)))
    for g, seen, rows, change in ready.blocks:
        wide = covariance[:, g][:, seen[:, None], seen]
        total[:, rows] = correlated(change - mean[:, g][:, None, seen], wide)
    return total


def _noise(count: int, sigma: Array) -> Array:
    """Covariance of differences to one first reading, all with the same noise, of each of `sigma`."""
    return np.asarray(sigma[..., None, None] ** 2 * (np.eye(count) + 1))


def _alike(of_all: Array) -> Array:
    """The same for every group."""
    return np.broadcast_to(of_all[:, None], (len(of_all), LEVELS, *of_all.shape[1:]))


def none_law(ready: Prepared, u: Array) -> Array:
    """Nothing but noise of the readings: `ln` of it."""
    count = ready.change.shape[1]
    return _grouped(ready, np.zeros((len(u), LEVELS, count)), _alike(_noise(count, np.exp(u[:, 0]))))


def _relative(ready: Prepared, of: Array, kept: Array, slope: Array, spread: Array, noise: Array) -> Array:
    """Changes that are in proportion to something of each cell: `of (kept - 1 + spread slope xi)`, and noise.

    `of` is (sets or 1, cells), `kept` and `slope` are (sets, ages), `spread` and `noise` (sets,).
    """
    total = np.zeros((len(kept), len(ready.start)))
    scale, sign = np.maximum(np.abs(of), 1e-9), np.sign(of)
    for _, seen, rows, change in ready.blocks:
        mine = scale[:, rows]
        off = change / mine[..., None] * sign[:, rows, None] - (kept[:, None, seen] - 1)
        lean = spread[:, None] * slope[:, seen]
        wide = lean[:, :, None] * lean[:, None] + _noise(len(seen), noise / np.median(mine, axis=1))
        total[:, rows] = correlated(off, wide) - len(seen) * np.log(mine)
    return total


def power(ready: Prepared, u: Array) -> Array:
    """Parameters: `ln t0`, mean exponent, `ln` of its spread, `ln` of the noise."""
    log = np.log1p(ready.age / np.exp(u[:, :1]))
    kept = np.exp(-u[:, 1:2] * log)
    return _relative(ready, ready.start[None], kept, kept * log, np.exp(u[:, 2]), np.exp(u[:, 3]))


def exponential(ready: Prepared, u: Array) -> Array:
    """Parameters: `ln tau`, `ln` of its spread, rest, `ln` of the noise."""
    lives = ready.age / np.exp(u[:, :1])
    kept = np.exp(-lives)
    return _relative(ready, ready.start - u[:, 2:3], kept, kept * lives, np.exp(u[:, 1]), np.exp(u[:, 3]))


def relaxation(ready: Prepared, u: Array) -> Array:
    """Parameters: `ln t0`, mean slope, `ln` of the slope and of the offset of the spread, `ln` of the noise."""
    folds = e_folds(ready, u[:, 0])[:, 0]
    spread = np.exp(u[:, 2:3]) * folds + np.exp(u[:, 3:4])
    wide = spread[:, :, None] * spread[:, None] + _noise(folds.shape[1], np.exp(u[:, 4]))
    return _grouped(ready, _alike(u[:, 1:2] * folds), _alike(wide))


def gaussian_walk(ready: Prepared, u: Array) -> Array:
    """Parameters: `ln t0`, mean slope, `ln` of the variance slope, `ln` of the noise."""
    folds = e_folds(ready, u[:, 0])[:, None, 0]
    factor = ready.factor[:, None]
    walk = np.exp(u[:, 2, None, None, None]) * np.minimum(folds[..., None], folds[..., None, :])
    wide = factor[..., None] ** 2 * walk + _noise(folds.shape[-1], np.exp(u[:, 3]))[:, None]
    return _grouped(ready, factor * u[:, 1, None, None] * folds, wide)


def walk_by_jumps(ready: Prepared, u: Array) -> Array:
    """Increments taken for independent, which the noise of readings is not quite; mean and variance are the changes'.

    Parameters: `ln t0`, `ln jumps`, lean of the jumps, `ln` of the volatility.
    """
    timed = {t0: (ready.clock(t0), ready.drift(t0)) for t0 in dict.fromkeys(u[:, 0].tolist())}
    return np.stack([_by_jumps(ready, one, *timed[float(one[0])]) for one in u])


def walk_of(u: Array, slope: float, noise2: float) -> Walk:
    """The walk of the parameters of `walk_by_jumps`, with the variance of an e-fold and of the readings' noise."""
    jumps = float(np.exp(u[1]))
    return Walk(slope, jumps, float(np.sqrt(slope / jumps) * np.tanh(u[2]) * 0.99), noise2)


def _by_jumps(ready: Prepared, u: Array, timed: tuple[float, Array, float], drift: tuple[float, float]) -> Array:
    slope, clock, noise2 = timed
    walk, spread = walk_of(u, slope, noise2), np.exp(u[3])
    folds = e_folds(ready, u[:1])[0, 0]
    factor = ready.factor[ready.group] * np.exp(spread * (FEW_NODES[:, None] - spread))
    mean = drift[0] * folds + drift[1] * folds**2
    total = np.zeros(factor.shape)
    for (before, k), rows in ready.increments.items():
        step = max(float(clock[k] - (clock[before] if before >= 0 else 0.0)), 1e-9)
        x = ready.change[rows, k] - (ready.change[rows, before] if before >= 0 else 0.0)
        x = x - ready.factor[ready.group[rows]] * float(mean[k] - (mean[before] if before >= 0 else 0.0))
        f = factor[:, rows]
        total[:, rows] += jumping(x / f, walk, step) - np.log(f)
    top = total.max(axis=0)
    return np.asarray(np.log((FEW_WEIGHTS[:, None] * np.exp(total - top)).sum(axis=0)) + top)
