"""What ramps say at first glance: their steps by level, read noise, and the factor of each ramp's steps."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from hil.measuring.laws.ramp_filter import Turned
from hil.measuring.laws.responses import KNOTS
from hil.measuring.laws.samples import Ramps, robust_spread

Array = NDArray[np.float64]
END = 0.02
"""Readings that pulses should bring this near an end of the range are not judged: steps end there."""

WINDOW = 25
"""Readings whose median says where a ramp is, where the noise of one is larger than `END`."""


def turned(ramps: Ramps, single: bool) -> tuple[Turned, tuple[float, float]]:
    """Ramps as going up, each with the factor of its steps; and the spread of those factors."""
    x = ramps.x if ramps.up else 1 - ramps.x
    _, table = first_guess(x, ramps.pulses)
    judged = _judged(x, ramps.pulses, table)
    if single:
        return Turned(x, ramps.pulses, np.ones(len(x)), judged), (0.0, 0.0)
    noise, spread = noise_guess(x, ramps.pulses)
    seen = np.isfinite(x) & (x > 0.05) & (x < 0.95)
    both = seen[:, 1:] & seen[:, :-1]
    moved = np.where(both, np.diff(x, axis=1), 0.0).sum(axis=1)
    middle = np.nan_to_num((x[:, 1:] + x[:, :-1]) / 2)
    wanted = np.where(both, np.interp(middle, KNOTS, table) * ramps.pulses[:, 1:], 0.0).sum(axis=1)
    good = (moved > 0.1 * wanted) & (wanted > 0)
    log = np.where(good, np.log(np.where(good, moved, 1.0) / np.where(good, wanted, 1.0)), 0.0)
    count = np.maximum((both * ramps.pulses[:, 1:]).sum(axis=1), 1)
    error2 = np.where(good, (2 * noise**2 + count * spread**2) / np.where(good, moved, 1.0) ** 2, 0.0)
    log = np.where(good, log - np.median(log[good]), 0.0)
    inside = good & (np.abs(log) < 6 * max(float(robust_spread(log[good])), 1e-9))
    d2d2 = max(float(log[inside].var(ddof=1) - error2[inside].mean()), 0.0)
    sigma = float(log[inside].var(ddof=1)) * np.sqrt(2 / inside.sum()) / (2 * max(np.sqrt(d2d2), 1e-3))
    shrunk = log * d2d2 / np.maximum(d2d2 + error2, 1e-30)
    return Turned(x, ramps.pulses, np.exp(shrunk), judged), (float(np.sqrt(d2d2)), float(sigma))


def _judged(x: Array, pulses: Array, table: Array) -> NDArray[np.bool_]:
    """Readings away from the ends, by the reading before and the steps at first glance, whatever a law will say."""
    there = np.isfinite(x)
    filled = np.where(there, x, 0.0)
    smooth = ndimage.median_filter(filled, size=(1, min(WINDOW, 2 * (x.shape[1] // 6) + 1)), mode="nearest")
    at = smooth if float(robust_spread((filled - smooth)[there])) > END else filled
    coming = at[:, :-1] + pulses[:, 1:] * np.interp(at[:, :-1], KNOTS, table)
    judged = np.zeros(x.shape, dtype=bool)
    judged[:, 1:] = there[:, 1:] & there[:, :-1] & (coming > END) & (coming < 1 - END)
    return judged


def first_guess(x: Array, pulses: Array) -> tuple[float, Array]:
    """Step at mid-range, and at the knots: changes over a stretch, by the level in its middle."""
    stretch = int(np.clip(x.shape[1] // 8, 1, 25))
    moved = (x[:, stretch:] - x[:, :-stretch]).ravel()
    count = np.cumsum(pulses, axis=1)
    given = (count[:, stretch:] - count[:, :-stretch]).ravel()
    middle = ((x[:, stretch:] + x[:, :-stretch]) / 2).ravel()
    good = np.isfinite(moved) & (given > 0)
    if not good.any() or (np.median(moved[good]) <= 0 and moved[good].mean() <= 0):
        raise ValueError("no ramp moves in the direction of its pulses")
    step, at = moved[good] / given[good], middle[good]
    overall = max(float(step.mean()), 1e-9)
    table = []
    for knot in KNOTS:
        weight = np.exp(-0.5 * ((at - knot) / 0.08) ** 2) + 1e-9
        table.append(max(float((weight * step).sum() / weight.sum()), overall / 20))
    return float(np.interp(0.5, KNOTS, table)), np.array(table)


def noise_guess(x: Array, pulses: Array) -> tuple[float, float]:
    """Read noise, and spread of a step, from how neighbouring changes correlate."""
    change = np.diff(x, axis=1)
    change = change - np.nanmean(change)
    good = np.isfinite(change)
    variance = float(robust_spread(change[good]) ** 2)
    pairs = good[:, 1:] & good[:, :-1]
    clipped = np.clip(change, -4 * np.sqrt(variance), 4 * np.sqrt(variance))
    covariance = float((clipped[:, 1:] * clipped[:, :-1])[pairs].mean()) if pairs.any() else 0.0
    noise2 = float(np.clip(-covariance, variance * 0.01, variance * 0.49))
    per_pulse = max(variance - 2 * noise2, variance * 0.02) / max(float(pulses[:, 1:].mean()), 1.0)
    return float(np.sqrt(noise2)), float(np.sqrt(per_pulse))
