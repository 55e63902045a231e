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
    counts, spreads2 = ramps.pulses * ramps.factor[:, None], ramps.pulses * ramps.factor[:, None] ** 2
    whole = [bool(np.isfinite(column).all()) for column in x.T]
    for n in range(1, x.shape[1]):
        count, seen = counts[:, n], x[:, n]
        there = True if whole[n] else np.isfinite(seen)
        step, beyond = step_at(np.stack([level, level + SLOPE]))
        growth = 1 + count * (beyond - step) / SLOPE
        p = p * growth**2 + spreads2[:, n] * spread_at(level, step) ** 2
        predicted = level + count * step
        expected, variance = predicted, p + white2
        if slow:
            beside, q, c = memory * beside, memory**2 * q + (1 - memory**2) * slow2, memory * growth * c
            expected, variance = predicted + beside, variance + q + 2 * c
        off = seen - expected if whole[n] else np.where(there, seen - expected, 0.0)
        usable = there & (predicted > END) & (predicted < 1 - END)
        off2 = off**2 / variance
        wild = usable & (off2 > OUTLIER2)
        outliers += int(np.count_nonzero(wild))
        nats = 0.5 * (np.log(2 * np.pi * variance) + np.minimum(off2, OUTLIER2))
        total[(n - 1) * parts // (x.shape[1] - 1)] -= np.where(usable, nats, 0.0)
        anew = there & (wild | ~usable)
        of_level = (p + c) / variance if slow else p / variance
        of_level = of_level if whole[n] else np.where(there, of_level, 0.0)
        level = np.where(anew, seen - beside if slow else seen, predicted + of_level * off)
        if not slow:
            p = np.where(anew, white2, p - of_level * p)
            continue
        of_beside = (q + c) / variance if whole[n] else np.where(there, (q + c) / variance, 0.0)
        beside = np.where(anew, beside, beside + of_beside * off)
        p, q, c = (
            np.where(anew, fresh, kept)
            for fresh, kept in (
                (white2 + q, p - of_level * (p + c)),
                (q, q - of_beside * (q + c)),
                (-q, c - of_level * (q + c)),
            )
        )
    return np.moveaxis(total, 0, -1).reshape(sets, -1), outliers
