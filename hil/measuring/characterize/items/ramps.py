"""What a ramp of pulses says of the law of one direction, free of the bias that scattering pulses bring to a plain fit.

A cell `i` moves by `D_ik = P_k a_i (1 + beta (x_ik - zero)) + noise` in the group `k` of `P_k` pulses, `x_ik` its level
in the middle of the group. Where single pulses scatter, a level holds the noise of all pulses before it, and a
regression of changes on levels is biased. The number of pulses given so far is not: it is the instrument by which
`beta` is found.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from hil.measuring import robust
from hil.measuring.characterize import health
from hil.measuring.characterize.items.item import Array

if TYPE_CHECKING:
    import xarray as xr

WINDOW = (0.05, 0.95)
"""Levels between which a law is fitted; at the ends a cell's own range stops it."""
GROUPS = 4
"""Fewest groups of a cell within the window."""
RESET = 0.1
"""A pulse that moves cells by more than this share of the range is a reset, not a step."""
CURVED = 3.0
OFF = 7.0
"""A cell has stopped where a group of it is that many standard deviations off its own mean."""
BENT = 0.3
"""What the bend of a law over a ramp may do to a group besides, relative to the step."""
MEDIAN2 = 0.4549
"""Median of the square of a standard normal."""
ROUNDS = 20
BENDS = 6
LEAST_BEND = 1e-3
"""Share of a step that a parabola must move over the ramp to be looked at."""


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
        half: Half of the levels' span.
        swing: Scatter of a group's change over the change.
        low: Lowest level of the ramp that most cells have, of 0 .. 1.
        high: Highest.
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
    half: float
    swing: float
    low: float
    high: float
    c2c2: float
    c2c2_sigma: float


@dataclass(frozen=True)
class _Groups:
    """Groups of one direction: changes, levels at their beginning, pulses, which count, variance of a mean reading."""

    change: Array
    start: Array
    pulses: Array
    inside: NDArray[np.bool_]
    noise2: Array
    sign: int

    def of(self, cells: NDArray[np.bool_]) -> _Groups:
        """The same of some cells."""
        return replace(
            self, change=self.change[:, cells], start=self.start[:, cells], inside=self.inside[:, cells],
            noise2=self.noise2[:, cells],
        )  # fmt: skip


def ramp(data: xr.Dataset, direction: int, zero: float) -> Ramp | None:
    """The law of one direction (+1 or -1); None where its pulses are resets, or leave the window at once."""
    g = _groups(data, direction)
    usable = (g.inside.sum(axis=0) >= GROUPS) & health.good(data).reshape(-1)
    if usable.sum() < 3 or usable.sum() < 0.5 * health.good(data).sum():
        return None
    per_pulse = np.where(g.inside & usable, g.change / g.pulses[:, None], np.nan)
    reached = (g.inside & usable).sum(axis=1) >= 3
    if not float(np.max(np.nanmedian(per_pulse[reached], axis=1), initial=-np.inf)) <= RESET:
        return None
    few = g.of(usable)
    sound = ~_stopped(few)
    usable[np.flatnonzero(usable)] = sound
    return _fit(few.of(sound), usable, zero)


def _stopped(g: _Groups) -> NDArray[np.bool_]:
    """Cells that left their own way in a group, (cells,): one that has come to the end of its own range does.

    What a group may be off the cell's mean is judged by the crowd: relative to the cell's step, by the square root of
    the pulses; and by the readings' noise.
    """
    p = g.pulses[:, None] * g.inside
    total = p.sum(axis=0)
    a = np.where(g.inside, g.change, 0.0).sum(axis=0) / total
    x = g.start - np.where(g.inside, g.start, 0.0).sum(axis=0) / g.inside.sum(axis=0)
    y = np.where(g.inside, g.change / g.pulses[:, None] / np.where(a > 0, a, np.nan) - 1.0, np.nan)
    tilt = float(np.nanmedian(y * np.sign(x)) / max(float(np.nanmedian(np.abs(x))), 1e-9))
    left2 = (y - tilt * x) ** 2
    read2 = g.noise2 / (g.pulses[:, None] * np.where(a > 0, a, np.nan)) ** 2
    pulse2 = max(float(np.nanmedian((left2 / MEDIAN2 - read2) * g.pulses[:, None])), 0.0)
    limit = OFF**2 * (pulse2 / g.pulses[:, None] + read2) + BENT**2
    return np.asarray((np.where(g.inside, left2, 0.0) > limit).any(axis=0) | ~(a > 0))


