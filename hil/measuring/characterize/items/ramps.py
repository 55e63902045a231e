"""What a ramp of pulses says of the law of one direction, free of the bias that scattering pulses bring to a plain fit.

A cell `i` moves by `D_ik = P_k a_i (1 + beta (x_ik - zero)) + noise` in the group `k` of `P_k` pulses, `x_ik` its level in
the middle of the group. Where single pulses scatter, a level holds the noise of all pulses before it, and a regression of
changes on levels is biased. The number of pulses given so far is not: it is the instrument by which `beta` is found.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from hil.measuring import robust
from hil.measuring.characterize import health
from hil.measuring.characterize.items.item import Array

WINDOW = (0.05, 0.95)
"""Levels between which a law is fitted; at the ends a cell's own range stops it."""
GROUPS = 4
"""Fewest groups of a cell within the window."""
RESET = 0.1
"""A pulse that moves cells by more than this share of the range is a reset, not a step."""
CURVED = 3.0
ROUNDS = 20


@dataclass(frozen=True)
class Ramp:
    """One direction.

    Attributes:
        cells: Step of every cell at `zero`, shares of the range; NaN where it cannot be said.
        error2: Variance of the error of a step, mean over cells.
        error2_sigma: Standard uncertainty of that mean.
        beta: Slope with the level, relative to the step at `zero`.
        beta_sigma: Its type A uncertainty.
        bend: What a straight law leaves, in the step at `zero`, relative: a type B uncertainty.
        beta_bend: The same of `beta`.
        mean_level: Mean distance of the levels from `zero`: as far as a step there leans on the slope.
        c2c2: Square of the relative scatter of a pulse.
        c2c2_sigma: Its uncertainty.
    """

    cells: Array
    error2: float
    error2_sigma: float
    beta: float
    beta_sigma: float
    bend: float
    beta_bend: float
    mean_level: float
    c2c2: float
    c2c2_sigma: float


@dataclass(frozen=True)
class _Groups:
    """Groups of one direction: changes, levels at their beginning, pulses, which count, and the variance of a mean reading."""

    change: Array
    start: Array
    pulses: Array
    inside: NDArray[np.bool_]
    noise2: Array
    sign: int


def ramp(data: xr.Dataset, direction: int, zero: float) -> Ramp | None:
    """The law of one direction (+1 or -1); None where its pulses are resets, or leave the window at once."""
    g = _groups(data, direction)
    usable = (g.inside.sum(axis=0) >= GROUPS) & health.good(data).reshape(-1)
    if usable.sum() < 3 or usable.sum() < 0.5 * health.good(data).sum():
        return None
    if (
        float(np.median(g.change[g.inside & usable] / np.repeat(g.pulses[:, None], usable.size, 1)[g.inside & usable]))
        > RESET
    ):
        return None
    few = _Groups(
        *(v[:, usable] if v.ndim == 2 else v for v in (g.change, g.start, g.pulses, g.inside, g.noise2)), g.sign
    )
    return _fit(few, usable, zero)


def _groups(data: xr.Dataset, direction: int) -> _Groups:
    readings = data["level"].to_numpy()
    flat = readings.reshape(*readings.shape[:2], -1)
    means, noise2 = flat.mean(axis=1), flat.var(axis=1, ddof=1) / flat.shape[1]
    chosen = np.flatnonzero(data["direction"].to_numpy()[1:] == direction) + 1
    both = np.minimum(means[chosen], means[chosen - 1]), np.maximum(means[chosen], means[chosen - 1])
    inside = (both[0] > WINDOW[0]) & (both[1] < WINDOW[1])
    change = direction * (means[chosen] - means[chosen - 1])
    return _Groups(
        change,
        means[chosen - 1],
        data["pulses"].to_numpy()[chosen],
        inside,
        noise2[chosen] + noise2[chosen - 1],
        direction,
    )


