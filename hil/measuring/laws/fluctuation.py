"""Read noise and telegraph noise from repeated readings."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from firmware_specs.extras import extra
from hil.measuring.laws.choice import Chosen, halves, rank
from hil.measuring.laws.samples import Range, Series, robust_spread

with extra("measure", "fitting laws to readings"):
    from sklearn.mixture import GaussianMixture

Array = NDArray[np.float64]
BLOCK = 10
"""Readings of which the median is taken before levels are looked for."""

APART = 3.0
"""Two levels are telegraph noise when they are this many of their own standard deviations apart,"""

SHARE = 0.02
"""and each is taken for at least this share of the time."""


@dataclass(frozen=True)
class Levels:
    """Two levels of one cell.

    Attributes:
        amplitude: Their distance over the mean conductance; 0 where there is only one.
        up_s: Mean time in the upper level.
        down_s: Mean time in the lower one.
        inside: Spread within a level, relative: 1/f noise and smaller traps.
    """

    amplitude: float
    up_s: float
    down_s: float
    inside: float


def choose(data: Series, within: Range, seed: int = 0, traps: bool = True) -> Chosen:
    """The law of read noise, and telegraph noise where cells show it.

    White noise is what neighbouring readings differ by; it is additive or relative, as half of the cells say of the
    other half. A single cell is split in halves of time.

    Args:
        data: Readings.
        within: Range of the conductances.
        seed: Of the halves.
        traps: Look for telegraph noise, too? Of readings whose times nobody knows it has no rates.
    """
    mean = data.siemens.mean(axis=1)
    sigma = robust_spread(np.diff(data.siemens, axis=1), axis=1) / np.sqrt(2)
    sigma = np.maximum(sigma, 1e-6 * within.span_s)
    train, held = halves(len(mean), seed) if len(mean) > 1 else (np.array([0]), np.array([0]))
    count = data.siemens.shape[1]
    candidates = {"relative": mean, "additive": np.full_like(mean, within.span_s)}
    likelihoods = {}
    for name, scale in candidates.items():
        law = float(np.sqrt(((sigma[train] / scale[train]) ** 2).mean())) * scale[held]
        likelihoods[name] = (1, -count * (np.log(law) + 0.5 * np.log(2 * np.pi) + 0.5 * (sigma[held] / law) ** 2))
    name, scores = rank(likelihoods, count * len(held))
    ratio = sigma / candidates[name]
    value = float(np.sqrt((ratio**2).mean()))
    sections: dict[str, dict[str, object]] = {"read_noise": {"law": name, "sigma": value}}
    several = len(mean) > 1
    error = float(ratio.std(ddof=1) / np.sqrt(len(mean))) if several else value / np.sqrt(2 * count)
    uncertainty = {"read_noise.sigma": error}
    said = f"{len(train)} and {len(held)} cells"
    if not traps:
        return Chosen(name, sections, uncertainty, scores, said)
    found = [levels(row, data.interval_s) for row in data.siemens]
    sections |= _telegraph(found, mean, within, uncertainty)
    switching = sum(f.amplitude > 0 for f in found)
    notes = [f"{switching} of {len(found)} cells show two levels at least {APART:g} of their own spreads apart"]
    return Chosen(name, sections, uncertainty, scores, said, notes)


def levels(row: Array, interval_s: float) -> Levels:
    """The two levels of a cell, if it has two."""
    for block in (1, BLOCK) if len(row) >= 100 * BLOCK else (1,):
        found = _two(row, interval_s, block)
        if found.amplitude > 0:
            break
    return found


def _two(row: Array, interval_s: float, block: int) -> Levels:
    """Two levels in medians of blocks; amplitude 0 where they are not apart."""
    y = np.median(row[: len(row) // block * block].reshape(-1, block), axis=1)
    mean = float(np.abs(row.mean()))
    if np.ptp(y) == 0 or len(y) < 20:
        return Levels(0.0, 0.0, 0.0, float(y.std()) / max(mean, 1e-30))
    scaled = (y - y.mean()) / y.std()
    two = GaussianMixture(2, covariance_type="tied", random_state=0, n_init=2).fit(scaled[:: _thin(len(y)), None])
    low, high = np.sort(two.means_.ravel())
    inside = float(np.sqrt(two.covariances_.ravel()[0]))
    if high - low < APART * inside or float(two.weights_.min()) < SHARE:
        return Levels(0.0, 0.0, 0.0, float(y.std()) / mean)
    up = _with_hysteresis(scaled, low, high)
    changes = max(np.count_nonzero(up[1:] != up[:-1]) / 2, 0.5)
    span_s = interval_s * block
    amplitude = float((high - low) * y.std() / mean)
    up_s, down_s = (float(side.sum()) * span_s / changes for side in (up, ~up))
    return Levels(amplitude, up_s, down_s, inside * float(y.std()) / mean)


def _thin(count: int) -> int:
    """Every which reading is enough to find the levels."""
    return max(count // 10_000, 1)


def _with_hysteresis(y: Array, low: float, high: float) -> NDArray[np.bool_]:
    """Which level, changed only by readings that are nearer to the other one than a quarter of the distance."""
    edge = (high - low) / 4
    sure = np.where(y > high - edge, 1, np.where(y < low + edge, 0, -1))
    index = np.where(sure >= 0, np.arange(len(y)), 0)
    np.maximum.accumulate(index, out=index)
    return np.asarray(np.where(sure[index] >= 0, sure[index], 0) == 1)


def _telegraph(
    found: list[Levels], mean: Array, within: Range, uncertainty: dict[str, float]
) -> dict[str, dict[str, object]]:
    """`[telegraph]` of a population: medians and spreads of the cells that switch."""
    traps = [(f, g) for f, g in zip(found, mean, strict=True) if f.amplitude > 0]
    if not traps:
        return {}
    log_a = np.log([f.amplitude for f, _ in traps])
    log_g = np.log([g / within.high_s for _, g in traps])
    exponent = 0.0
    if len(traps) > 3 and np.ptp(log_g) > 0.5:
        exponent = float(np.clip(-np.polyfit(log_g, log_a, 1)[0], 0.0, 4.0))
    rest = log_a + exponent * log_g
    dwell = np.log([[f.up_s, f.down_s] for f, _ in traps])
    count, cells = len(traps), len(found)
    spread = [float(v.std(ddof=1)) if count > 2 else 0.0 for v in (rest, dwell[:, 0], dwell[:, 1])]
    amplitude = float(min(np.exp(np.mean(rest)), 1.9))
    up, down = (float(np.exp(np.mean(dwell[:, k]))) for k in (0, 1))
    share = count / cells
    keys = {"amplitude": amplitude, "amplitude_exponent": exponent, "amplitude_d2d": spread[0], "up_s": up,
            "down_s": down, "dwell_d2d": float(np.hypot(spread[1], spread[2]) / np.sqrt(2)), "share": share,
            }  # fmt: skip
    uncertainty["telegraph.amplitude"] = amplitude * spread[0] / np.sqrt(count)
    uncertainty["telegraph.up_s"], uncertainty["telegraph.down_s"] = (
        up * spread[1] / np.sqrt(count),
        down * spread[2] / np.sqrt(count),
    )
    uncertainty["telegraph.share"] = float(np.sqrt((share * (1 - share) + 0.25 / cells) / cells))
    return {"telegraph": dict(keys)}