def ended(found: Ramp, bounds: float) -> float:
    """Relative error of a group's mean change at either end of a ramp by cells whose own range ends there.

    A cell that stops is left out where that can be told from the scatter of its pulses. Where it cannot, the end of its
    range throws back what scatters beyond it.

    Args:
        found: The ramp.
        bounds: Spread of either end of cells' ranges between cells, shares of the range.
    """
    if not bounds:
        return 0.0
    beyond = float(stats.norm.cdf(-found.low / bounds) + stats.norm.cdf((found.high - 1) / bounds))
    return beyond * (1 + found.swing) * min(1.0, OFF * found.swing)


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
    """Fits the law, with a parabola in it where a straight one does not do."""
    gamma, law = 0.0, _straight(g, zero, 0.0)
    for _ in range(BENDS):
        more = _bend(g, law, zero)
        if not more:
            break
        gamma += more
        law = _straight(g, zero, gamma)
    middle = law.middle[g.inside]
    # what is left of a law that bends is taken for a quarter of what the parabola was
    bend, beta_bend = abs(gamma) * float(np.mean(middle**2)) / 4, abs(gamma) * float(np.sqrt(np.mean(middle**2))) / 4
    levels = np.array(
        [np.median(row[inside]) for row, inside in zip(law.middle, g.inside, strict=True) if inside.any()]
    )
    usual, total = law.usual, (g.pulses[:, None] * g.inside).sum(axis=0)
    # the error of a step: pulses over the whole way, readings at its ends
    of_a2 = (law.scatter2 / total + law.noise2 * 2 / total**2) / (law.weight.sum(axis=0) / total) ** 2
    steps2 = (law.weight**2 * law.a**2 / np.maximum(g.pulses[:, None], 1)).sum(axis=0) / total
    there2 = (law.weight**2 / np.maximum(g.pulses[:, None], 1)).sum(axis=0) / total
    noisy = float(of_a2[usual].mean())
    # a cell that went far met other steps; where noise took it there, that is half in the square of its step already
    together = float(np.mean(law.a[usual] ** 2)) * float(there2[usual].mean())
    own = max(1 - noisy / max(float(law.a[usual].var(ddof=1)), 1e-30), 0.0)
    square = together + (float(steps2[usual].mean()) - together) * (1 + own) / 2 - noisy * float(there2[usual].mean())
    every = np.full(usable.size, np.nan)
    every[np.flatnonzero(usable)] = law.a
    return Ramp(
        cells=every,
        error2=float(of_a2[usual].mean()),
        error2_sigma=float(of_a2[usual].std(ddof=1) / np.sqrt(usual.sum())),
        beta=law.beta,
        beta_sigma=law.beta_sigma,
        bend=bend,
        beta_bend=beta_bend,
        mean_level=float(middle.mean()),
        half=float(np.ptp(levels)) / 2,
        swing=float(np.sqrt(max(law.scatter2[usual].mean(), 0.0) * np.median(g.pulses)))
        / max(float(np.median((law.weight * law.a)[g.inside])), 1e-12),
        low=float(levels.min()) + zero,
        high=float(levels.max()) + zero,
        c2c2=float(law.scatter2[usual].mean()) / square,
        c2c2_sigma=float(law.scatter2[usual].std(ddof=1) / np.sqrt(usual.sum())) / square,
    )


@dataclass(frozen=True)
class _Law:
    """A fitted law: step of every cell, slope, variance of a pulse, and what the groups were weighted with."""

    a: Array
    beta: float
    beta_sigma: float
    gamma: float
    scatter2: Array
    noise2: Array
    weight: Array
    middle: Array
    usual: NDArray[np.bool_]