def _fit(g: _Groups, usable: NDArray[np.bool_], zero: float) -> Ramp:
    p, there = g.pulses[:, None] * g.inside, g.inside
    change = np.where(there, g.change, 0.0)
    total = p.sum(axis=0)
    given = np.cumsum(p, axis=0) - p / 2
    instrument = np.where(there, given - (p * given).sum(axis=0) / total, 0.0)
    count = there.sum(axis=0)
    beta, a = 0.0, change.sum(axis=0) / total
    noise2 = np.where(there, g.noise2, 0.0).sum(axis=0) / count
    for _ in range(ROUNDS):
        middle = g.start + g.sign * p * a / 2 - zero  # by the law, not by what the group happened to move
        weight = np.where(there, p * (1 + beta * middle), 0.0)
        a = change.sum(axis=0) / weight.sum(axis=0)
        left = np.where(there, change - weight * a, 0.0)
        # every reading ends one change and begins the next: about their mean a row of n changes holds the noise of its
        # two ends (n + 1) / n times
        scatter2 = ((left**2).sum(axis=0) - noise2 * (count**2 - 1) / count) / (total * (count - 1) / count)
        usual = robust.typical(a)
        numerator = (instrument * change).sum(axis=0)
        reach = (instrument * p * middle).sum(axis=0)
        later = np.cumsum((instrument * p)[::-1], axis=0)[::-1] - instrument * p / 2
        shared = g.sign * (p * later).sum(axis=0) / weight.sum(axis=0) * max(float(scatter2[usual].mean()), 0.0)
        width = float((a * reach - shared)[usual].sum())
        new = float(numerator[usual].sum()) / width if width else 0.0
        done, beta = abs(new - beta) < 1e-9, new
        if done:
            break
    scores = numerator - beta * (a * reach - shared)
    beta_sigma = float(scores[usual].std(ddof=1) * np.sqrt(usual.sum()) / abs(width))
    bend, beta_bend = _bend(g, a, beta, zero, usual)
    steps2 = (weight**2 * a**2 / np.where(there, np.maximum(p, 1), 1)).sum(
        axis=0
    ) / total  # mean square step on the way
    of_a2 = (scatter2 / total + noise2 * 2 / np.maximum(total, 1) ** 2) / (weight.sum(axis=0) / total) ** 2
    square = float(steps2[usual].mean()) - float(of_a2[usual].mean())
    c2c2 = float(scatter2[usual].mean()) / square
    # neighbouring changes share a reading, which costs a third of the freedom of the part that readings bring
    c2c2_sigma = float(scatter2[usual].std(ddof=1) / np.sqrt(usual.sum())) / square
    every = np.full(usable.size, np.nan)
    every[np.flatnonzero(usable)] = a
    error_sigma = float(of_a2[usual].std(ddof=1) / np.sqrt(usual.sum()))
    return Ramp(
        every,
        float(of_a2[usual].mean()),
        error_sigma,
        beta,
        beta_sigma,
        bend,
        beta_bend,
        float(middle[there].mean()),
        c2c2,
        c2c2_sigma,
    )


def _bend(g: _Groups, a: Array, beta: float, zero: float, usual: NDArray[np.bool_]) -> tuple[float, float]:
    """What a parabola would move of step and slope at `zero`, relative to the step, noise taken out."""
    there = g.inside & usual
    count = there.sum(axis=1)
    rows = count >= 0.5 * count.max()
    safe = np.maximum(count, 1)
    p = g.pulses
    middle = g.start + g.sign * p[:, None] * a / 2 - zero
    law = p[:, None] * a * (1 + beta * middle)
    left = np.where(there, g.change - law, 0.0)
    mean, error = left.sum(axis=1) / safe / p, np.sqrt(np.where(there, left**2, 0.0).sum(axis=1)) / safe / p
    x = np.where(there, middle, 0.0).sum(axis=1) / safe
    if rows.sum() < 4:
        return 0.0, 0.0
    weight = 1 / np.maximum(error[rows], 1e-15)
    design = np.stack([np.ones(rows.sum()), x[rows], x[rows] ** 2], axis=1)
    inverse = np.linalg.pinv(design * weight[:, None])
    found = inverse @ (mean[rows] * weight)
    sigma = np.sqrt((inverse**2).sum(axis=1))
    typical = float(a[usual].mean())
    if abs(found[2]) < CURVED * sigma[2]:
        return 0.0, 0.0
    return abs(float(found[0])) / typical, abs(float(found[1])) / typical
