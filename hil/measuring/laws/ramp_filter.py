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
    white2 = np.exp(2 * u[:, -1:])
    slow2 = np.exp(2 * u[:, -3:-2]) if slow else np.zeros_like(white2)
    memory = np.exp(-np.exp(-u[:, -2:-1])) if slow else np.zeros_like(white2)
    level = np.broadcast_to(x[:, 0], (sets, len(x))).copy()
    beside = np.zeros(level.shape)  # belief of the slow noise: mean, variance, covariance with the level
    p, q, c = (np.broadcast_to(v, level.shape).copy() for v in (white2 + slow2, slow2, -slow2))
    total, outliers = np.zeros((*level.shape, parts)), 0
    for n in range(1, x.shape[1]):
        count, seen = ramps.pulses[:, n] * ramps.factor, x[:, n]
        there = np.isfinite(seen)
        step = family.step(u, level)
        growth = 1 + count * (family.step(u, level + SLOPE) - step) / SLOPE
        p = p * growth**2 + count * ramps.factor * family.spread(u, level) ** 2
        beside, q, c = memory * beside, memory**2 * q + (1 - memory**2) * slow2, memory * growth * c
        predicted = level + count * step
        variance = p + q + 2 * c + white2
        off = seen - predicted - beside
        usable = there & (predicted > END) & (predicted < 1 - END)
        off2 = off**2 / variance
        wild = usable & (off2 > OUTLIER2)
        outliers += int(wild.sum())
        total[..., (n - 1) * parts // (x.shape[1] - 1)] -= np.where(
            usable, 0.5 * (np.log(2 * np.pi * variance) + np.minimum(off2, OUTLIER2)), 0.0
        )
        anew = there & (wild | ~usable)
        of_level, of_beside = (np.where(there, v / variance, 0.0) for v in (p + c, q + c))
        level = np.where(anew, seen - beside, predicted + np.where(there, of_level * off, 0.0))
        beside = np.where(anew, beside, beside + np.where(there, of_beside * off, 0.0))
        p, q, c = (
            np.where(anew, fresh, kept)
            for fresh, kept in (
                (white2 + q, p - of_level * (p + c)),
                (q, q - of_beside * (q + c)),
                (-q, c - of_level * (q + c)),
            )
        )
    return total.reshape(sets, -1), outliers
