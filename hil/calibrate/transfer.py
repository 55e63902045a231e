"""Transfer of the neuron circuits of one layer and of the channels that read them, unit by unit."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
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
    low, high = (means[:2].mean(axis=0), means[-2:].mean(axis=0)) if clamped else (np.zeros(units), np.ones(units))
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
    read_sigma = np.full(units, noise / np.sqrt(2 * repeats)) if clamped else np.zeros(units)
    finite = np.where(dead, 0.0, gain_sigma), np.where(dead, 0.0, offset_sigma)
    return Transfer(gain, finite[0], offset, finite[1], read_gain, read_offset, read_sigma, dead, noise)
