"""Likelihood of ramps: a Kalman filter that takes steps and read noise apart.

Every reading ends one change and begins the next, so that the noise of readings shows as anticorrelated changes. The
state of a ramp is its true level and, where noise outlives a pulse, that noise, with a Gaussian belief; the law is
linear over one step (extended Kalman filter, e.g. Anderson and Moore, Optimal Filtering, 1979).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hil.measuring.laws.responses import Family

Array = NDArray[np.float64]
END = 0.02
"""Levels this near an end of the range are looked at and not predicted: steps end there."""

OUTLIER2 = 64.0
"""Squared deviation, in variances, at which a reading counts as an outlier: the filter begins anew from it."""

SLOPE = 1e-3
TOGETHER = 64
"""Readings whose logarithms are taken at once."""


@dataclass(frozen=True)
class Turned:
    """Ramps turned so that their pulses go up.

    Attributes:
        x: Levels, (ramps, readings), NaN where there is none.
        pulses: Pulses since the reading before, (ramps, readings).
        factor: Of each ramp's steps, (ramps,).
    """

    x: Array
    pulses: Array
    factor: Array

    def of(self, chosen: NDArray[np.int64]) -> Turned:
        """Some of the ramps."""
        return Turned(self.x[chosen], self.pulses[chosen], self.factor[chosen])


def log_likelihood(ramps: Turned, family: Family, u: Array, slow: bool = False, parts: int = 1) -> tuple[Array, int]:
    """Log-likelihoods (sets, ramps * parts) of parameters (sets, ...).

    Args:
        ramps: What was read.
        family: Of the steps.
        u: Parameters: the family's; with slow noise `ln` of its standard deviation and of the pulses in which it
            forgets; `ln` of the standard deviation of the white noise of a reading.
        slow: Is there noise of the readings that outlives a pulse (first-order autoregressive)?
        parts: Stretches of time each ramp's likelihood is told apart in; given what was read before, they are
            independent.

    Returns:
        The likelihoods, and how many readings of all sets together were outliers.
    """
    x, sets = ramps.x, len(u)
    step_at, spread_at = family.step(u), family.spread(u)
    white2 = np.exp(2 * u[:, -1:])
    slow2 = np.exp(2 * u[:, -3:-2]) if slow else np.zeros_like(white2)
    memory = np.exp(-np.exp(-u[:, -2:-1])) if slow else np.zeros_like(white2)
    level = np.broadcast_to(x[:, 0], (sets, len(x))).copy()
    beside = np.zeros(level.shape)  # belief of the slow noise: mean, variance, covariance with the level
    p, q, c = (np.broadcast_to(v, level.shape).copy() for v in (white2 + slow2, slow2, -slow2))
    total, outliers = np.zeros((parts, *level.shape)), 0
    waiting: list[tuple[Array, Array, NDArray[np.bool_]]] = []
    counts, spreads2 = ramps.pulses * ramps.factor[:, None], ramps.pulses * ramps.factor[:, None] ** 2
    per_slope = counts / SLOPE
    whole = [bool(np.isfinite(column).all()) for column in x.T]
    two = np.empty((2, *level.shape))
    last = x.shape[1] - 1
    for n in range(1, last + 1):
        seen = x[:, n]
        there = True if whole[n] else np.isfinite(seen)
        two[0] = level
        np.add(level, SLOPE, out=two[1])
        step, beyond = step_at(two)
        growth = 1 + per_slope[:, n] * (beyond - step)
        p = p * growth**2 + spreads2[:, n] * spread_at(level, step) ** 2
        predicted = level + counts[:, n] * step
        expected, variance = predicted, p + white2
        if slow:
            beside, q, c = memory * beside, memory**2 * q + (1 - memory**2) * slow2, memory * growth * c
            expected, variance = predicted + beside, variance + q + 2 * c
        off = seen - expected if whole[n] else np.where(there, seen - expected, 0.0)
        usable = (predicted > END) & (predicted < 1 - END)
        off2 = off**2 / variance
        kept = usable & (off2 <= OUTLIER2)
        if not whole[n]:
            usable, kept = usable & there, kept | ~there
        waiting.append((variance, off2, usable))
        part = (n - 1) * parts // last
        if len(waiting) == TOGETHER or n == last or n * parts // last != part:
            nats, wild = _nats(waiting)
            total[part] -= nats
            outliers += wild
            waiting = []
        of_level = (p + c) / variance if slow else p / variance
        of_level = of_level if whole[n] else np.where(there, of_level, 0.0)
        level = np.where(kept, predicted + of_level * off, seen - beside if slow else seen)
        if not slow:
            p = np.where(kept, p - of_level * p, white2)
            continue
        of_beside = (q + c) / variance if whole[n] else np.where(there, (q + c) / variance, 0.0)
        beside = np.where(kept, beside + of_beside * off, beside)
        p, q, c = (
            np.where(kept, updated, fresh)
            for fresh, updated in (
                (white2 + q, p - of_level * (p + c)),
                (q, q - of_beside * (q + c)),
                (-q, c - of_level * (q + c)),
            )
        )
    return np.moveaxis(total, 0, -1).reshape(sets, -1), outliers


def _nats(waiting: list[tuple[Array, Array, NDArray[np.bool_]]]) -> tuple[Array, int]:
    """Negative log-likelihood of some readings one after the other, and how many are outliers."""
    variance, off2, usable = (np.stack(some) for some in zip(*waiting, strict=True))
    nats = 0.5 * (np.log(2 * np.pi * variance) + np.minimum(off2, OUTLIER2))
    wild = usable & (off2 > OUTLIER2)
    return np.asarray(np.where(usable, nats, 0.0).sum(axis=0)), int(np.count_nonzero(wild))
