"""Pulse laws from ramps: which family, its parameters, the spread between devices and between pulses, read noise."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hil.measuring.imports.readings import Readings
from hil.measuring.laws.choice import Chosen, halves, rank
from hil.measuring.laws.maximize import Found, maximize
from hil.measuring.laws.ramp_filter import Turned, log_likelihood
from hil.measuring.laws.responses import FAMILIES, KNOTS, Family
from hil.measuring.laws.samples import Ramps, robust_spread

Array = NDArray[np.float64]
PIECE = 200
"""Readings of a piece of a ramp, where there are so few ramps that pieces must stand for independent units."""

SLOW = ", slow noise"

FEW = 6
"""Fewer ramps than this are cut in pieces."""

MOST_RAMPS = 64
"""Ramps of one direction that are fitted; more hardly add to what is known."""


@dataclass(frozen=True)
class Fitted:
    """A family fitted to one direction.

    Attributes:
        family: Which.
        found: Parameters: of the family, of its spread, then `ln` of the noise of a reading.
        d2d: Spread of the logarithm of the ramps' factors, and its standard uncertainty.
        factor: `ln` of each ramp's factor on the step, shrunk to what is known of it.
        outliers: Readings left out.
        slow: Does it have noise of the readings that outlives a pulse?
    """

    family: Family
    found: Found
    d2d: tuple[float, float]
    factor: Array
    outliers: int
    slow: bool = False

    @property
    def slow_noise(self) -> tuple[float, float]:
        """Standard deviation of noise that outlives a pulse, shares of the range, and the pulses it lasts."""
        return (float(np.exp(self.found.best[-3])), float(np.exp(self.found.best[-2]))) if self.slow else (0.0, 0.0)

    @property
    def c2c(self) -> float:
        """Spread from pulse to pulse, shares of a step, where it is one number."""
        return float(np.exp(self.found.best[self.family.size]))

    @property
    def noise(self) -> float:
        """Standard deviation of a reading, shares of the range."""
        return float(np.exp(self.found.best[-1]))

    def sigma(self, place: int) -> float:
        """Standard uncertainty of a parameter."""
        return float(self.found.sigma[place])


def choose(ramps: Sequence[Ramps], families: Sequence[Family] = FAMILIES, seed: int = 0) -> Chosen:
    """The pulse law of ramps.

    Args:
        ramps: Up ramps, down ramps, or both.
        families: Candidates.
        seed: Of the halves.

    Raises:
        ValueError: no ramp moves.
    """
    few = any(len(r.x) < FEW for r in ramps)
    turned = [_turned(_units(_fewer(r, seed)), few) for r in ramps]
    split = [halves(len(t.x), seed) for t, _ in turned]
    readings = sum(int(np.isfinite(t.x[held, 1:]).sum()) for (t, _), (_, held) in zip(turned, split, strict=True))
    likelihoods: dict[str, tuple[int, Array]] = {}

    def judge(family: Family, slow: bool) -> None:
        seen = []
        for (t, d2d), (train, held) in zip(turned, split, strict=True):
            fitted = fit(t.of(train), family, d2d, slow)
            seen.append(log_likelihood(t.of(held), family, fitted.found.best[None], slow)[0][0])
        name = family.name + (SLOW if slow else "")
        likelihoods[name] = ((family.parameters + 1 + 2 * slow) * len(ramps), np.concatenate(seen))

    for family in families:
        judge(family, slow=few)
    law, scores = rank(likelihoods, readings)
    family = next(f for f in families if f.name == law.removesuffix(SLOW))
    judge(family, slow=not few)
    law, scores = rank(likelihoods, readings)
    family = next(f for f in families if f.name == law.removesuffix(SLOW))
    whole = [_turned(_fewer(r, seed), few) for r in ramps]
    both = [fit(t, family, d2d, law.endswith(SLOW)) for t, d2d in whole]
    said = " and ".join(f"{sum(len(s[i]) for s in split):,}" for i in (0, 1))
    sections, uncertainty = _sections(ramps, both)
    notes = [f"{sum(f.outliers for f in both)} readings beyond 8 standard deviations left out"]
    notes += [
        f"noise that outlives a pulse: {f.slow_noise[0]:.3g} of the range for {f.slow_noise[1]:.3g} pulses"
        for f in both
        if f.slow
    ]
    return Chosen(law, sections, uncertainty, scores, f"{said} {'pieces of the ramps' if few else 'ramps'}", notes)


def fit(ramps: Turned, family: Family, d2d: tuple[float, float] = (0.0, 0.0), slow: bool = False) -> Fitted:
    """Fits a family to turned ramps, with or without noise of the readings that outlives a pulse."""
    start_step, table = _first_guess(ramps.x, ramps.pulses)
    noise, spread = _noise_guess(ramps.x, ramps.pulses)
    rest = [np.log(spread)] * len(KNOTS) if family.spreads else [np.log(spread / start_step)]
    start = np.array([*family.start(start_step, table), *rest, *([np.log(noise), 2.0] if slow else []), np.log(noise)])

    def many(u: Array) -> Array:
        prior = 0.005 * ((u - start)[:, family.size :] ** 2).sum(axis=1)  # keeps what is not seen in sight
        return np.asarray(log_likelihood(ramps, family, u, slow)[0].sum(axis=1) - prior)

    found = maximize(many, start.tolist())
    outliers = log_likelihood(ramps, family, found.best[None], slow)[1]
    return Fitted(family, found, d2d, np.log(ramps.factor), outliers, slow)


def _turned(ramps: Ramps, single: bool) -> tuple[Turned, tuple[float, float]]:
    """Ramps as going up, each with the factor of its steps; and the spread of those factors."""
    x = ramps.x if ramps.up else 1 - ramps.x
    if single:
        return Turned(x, ramps.pulses, np.ones(len(x))), (0.0, 0.0)
    _, table = _first_guess(x, ramps.pulses)
    noise, spread = _noise_guess(x, ramps.pulses)
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
    return Turned(x, ramps.pulses, np.exp(shrunk)), (float(np.sqrt(d2d2)), float(sigma))


def _fewer(ramps: Ramps, seed: int) -> Ramps:
    if len(ramps.x) <= MOST_RAMPS:
        return ramps
    return ramps.of(np.sort(np.random.default_rng(seed).permutation(len(ramps.x))[:MOST_RAMPS]))


def _units(ramps: Ramps) -> Ramps:
    """Pieces of the ramps, where there are few of them."""
    if len(ramps.x) >= FEW:
        return ramps
    count = max(ramps.x.shape[1] // PIECE, 2)
    pieces = [np.array_split(np.stack([x, k]), count, axis=1) for x, k in zip(ramps.x, ramps.pulses, strict=True)]
    flat = [piece for row in pieces for piece in row if np.isfinite(piece[0]).sum() > 3]
    longest = max(piece.shape[1] for piece in flat)
    x, k = np.full((len(flat), longest), np.nan), np.zeros((len(flat), longest))
    for number, piece in enumerate(flat):
        x[number, : piece.shape[1]], k[number, : piece.shape[1]] = piece
    return Ramps(x, k, np.zeros(len(flat), dtype=np.int64), ramps.up, ramps.amplitude_v, ramps.width_s)


def pieces(readings: Readings) -> Readings:
    """Ramps of very few cells cut in pieces of `PIECE` readings, each as a cell of its own."""
    order = np.lexsort((readings.columns["pulse"], -readings.columns["polarity"], readings.cell))
    cut = readings.where(order)
    key = np.stack([cut.cell, cut.columns["polarity"], cut.columns.get("cycle", np.zeros(len(cut)))], axis=1)
    _, ramp = np.unique(key, axis=0, return_inverse=True)
    ramp = ramp.ravel()
    number = np.zeros(len(cut), dtype=np.int64)
    total = 0
    for one in dict.fromkeys(ramp.tolist()):
        rows = np.flatnonzero(ramp == one)
        parts = np.array_split(np.arange(len(rows)), max(round(len(rows) / PIECE), 2))
        for part in parts:
            number[rows[part]] = total
            total += 1
    return Readings("ramps", number, cut.columns, (), cut.source)


def _first_guess(x: Array, pulses: Array) -> tuple[float, Array]:
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


def _noise_guess(x: Array, pulses: Array) -> tuple[float, float]:
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


def _sections(ramps: Sequence[Ramps], fitted: Sequence[Fitted]) -> tuple[dict[str, dict[str, Any]], dict[str, float]]:
    """Keys of `[pulses]`, and `[read_noise]` as the ramps saw it."""
    up = next((f for r, f in zip(ramps, fitted, strict=True) if r.up), fitted[0])
    down = next((f for r, f in zip(ramps, fitted, strict=True) if not r.up), fitted[-1])
    first = ramps[0]
    keys: dict[str, Any] = {"law": up.family.name.split()[0]}
    sigma: dict[str, float] = {}
    _common(keys, sigma, up, down)
    _SHAPES[keys["law"]](keys, sigma, up, down)
    shared, apart = _between(up, down)
    keys |= {"step_d2d": shared, "step_spread": "log_normal", "asymmetry_d2d": apart}
    sigma["pulses.step_d2d"] = _both(up.d2d[1], down.d2d[1])
    if up.slow:  # it lasts until the next train of pulses in the emulator
        slow = float(np.sqrt((up.slow_noise[0] ** 2 + down.slow_noise[0] ** 2) / 2))
        keys["write_noise"] = slow / keys["step"]
    if np.isfinite(first.amplitude_v) and first.amplitude_v > 0:
        keys["amplitude_v"] = first.amplitude_v
    if np.isfinite(first.width_s) and first.width_s > 0:
        keys["width_s"] = first.width_s
    noise = float(np.sqrt((up.noise**2 + down.noise**2) / 2))
    sigma["read_noise.sigma"] = _both(up.noise * up.sigma(-1), down.noise * down.sigma(-1))
    return {"pulses": keys, "read_noise": {"law": "additive", "sigma": noise}}, sigma


def _common(keys: dict[str, Any], sigma: dict[str, float], up: Fitted, down: Fitted) -> None:
    """Step and asymmetry: of families that have response 1 at mid-range or anywhere."""
    a, b = (float(np.exp(f.found.best[0])) for f in (up, down))
    keys["step"], keys["asymmetry"] = (a + b) / 2, (a - b) / (a + b)
    sigma["pulses.step"] = float(np.hypot(a * up.sigma(0), b * down.sigma(0)) / 2)
    sigma["pulses.asymmetry"] = float(np.hypot(up.sigma(0), down.sigma(0)) / 2)
    if not up.family.spreads:
        keys["c2c"] = float(np.sqrt((up.c2c**2 + down.c2c**2) / 2))
        place = up.family.size
        sigma["pulses.c2c"] = _both(up.c2c * up.sigma(place), down.c2c * down.sigma(place))


def _linear_keys(keys: dict[str, Any], sigma: dict[str, float], up: Fitted, down: Fitted) -> None:
    for key, f in (("slope_up", up), ("slope_down", down)):
        keys[key] = float(min(f.found.best[1], 1.0))  # steeper, and it ends inside the range
        sigma[f"pulses.{key}"] = f.sigma(1)


def _power_keys(keys: dict[str, Any], sigma: dict[str, float], up: Fitted, down: Fitted) -> None:
    for key, f in (("gamma_up", up), ("gamma_down", down)):
        keys[key] = float(np.exp(f.found.best[1]))
        sigma[f"pulses.{key}"] = keys[key] * f.sigma(1)


def _exponential_keys(keys: dict[str, Any], sigma: dict[str, float], up: Fitted, down: Fitted) -> None:
    for way, f in (("up", up), ("down", down)):
        keys[f"amplitude_{way}"], keys[f"gamma_{way}"] = float(f.found.best[1]), float(np.exp(f.found.best[2]))
        sigma[f"pulses.amplitude_{way}"] = f.sigma(1)
        sigma[f"pulses.gamma_{way}"] = keys[f"gamma_{way}"] * f.sigma(2)


def _table_keys(keys: dict[str, Any], sigma: dict[str, float], up: Fitted, down: Fitted) -> None:
    """`step` is the mean of both at mid-range; down ramps were turned, so that their knots run the other way."""
    rise, fall = np.exp(up.found.best[: len(KNOTS)]), np.exp(down.found.best[: len(KNOTS)])[::-1]
    middle = (np.interp(0.5, KNOTS, rise) + np.interp(0.5, KNOTS, fall)) / 2
    keys |= {"step": float(middle), "asymmetry": 0.0, "levels": KNOTS.tolist()}
    keys |= {"up": (rise / middle).tolist(), "down": (fall / middle).tolist()}
    place = len(KNOTS) // 2
    sigma["pulses.step"] = float(np.hypot(rise[place] * up.sigma(place), fall[place] * down.sigma(place)) / 2)
    sigma.pop("pulses.asymmetry", None)
    if up.family.spreads:
        for key, f, turn in (("spread_up", up, 1), ("spread_down", down, -1)):
            spread = np.exp(f.found.best[f.family.size : f.family.size + len(KNOTS)])
            keys[key] = (spread[::turn] / middle).tolist()


def _none(keys: dict[str, Any], sigma: dict[str, float], up: Fitted, down: Fitted) -> None:
    return


_SHAPES = {
    "constant": _none,
    "soft_bounds": _none,
    "linear": _linear_keys,
    "power": _power_keys,
    "exponential": _exponential_keys,
    "table": _table_keys,
}


def _between(up: Fitted, down: Fitted) -> tuple[float, float]:
    """Spread of a cell's step and of its asymmetry, from how its factors up and down agree."""
    if up is down or len(up.factor) != len(down.factor) or len(up.factor) < FEW:
        return float(np.sqrt((up.d2d[0] ** 2 + down.d2d[0] ** 2) / 2)), 0.0
    variance = (up.d2d[0] ** 2 + down.d2d[0] ** 2) / 2
    if min(up.factor.std(), down.factor.std()) == 0:
        return float(np.sqrt(variance)), 0.0
    agree = float(np.clip(np.corrcoef(up.factor, down.factor)[0, 1], 0.0, 1.0))
    return float(np.sqrt(variance * (1 + agree) / 2)), float(np.sqrt(variance * (1 - agree) / 2))


def _both(a: float, b: float) -> float:
    return float(np.hypot(a, b) / 2)
