"""Straight lines, one a unit: states against inputs, with the uncertainty of each gain and offset."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hil.measuring.estimate import Estimate

Array = NDArray[np.float64]
OWN = 4.0
"""A unit whose scatter about its line is that many times the usual variance is judged by its own."""
SHOWS = 4.0
"""A unit follows its input where its states span that many standard errors of their mean."""


@dataclass(frozen=True)
class Lines:
    """`state = gain (input - offset)` of every unit, each (units,); NaN where a unit does not follow its input."""

    gain: Array
    gain_sigma: Array
    offset: Array
    offset_sigma: Array

    @property
    def follows(self) -> NDArray[np.bool_]:
        """Units with a line."""
        return np.isfinite(self.gain)


def fit(inputs: Array, states: Array, inside: NDArray[np.bool_], noise: float) -> Lines:
    """Fits every unit's points inside its linear range by least squares.

    The variance about the lines is pooled over units, which read noise and converter steps treat alike: few points a
    unit would not tell it.

    Args:
        inputs: (points, units).
        states: Mean states, (points, units).
        inside: Which points count, (points, units).
        noise: Standard error of a mean state.
    """
    count = inside.sum(axis=0)
    span = np.where(inside, states, -np.inf).max(axis=0) - np.where(inside, states, np.inf).min(axis=0)
    follows = (count >= 3) & (span >= SHOWS * noise)
    safe = np.maximum(count, 1)
    x0, y0 = (np.where(inside, v, 0.0).sum(axis=0) / safe for v in (inputs, states))
    x, y = (np.where(inside, v - v0, 0.0) for v, v0 in ((inputs, x0), (states, y0)))
    width = np.where(follows, (x * x).sum(axis=0), 1.0)
    gain = np.where(follows, (x * y).sum(axis=0) / width, np.nan)
    variance = _pooled(((y - np.where(follows, gain, 0.0) * x) ** 2).sum(axis=0), count - 2, follows)
    with np.errstate(invalid="ignore", divide="ignore"):
        return Lines(
            gain,
            np.where(follows, np.sqrt(variance / width), np.nan),
            x0 - y0 / gain,
            np.sqrt(variance / safe + variance / width * (y0 / gain) ** 2) / np.abs(gain),
        )


def repeat_noise(readings: Array, inside: NDArray[np.bool_]) -> Estimate:
    """Noise of one reading from the scatter of repeats.

    Args:
        readings: (points, repeats, units).
        inside: Which points count, (points, units).
    """
    variance = readings.var(axis=1, ddof=1)[inside]
    if not variance.size:
        raise ValueError("no unit follows its input: there is no reading between the rails")
    noise = float(np.sqrt(variance.mean()))
    freedom = variance.size * (readings.shape[1] - 1)
    return Estimate(noise, noise / float(np.sqrt(2 * freedom)))


def _pooled(squares: Array, freedom: NDArray[np.int64], follows: NDArray[np.bool_]) -> Array:
    """Variance about the line for every unit: of all units together, or its own where that is far larger."""
    own = squares / np.maximum(freedom, 1)
    if not follows.any():
        return own
    usual = follows & (own <= OWN * np.median(own[follows]))
    together = float(squares[usual].sum() / max(int(freedom[usual].sum()), 1))
    return np.where(own > OWN * together, own, together)
