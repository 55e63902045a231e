"""Transfer of the neuron circuits of one layer and of the channels that read them, unit by unit."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
BEYOND = 0.08
"""How far beyond a rail an input must be for its reading to be that of the rail."""
INSIDE = (0.12, 0.88)
"""Corrected states between which a clamped neuron is far from its rails."""


@dataclass(frozen=True)
class Transfer:
    """One layer; every array is (units,), in model units, with its standard uncertainty beside it.

    A unit settles to `s = rails(gain slope (z - offset))` and reads `r = read_gain s + read_offset`. A clamped unit's
    rails are known, so its readings tell channel and neuron apart; a linear unit's `gain` is that of both together.
    Units that do not follow their input are `dead`: gain 1, offset 0.
    """

    gain: Array
    gain_sigma: Array
    offset: Array
    offset_sigma: Array
    read_gain: Array
    read_offset: Array
    read_sigma: Array
    dead: NDArray[np.bool_]
    noise: float


def fit(z: Array, readings: Array, slope: float, clamped: bool) -> Transfer:
    """Fits a layer.

    Args:
        z: Input of every unit at every point, (points, units), rising; a clamped layer from well below 0 to well above
            `1 / slope`.
        readings: States as read, (points, repeats, units).
        slope: Nominal slope of a clamped layer, 1 for a linear one.
        clamped: Do the units have rails at 0 and 1?
    """
    points, repeats, units = readings.shape
    noise = float(np.sqrt(readings.var(axis=1, ddof=1).mean()))
    means = readings.mean(axis=1)
    low, low_sigma = _rail(means, z * slope < -BEYOND if clamped else z < -np.inf, 0.0, noise / np.sqrt(repeats))
    high, high_sigma = _rail(means, z * slope > 1 + BEYOND if clamped else z > np.inf, 1.0, noise / np.sqrt(repeats))
    read_gain, read_offset = high - low, low
    dead = read_gain < 0.5
    read_gain, read_offset = np.where(dead, 1.0, read_gain), np.where(dead, 0.0, read_offset)
    states = (means - read_offset) / read_gain
    gain, offset = np.ones(units), np.zeros(units)
    gain_sigma, offset_sigma = np.full(units, np.inf), np.full(units, np.inf)
    for unit in range(units):
        inside = (states[:, unit] > INSIDE[0]) & (states[:, unit] < INSIDE[1]) if clamped else np.ones(points, bool)
        x, y = z[inside, unit] * slope, states[inside, unit]
        if dead[unit] or len(x) < 3 or np.ptp(y) < 4 * noise / np.sqrt(repeats):
            dead[unit] = True
            continue
        centred = x - x.mean()
        width = float(centred @ centred)
        gain[unit] = float(centred @ y) / width
        residual = y - y.mean() - gain[unit] * centred
        error = np.sqrt(float(residual @ residual) / (len(x) - 2))
        offset[unit] = (x.mean() - y.mean() / gain[unit]) / slope
        gain_sigma[unit] = error / np.sqrt(width)
        offset_sigma[unit] = error / np.sqrt(len(x)) / gain[unit] / slope
    read_sigma = np.hypot(low_sigma, high_sigma)
    gain_sigma = np.where(dead, 0.0, np.hypot(gain_sigma, gain * read_sigma))
    offset_sigma = np.where(dead, 0.0, np.hypot(offset_sigma, low_sigma / slope))
    return Transfer(gain, gain_sigma, offset, offset_sigma, read_gain, read_offset, read_sigma, dead, noise)


def _rail(means: Array, there: NDArray[np.bool_], nominal: float, sigma: float) -> tuple[Array, Array]:
    """Reading of every unit at a rail and its uncertainty; the nominal one where no point is beyond the rail."""
    count = there.sum(axis=0)
    seen = np.where(there, means, 0.0).sum(axis=0) / np.maximum(count, 1)
    return np.where(count > 0, seen, nominal), np.where(count > 0, sigma / np.sqrt(np.maximum(count, 1)), 0.0)