def _straight(g: _Groups, zero: float, gamma: float) -> _Law:
    """`a` of every cell and the common `beta` of `a (1 + beta u + gamma u^2)`, `u` the level from `zero`."""
    p, there = g.pulses[:, None] * g.inside, g.inside
    change, total, count = np.where(there, g.change, 0.0), p.sum(axis=0), there.sum(axis=0)
    given = np.cumsum(p, axis=0) - p / 2
    instrument = np.where(there, given - (p * given).sum(axis=0) / total, 0.0)
    noise2 = np.where(there, g.noise2, 0.0).sum(axis=0) / count
    later = np.cumsum(p[::-1], axis=0)[::-1] - p
    marked = np.cumsum((instrument * p)[::-1], axis=0)[::-1] - instrument * p
    start, beta, a = g.start - zero, 0.0, change.sum(axis=0) / total
    for _ in range(ROUNDS):
        # the middle of a group by the law, not by what the group happened to move
        middle = start + g.sign * (p - 1) / 2 * a * (1 + beta * start + gamma * start**2)
        weight = np.where(there, p * (1 + beta * middle + gamma * middle**2), 0.0)
        a = change.sum(axis=0) / weight.sum(axis=0)
        left = np.where(there, change - weight * a, 0.0)
        usual = robust.typical(a)
        # every reading ends one change and begins the next: about their mean a row of n changes holds the noise of
        # its two ends (n^2 - 1) / n times
        scatter2 = ((left**2).sum(axis=0) - noise2 * (count**2 - 1) / count) / (total * (count - 1) / count)
        pulse2 = max(float(scatter2[usual].mean()), 0.0)
        # a cell whose pulses happened to move it far met other steps there: both have one cause
        scattered = weight**2 / np.maximum(p, 1)  # of a group, as its steps are
        scattered = scattered * pulse2 * total / scattered.sum(axis=0)
        a = a + g.sign * beta * (scattered * later).sum(axis=0) / weight.sum(axis=0) ** 2
        numerator = (instrument * (change - p * a * gamma * middle**2)).sum(axis=0)
        reach = (instrument * p * middle).sum(axis=0)
        shared = g.sign * (scattered * marked).sum(axis=0) / weight.sum(axis=0)
        width = float((a * reach - shared)[usual].sum())
        new = float(numerator[usual].sum()) / width if width else 0.0
        done, beta = abs(new - beta) < 1e-10, new
        if done:
            break
    scores = (numerator - beta * (a * reach - shared))[usual]
    beta_sigma = float(scores.std(ddof=1) * np.sqrt(usual.sum()) / abs(width))
    return _Law(a, beta, beta_sigma, gamma, scatter2, noise2, weight, middle, usual)


def _bend(g: _Groups, law: _Law, zero: float) -> float:
    """What the means of all cells leave as a parabola, relative to the step; 0 where that is within its noise."""
    there = g.inside & law.usual
    count = there.sum(axis=1)
    rows = count >= 0.5 * count.max()
    if rows.sum() < GROUPS:
        return 0.0
    p, count = g.pulses[rows], count[rows]
    left = np.where(there, g.change - law.weight * law.a, 0.0)[rows]
    mean, error = left.sum(axis=1) / count / p, np.sqrt((left**2).sum(axis=1)) / count / p
    x = np.where(there, law.middle, 0.0)[rows].sum(axis=1) / count
    weight = 1 / np.maximum(error, 1e-15)
    inverse = np.linalg.pinv(np.stack([np.ones_like(x), x, x**2], axis=1) * weight[:, None])
    found, sigma = inverse @ (mean * weight), np.sqrt((inverse**2).sum(axis=1))
    step = float(law.a[law.usual].mean())
    significant = abs(found[2]) > CURVED * sigma[2] and abs(found[2]) * np.ptp(x) ** 2 > LEAST_BEND * step
    return float(found[2]) / step if significant else 0.0
