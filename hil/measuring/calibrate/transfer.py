"""Transfer of the neuron circuits of one layer and of the channels that read them, unit by unit."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from hil.measuring import lines
from hil.measuring.calibrate import rounding
from hil.measuring.calibrate.linearity import Linearity, basis, measure
from hil.measuring.calibrate.sweeps import HOLD, Sweep
from hil.measuring.lines import Lines
from hil.measuring.placed import Array

BEYOND = 0.15
"""How far beyond a rail an input must be for its reading to be that of the rail."""
INSIDE = (0.03, 0.97)
"""Corrected states between which a clamped neuron is far from its rails."""


@dataclass(frozen=True)
class Transfer:
    """One layer; every array is (units,), in model units, with its standard uncertainty beside it.

    A unit settles to `s = rails(gain slope (z - offset))` and reads `r = read_offset + read_gain (s + curve(s))`. A
    clamped unit's rails are known, so its readings tell channel and neuron apart; a linear unit's `gain` is that of
    both together. Through a DAC, `gain` and `offset` are those of the DAC's channel and the neuron together. Units that
    do not follow their input are `dead`: gain 1, offset 0.

    Attributes:
        adc: Nonlinearity of the channels that read; None where only that of DAC and ADC together could be seen.
        dac: What the DAC adds to it; of both together where `adc` is None; None where no DAC was in the way.
    """

    gain: Array
    gain_sigma: Array
    offset: Array
    offset_sigma: Array
    read_gain: Array
    read_gain_sigma: Array
    read_offset: Array
    read_offset_sigma: Array
    dead: NDArray[np.bool_]
    noise: float
    adc: Linearity | None = None
    dac: Linearity | None = None

    def states(self, readings: Array) -> Array:
        """Corrected states of readings (..., units)."""
        states = (readings - self.read_offset) / self.read_gain
        return states if self.adc is None or not self.adc.significant else states - self.adc.curve(states)


def fit(sweep: Sweep, slope: float, clamped: bool, step: float, ideal_dac: bool = False) -> Transfer:
    """Fits a layer.

    Args:
        sweep: From well below 0 to well above `1 / slope` where the layer is clamped.
        slope: Nominal slope of a clamped layer, 1 for a linear one.
        clamped: Do the units have rails at 0 and 1?
        step: Of the layer's ADC, model units; 0: ideal.
        ideal_dac: Has the DAC no steps? Then what bends is the ADC.
    """
    z, readings = sweep.inputs, sweep.readings
    _, repeats, _ = readings.shape
    noise = float(np.sqrt(readings.var(axis=1, ddof=1).mean()))
    means = readings.mean(axis=1)
    rail_sigma = noise / np.sqrt(repeats), rounding.offset_of(noise, step)
    low, low_sigma = _rail(means, z * slope < -BEYOND if clamped else z < -np.inf, 0.0, *rail_sigma)
    high, high_sigma = _rail(means, z * slope > 1 + BEYOND if clamped else z > np.inf, 1.0, *rail_sigma)
    dead = high - low < 0.5
    ones = np.ones(len(dead))
    start = Transfer(
        ones, 0 * ones, 0 * ones, 0 * ones, np.where(dead, 1.0, high - low), np.hypot(low_sigma, high_sigma),
        np.where(dead, 0.0, low), low_sigma, dead, noise,
    )  # fmt: skip
    bent = _linearity(start, sweep, slope, clamped, step)
    alone = sweep.through == "cells" or ideal_dac
    return _with_lines(replace(start, adc=bent) if alone else replace(start, dac=bent), sweep, slope, clamped)


def with_adc(
    found: Transfer, sweep: Sweep, by_cells: Sweep, input_sigma: float, slope: float, clamped: bool, step: float
) -> Transfer:
    """Takes the ADC's curve from a few units' sweep past the DAC; what then remains is the DAC's.

    Args:
        found: From the sweep through the DAC.
        sweep: That sweep.
        by_cells: Of the first units of the layer.
        input_sigma: Uncertainty of the held states they were driven by: of their converters' curve.
        slope: As in `fit`.
        clamped: As in `fit`.
        step: As in `fit`.
    """
    few = by_cells.inputs.shape[1]
    part = replace(found, read_gain=found.read_gain[:few], read_offset=found.read_offset[:few], dead=found.dead[:few])
    adc = _linearity(part, by_cells, slope, clamped, step)
    if adc is None:
        return found
    adc = adc.widened(input_sigma / HOLD)
    corrected = replace(found, adc=adc.padded(len(found.gain)), dac=None)
    dac = _linearity(corrected, sweep, slope, clamped, step)
    return _with_lines(replace(corrected, dac=dac), sweep, slope, clamped)


def _linearity(found: Transfer, sweep: Sweep, slope: float, clamped: bool, step: float) -> Linearity | None:
    states = found.states(sweep.readings.mean(axis=1))
    repeats = sweep.readings.shape[1]
    return measure(
        sweep.through, sweep.inputs * slope, states, _inside(states, found.dead, clamped), clamped, found.noise,
        repeats, step,
    )  # fmt: skip


def _with_lines(found: Transfer, sweep: Sweep, slope: float, clamped: bool) -> Transfer:
    """Gain and offset of every unit from its corrected states."""
    states = found.states(sweep.readings.mean(axis=1))
    mean_noise = found.noise / np.sqrt(sweep.readings.shape[1])
    inputs, inside = sweep.inputs * slope, _inside(states, found.dead, clamped)
    straight = lines.fit(inputs, states, inside, mean_noise)
    live = straight.follows & ~found.dead
    gain = np.where(live, straight.gain, 1.0)
    bent = _of_curve(found.adc, straight, inputs, states, inside)
    gain_sigma = np.sqrt(straight.gain_sigma**2 + bent[0] ** 2 + (gain * found.read_gain_sigma) ** 2)
    offset_sigma = np.sqrt(straight.offset_sigma**2 + bent[1] ** 2 + (found.read_offset_sigma / gain) ** 2)
    return replace(
        found,
        dead=~live,
        gain=gain,
        gain_sigma=np.where(live, gain_sigma, 0.0),
        offset=np.where(live, straight.offset / slope, 0.0),
        offset_sigma=np.where(live, offset_sigma / slope, 0.0),
    )


def _of_curve(
    adc: Linearity | None, straight: Lines, inputs: Array, states: Array, inside: NDArray[np.bool_]
) -> tuple[Array, Array]:
    """Uncertainty of every gain and offset that the curve's own brings along, corrected or not."""
    if adc is None:
        return np.zeros(len(straight.gain)), np.zeros(len(straight.gain))
    terms = basis(states, adc.curve.clamped, adc.curve.reach)
    count = np.maximum(inside.sum(axis=0), 1)
    x0, y0 = (np.where(inside, v, 0.0).sum(axis=0) / count for v in (inputs, states))
    x = np.where(inside, inputs - x0, 0.0)
    tilt = np.einsum("pu,put->ut", x, terms) / np.maximum((x * x).sum(axis=0), 1e-30)[:, None]
    lift = np.where(inside[..., None], terms, 0.0).sum(axis=0) / count[:, None]
    moved = (tilt * (y0 / straight.gain)[:, None] - lift) / straight.gain[:, None]
    gain2, offset2 = (np.einsum("ut,ts,us->u", v, adc.covariance, v) for v in (tilt, moved))
    return np.sqrt(gain2), np.sqrt(offset2)


def _inside(states: Array, dead: NDArray[np.bool_], clamped: bool) -> NDArray[np.bool_]:
    there = (states > INSIDE[0]) & (states < INSIDE[1]) if clamped else np.ones(states.shape, np.bool_)
    return np.asarray(there & ~dead)


def _rail(means: Array, there: NDArray[np.bool_], nominal: float, sigma: float, common: float) -> tuple[Array, Array]:
    """Reading of every unit at a rail and its uncertainty; the nominal one where no point is beyond the rail.

    Args:
        means: (points, units).
        there: Which points are beyond the rail.
        nominal: State of the rail.
        sigma: Of one mean, independent of the others.
        common: What all means of a unit are off together: they read the same voltage, so rounding errs alike.
    """
    count = there.sum(axis=0)
    seen = np.where(there, means, 0.0).sum(axis=0) / np.maximum(count, 1)
    total = np.hypot(sigma / np.sqrt(np.maximum(count, 1)), common)
    return np.where(count > 0, seen, nominal), np.where(count > 0, total, 0.0)
