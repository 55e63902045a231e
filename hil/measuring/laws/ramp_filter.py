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
FAR2, OUTLIER2 = 36.0, 64.0
"""Squared deviations, in variances: from the first on a reading weighs less, at the second the filter begins anew from
it and it counts as an outlier. What happens in between goes over smoothly, or a search for the largest likelihood
stops at every edge."""

BESIDE = 0.01
"""A step and its slope are those of levels this far on either side: a belief has a width, and tables have corners."""


@dataclass(frozen=True)
class Turned:
    """Ramps turned so that their pulses go up.

    Attributes:
        x: Levels, (ramps, readings), NaN where there is none.
        pulses: Pulses since the reading before, (ramps, readings).
        factor: Of each ramp's steps, (ramps,).
        judged: Readings whose probability counts, (ramps, readings): the same ones under every law and parameter.
    """

    x: Array
    pulses: Array
    factor: Array
    judged: NDArray[np.bool_]

    def of(self, chosen: NDArray[np.int64]) -> Turned:
        """Some of the ramps."""
        return Turned(self.x[chosen], self.pulses[chosen], self.factor[chosen], self.judged[chosen])


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
    whole, judged = ([bool(column.all()) for column in every.T] for every in (np.isfinite(x), ramps.judged))
    sides, both = np.array([-BESIDE, BESIDE])[:, None, None], np.empty((2, *level.shape))
    for n in range(1, x.shape[1]):
        count, seen, part = counts[:, n], x[:, n], (n - 1) * parts // (x.shape[1] - 1)
        before, beyond = step_at(np.add(level, sides, out=both))
        step, growth = (before + beyond) / 2, 1 + count * (beyond - before) / (2 * BESIDE)
        p = p * growth**2 + spreads2[:, n] * spread_at(level, step) ** 2
        predicted = level + count * step
        expected, variance = predicted, p + white2
        if slow:
            kept = memory ** ramps.pulses[:, n]
            beside, q, c = kept * beside, kept**2 * q + (1 - kept**2) * slow2, kept * growth * c
            expected, variance = predicted + beside, np.maximum(p + q + 2 * c, 0.0) + white2  # rounding aside
        off = seen - expected
        of_level = (p + c) / variance if slow else p / variance
        off2 = off**2 / variance
        if whole[n] and judged[n] and off2.max() <= FAR2:  # most readings: what follows below, without what is 0
            total[part] -= 0.5 * (np.log(2 * np.pi * variance) + off2)
            level = predicted + of_level * off
            if slow:
                of_beside = (q + c) / variance
                beside = beside + of_beside * off
                p, q, c = p - of_level * (p + c), q - of_beside * (q + c), c - of_level * (q + c)
            else:
                p -= of_level * p
            continue
        there = True if whole[n] else np.isfinite(seen)
        if not whole[n]:
            off, off2, of_level = (np.where(there, value, 0.0) for value in (off, off2, of_level))
        usable = ramps.judged[:, n]
        outliers += int(np.count_nonzero(usable & (off2 > OUTLIER2)))
        size = np.where(off2 < FAR2, off2, FAR2 * (1 + np.log(np.maximum(off2, FAR2) / FAR2)))
        nats = 0.5 * (np.log(2 * np.pi * variance) + size)
        total[part] -= np.where(usable, nats, 0.0)
        share = np.clip((off2 - FAR2) / (OUTLIER2 - FAR2), 0.0, 1.0)
        anew = np.where(usable, share**2 * (3 - 2 * share), there)
        filtered, fresh = predicted + of_level * off, seen - beside if slow else seen
        level = filtered + anew * ((fresh if whole[n] else np.where(there, fresh, 0.0)) - filtered)
        if not slow:
            p += anew * (white2 - p) - (1 - anew) * of_level * p
            continue
        of_beside = (q + c) / variance if whole[n] else np.where(there, (q + c) / variance, 0.0)
        beside = beside + (1 - anew) * of_beside * off
        p, q, c = (
            kept + anew * (fresh - kept)
            for fresh, kept in (
                (white2 + q, p - of_level * (p + c)),
                (q, q - of_beside * (q + c)),
                (-q, c - of_level * (q + c)),
            )
        )
    return np.moveaxis(total, 0, -1).reshape(sets, -1), outliers
