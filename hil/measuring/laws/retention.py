"""Drift laws from retention series: what cells do as time goes by, and how much faster when hot."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import optimize

from hil.measuring.laws.choice import Chosen, halves, rank
from hil.measuring.laws.maximize import Found, maximize
from hil.measuring.laws.samples import OUTLIER, Range, Retention, robust_spread
from hil.measuring.laws.walks import correlated, jumping, normal

Array = NDArray[np.float64]
BOLTZMANN_EV = 8.617333262e-5
REFERENCE_K = 300.0
MOST_CELLS = 4000
"""Cells that candidates are fitted to; the law that is chosen is fitted to all."""

MOST = 0.6
"""Share of the cells that must have been read at an age for its mean and variance to count."""

ALIKE = 3.0
"""Groups whose spreads differ by less than so many times their own uncertainty (squared, on average) are alike."""

LEVELS = 8
"""Groups of cells of like conductance: their factors are a table in the datasheet."""

FEW_NODES, FEW_WEIGHTS = np.polynomial.hermite_e.hermegauss(5)
FEW_WEIGHTS = FEW_WEIGHTS / FEW_WEIGHTS.sum()

REACH = 12.0
"""How far from where they begin parameters may go, mostly logarithms."""

NODES, WEIGHTS = np.polynomial.hermite_e.hermegauss(15)


@dataclass(frozen=True)
class Prepared:
    """Changes since the write, microsiemens.

    Attributes:
        change: (cells, ages - 1), NaN where not read or an outlier.
        start: First conductance, (cells,).
        age: Of every change's end, seconds, (ages - 1,) or (cells, ages - 1).
        inverse_t: `1 / k T_ref - 1 / k T` of every cell, an electronvolt; 0 where the temperature is not known.
        group: Which group of like conductance, (cells,).
        factor: How strongly a group moves beside the others, (groups,).
        centre: Middle conductance of every group.
        top: Highest conductance of the range.
        outliers: Share of readings left out.
    """

    change: Array
    start: Array
    age: Array
    inverse_t: Array
    group: NDArray[np.int64]
    factor: Array
    centre: Array
    top: float
    outliers: float

    @cached_property
    def blocks(self) -> list[tuple[int, NDArray[np.int64], NDArray[np.int64]]]:
        """Cells of one group that were read at the same ages: group, the ages' places, the cells."""
        seen = np.isfinite(self.change)
        found = []
        for pattern in np.unique(seen, axis=0):
            same = (seen == pattern).all(axis=1)
            for g in range(LEVELS):
                rows = np.flatnonzero(same & (self.group == g))
                if len(rows) and pattern.any():
                    found.append((g, np.flatnonzero(pattern), rows))
        return found

    def variance(self, log_t0: float) -> tuple[float, float, float]:
        """Of the changes: its slope an e-fold, its acceleration, and that of the noise of two readings.

        Least squares of `noise2 + slope (L + acceleration L^2)` over the ages; factors of the groups are 1 in the mean
        square, so that they do not matter.
        """
        variance = np.nanvar(self.change[:, self.complete], axis=0)
        folds = np.maximum(np.log(self.age[self.complete]) - log_t0, 0.0)
        columns = [np.ones_like(folds), folds, folds**2][: max(2, min(3, len(folds) - 1))]
        found = optimize.nnls(np.stack(columns, axis=1) / variance[:, None], np.ones_like(folds))[0]
        slope = max(float(found[1]), 1e-9)
        return slope, float(found[2]) / slope if len(found) > 2 else 0.0, max(float(found[0]), 1e-6)

    def drift(self, log_t0: float) -> tuple[float, float]:
        """Mean change an e-fold of time, and a squared one, by least squares."""
        scaled = self.change[:, self.complete]
        folds = np.maximum(np.log(self.age[self.complete]) - log_t0, 1e-3)
        weight = np.sqrt(np.isfinite(scaled).sum(axis=0) / np.nanvar(scaled, axis=0))
        degree = [folds, folds**2][: min(2, len(folds) - 1)]
        design = np.stack(degree, axis=1) * weight[:, None]
        found = np.linalg.lstsq(design, np.nanmean(scaled, axis=0) * weight, rcond=None)[0]
        return float(found[0]), float(found[1]) if len(found) > 1 else 0.0

    @cached_property
    def complete(self) -> NDArray[np.bool_]:
        """Ages at which most cells were read: the others speak of a selection."""
        count = np.isfinite(self.change).sum(axis=0)
        return np.asarray(count > MOST * count.max())

    @cached_property
    def increments(self) -> dict[tuple[int, int], NDArray[np.int64]]:
        """Cells by the two neighbouring ages they were read at; -1 for the write."""
        seen = np.isfinite(self.change)
        last = np.full(len(seen), -1)
        found: dict[tuple[int, int], NDArray[np.int64]] = {}
        for k in range(seen.shape[1]):
            for before in np.unique(last[seen[:, k]]):
                found[int(before), k] = np.flatnonzero(seen[:, k] & (last == before))
            last[seen[:, k]] = k
        return found

    def of(self, chosen: NDArray[np.int64]) -> Prepared:
        """Some of the cells."""
        age = self.age if self.age.ndim == 1 else self.age[chosen]
        return Prepared(self.change[chosen], self.start[chosen], age, self.inverse_t[chosen], self.group[chosen],
                        self.factor, self.centre, self.top, self.outliers)  # fmt: skip


Likelihood = Callable[[Prepared, Array], Array]
"""Log-likelihood of every cell under parameters of order one."""


@dataclass(frozen=True)
class Law:
    """A candidate.

    Attributes:
        name: As the datasheet has it; behind a comma what is special.
        start: Parameters to begin with.
        likelihood: Of every cell.
        keys: Keys of `[drift]`, from parameters; and their standard uncertainties.
        noise: Standard deviation of a reading it leaves, microsiemens.
        hot: Does it know of temperature?
        bounds: Of its parameters; within `REACH` of the start when None.
        moments: Further parameters, which are the means and variances of the changes.
    """

    name: str
    start: Callable[[Prepared], list[float]]
    likelihood: Likelihood
    keys: Callable[[Prepared, Array], dict[str, Any]]
    noise: Callable[[Prepared, Array], float]
    hot: bool = False
    bounds: Callable[[Prepared], list[tuple[float, float]]] | None = None
    moments: int = 0


def choose(data: Retention, within: Range, seed: int = 0) -> Chosen:
    """The drift law of a retention series.

    Args:
        data: Cells by ages; with several temperatures, cells before and after a bake.
        within: Range of the conductances.
        seed: Of the halves.
    """
    ready = prepare(data, within)
    known = data.temperature_k[np.isfinite(data.temperature_k)]
    hot = len(np.unique(known)) > 1
    laws = [law for law in LAWS if law.hot == hot]
    train, held = halves(len(ready.start), seed)
    some = np.sort(np.random.default_rng(seed).permutation(train)[:MOST_CELLS])
    likelihoods: dict[str, tuple[int, Array]] = {}
    for law in laws:
        found = fit(ready.of(some), law)
        likelihoods[law.name] = (len(found.best) + law.moments, law.likelihood(ready.of(held), found.best))
    readings = int(np.isfinite(ready.change[held]).sum())
    name, scores = rank(likelihoods, readings)
    law = next(one for one in laws if one.name == name)
    found = fit(ready, law)
    keys = law.keys(ready, found.best)
    uncertainty = _uncertainty(ready, law, found, keys)
    notes = [f"{ready.outliers:.2%} of the readings are beyond {OUTLIER:g} robust standard deviations and left out"]
    noise = law.noise(ready, found.best) * 1e-6 / within.span_s
    sections: dict[str, dict[str, Any]] = {"read_noise": {"law": "additive", "sigma": noise}} if noise > 1e-6 else {}
    if keys.get("law", "none") != "none":
        sections["drift"] = keys
    return Chosen(name, sections, uncertainty, scores, f"{len(train):,} and {len(held):,} cells", notes)


def fit(ready: Prepared, law: Law) -> Found:
    """Fits a law."""

    def many(sets: Array) -> Array:
        return np.array([law.likelihood(ready, u).sum() for u in sets])

    start = law.start(ready)
    return maximize(many, start, law.bounds(ready) if law.bounds else [(s - REACH, s + REACH) for s in start])


def prepare(data: Retention, within: Range) -> Prepared:
    """Changes since the first reading, robustly: readings far from all others are left out and counted."""
    scale = 1e6
    start = data.siemens[:, 0] * scale
    change = (data.siemens[:, 1:] - data.siemens[:, :1]) * scale
    ages = data.ages_s
    age = data.age_s[1:] if data.age_s.ndim == 1 else ages[:, 1:] - ages[:, :1]
    wild = np.zeros(change.shape, dtype=bool)
    for kelvin in np.unique(np.nan_to_num(data.temperature_k)):
        rows = np.nan_to_num(data.temperature_k) == kelvin
        for k in range(change.shape[1]):
            one = change[rows, k]
            spread = float(
                np.nanstd(one[np.abs(one - np.nanmedian(one)) < OUTLIER * max(float(robust_spread(one)) * 2, 1e-12)])
            )
            wild[rows, k] = np.abs(one - np.nanmedian(one)) > OUTLIER * spread
    top = within.high_s * scale
    edges = np.quantile(start, np.linspace(0, 1, LEVELS + 1)[1:-1])
    group = np.searchsorted(edges, start)
    clean = np.where(wild, np.nan, change)
    factor, centre = np.ones(LEVELS), np.zeros(LEVELS)
    whole = _typical(clean[:, -1])
    for g in range(LEVELS):
        mine = group == g
        centre[g] = float(np.median(start[mine])) if mine.any() else 0.0
        if mine.sum() > 100 and whole > 0:
            factor[g] = max(_typical(clean[mine, -1]) / whole, 1e-3)
    count = np.bincount(group, minlength=LEVELS)
    if (2 * count * np.log(factor) ** 2).sum() < ALIKE * LEVELS:
        factor[:] = 1.0
    factor /= np.sqrt((factor[group] ** 2).mean())
    kelvin = np.where(np.isfinite(data.temperature_k), data.temperature_k, REFERENCE_K)
    inverse = (1 / REFERENCE_K - 1 / kelvin) / BOLTZMANN_EV
    share = float(wild.sum() / np.isfinite(change).sum())
    return Prepared(clean, start, age, inverse, group, factor, centre, top, share)


def _typical(change: Array) -> float:
    return float(np.nanstd(change))


def _uncertainty(ready: Prepared, law: Law, found: Found, keys: dict[str, Any]) -> dict[str, float]:
    """Standard uncertainties of keys, by moving each parameter by its own."""
    total: dict[str, float] = {}
    for place, sigma in enumerate(found.sigma):
        if not np.isfinite(sigma):
            continue
        moved = found.best.copy()
        moved[place] += sigma
        for key, value in law.keys(ready, moved).items():
            if isinstance(value, float) and isinstance(keys.get(key), float):
                name = f"drift.{key}"
                total[name] = float(np.hypot(total.get(name, 0.0), value - keys[key]))
    return total


def _folds(ready: Prepared, log_t0: float, ea: float = 0.0) -> Array:
    """`ln(t / t0)`, of the reference temperature, at least 0; (cells or 1, ages)."""
    log = np.log(np.maximum(ready.age, 1e-30)) - log_t0
    log = log if log.ndim == 2 else log[None]
    return np.maximum(log + ea * ready.inverse_t[:, None] if ea else log, 0.0)


# --- laws at one temperature, in microsiemens ---------------------------------------------------------------------


def _grouped(ready: Prepared, mean: Callable[[int], Array], covariance: Callable[[int], Array]) -> Array:
    """Joint normal likelihood, group by group."""
    total = np.zeros(len(ready.start))
    laws = [(mean(g), covariance(g)) for g in range(LEVELS)]
    for g, seen, rows in ready.blocks:
        middle, wide = laws[g]
        total[rows] = correlated(ready.change[np.ix_(rows, seen)] - middle[seen], wide[np.ix_(seen, seen)])
    return total


def _noise(count: int, sigma: float) -> Array:
    """Covariance of differences to one first reading, all with the same noise."""
    return np.asarray(sigma**2 * (np.eye(count) + 1))


def _none(ready: Prepared, u: Array) -> Array:
    count = ready.change.shape[1]
    return _grouped(ready, lambda g: np.zeros(count), lambda g: _noise(count, np.exp(u[0])))


def _relative(ready: Prepared, of: Array, kept: Array, slope: Array, spread: float, noise: float) -> Array:
    """Changes that are in proportion to something of each cell: `of (kept - 1 + spread slope xi)`, and noise."""
    total = np.zeros(len(ready.start))
    for _, seen, rows in ready.blocks:
        scale = np.maximum(np.abs(of[rows]), 1e-9)
        off = ready.change[np.ix_(rows, seen)] / scale[:, None] * np.sign(of[rows])[:, None] - (kept[seen] - 1)
        typical = float(np.median(scale))
        wide = spread**2 * np.outer(slope[seen], slope[seen]) + _noise(len(seen), noise / typical)
        total[rows] = correlated(off, wide) - len(seen) * np.log(scale)
    return total


def _power(ready: Prepared, u: Array) -> Array:
    t0, nu, spread, noise = np.exp(u[0]), u[1], np.exp(u[2]), np.exp(u[3])
    log = np.log1p(ready.age / t0)
    kept = np.exp(-nu * log)
    return _relative(ready, ready.start, kept, kept * log, spread, noise)


def _exponential(ready: Prepared, u: Array) -> Array:
    tau, spread, rest, noise = np.exp(u[0]), np.exp(u[1]), u[2], np.exp(u[3])
    kept = np.exp(-ready.age / tau)
    return _relative(ready, ready.start - rest, kept, kept * ready.age / tau, spread, noise)


def _relaxation(ready: Prepared, u: Array) -> Array:
    folds = _folds(ready, u[0])[0]
    spread = np.exp(u[2]) * folds + np.exp(u[3])
    return _grouped(
        ready, lambda g: u[1] * folds, lambda g: np.outer(spread, spread) + _noise(len(folds), np.exp(u[4]))
    )


def _walk(ready: Prepared, u: Array) -> Array:
    folds = _folds(ready, u[0])[0]
    variance = np.exp(u[2]) * np.minimum.outer(folds, folds)
    return _grouped(ready, lambda g: ready.factor[g] * u[1] * folds,
                    lambda g: ready.factor[g] ** 2 * variance + _noise(len(folds), np.exp(u[3])))  # fmt: skip


def _jumps(ready: Prepared, u: Array) -> Array:
    """Increments taken for independent, which the noise of readings is not quite; mean and variance are the changes'.

    Parameters: `ln t0`, `ln jumps`, lean of the jumps, `ln` of the volatility.
    """
    slope, acceleration, noise2 = ready.variance(float(u[0]))
    jumps, spread = np.exp(u[1]), np.exp(u[3])
    lean = np.sqrt(slope / jumps) * np.tanh(u[2]) * 0.99
    folds = _folds(ready, u[0])[0]
    factor = ready.factor[ready.group] * np.exp(spread * (FEW_NODES[:, None] - spread))
    first, second = ready.drift(float(u[0]))
    mean, clock = first * folds + second * folds**2, folds * (1 + acceleration * folds)
    total = np.zeros(factor.shape)
    for (before, k), rows in ready.increments.items():
        step = max(float(clock[k] - (clock[before] if before >= 0 else 0.0)), 1e-9)
        x = ready.change[rows, k] - (ready.change[rows, before] if before >= 0 else 0.0)
        x = x - ready.factor[ready.group[rows]] * float(mean[k] - (mean[before] if before >= 0 else 0.0))
        f = factor[:, rows]
        total[:, rows] += jumping(x / f, step, slope, jumps, lean, noise2) - np.log(f)
    top = total.max(axis=0)
    return np.asarray(np.log((FEW_WEIGHTS[:, None] * np.exp(total - top)).sum(axis=0)) + top)


# --- laws at several temperatures, before and after a bake ----------------------------------------------------------


def _hot_exponential(ready: Prepared, u: Array) -> Array:
    return _hot(ready, np.array([-99.0, 0.0, -99.0, u[3], u[0], u[1], u[2], u[4]]))


def _hot_walk(ready: Prepared, u: Array) -> Array:
    return _hot(ready, np.array([u[0], u[1], u[2], u[3], 99.0, 0.0, 0.0, u[4]]))


def _hot(ready: Prepared, u: Array) -> Array:
    """Walk and loss: `ln t0`, mean slope, `ln` variance slope, `ln` noise, `ln tau`, `ln` its spread, rest, energy."""
    log_t0, mean, variance, noise, log_tau, log_spread, rest, energy = u
    folds = _folds(ready, log_t0, energy)[:, -1]
    factor = ready.factor[ready.group]
    middle, wide = factor * mean * folds, factor**2 * np.exp(variance) * folds + 2 * np.exp(2 * noise)
    age = (ready.age if ready.age.ndim == 2 else ready.age[None])[:, -1]
    log_rate = np.log(age) + energy * ready.inverse_t - log_tau
    total = np.zeros(len(ready.start))
    for node, weight in zip(NODES, WEIGHTS / WEIGHTS.sum(), strict=True):
        lost = -np.expm1(-np.exp(np.clip(log_rate - np.exp(log_spread) * node, -60, 6))) * (ready.start - rest)
        total += weight * np.exp(np.clip(normal(ready.change[:, -1], middle - lost, wide), -700, 50))
    seen = np.isfinite(ready.change[:, -1])
    return np.where(seen, np.log(np.maximum(np.nan_to_num(total), 1e-300)), 0.0)


# --- keys of the datasheet, SI ----------------------------------------------------------------------------------------


def _levels(ready: Prepared) -> dict[str, Any]:
    if np.ptp(ready.factor) < 1e-9:
        return {}
    order = np.argsort(ready.centre)
    g = np.clip(ready.centre[order] / ready.top, 0.0, 1.0)
    keep = np.concatenate([[True], np.diff(g) > 1e-4])
    return {"levels": g[keep].tolist(), "level_factors": ready.factor[order][keep].tolist()}


def _power_keys(ready: Prepared, u: Array) -> dict[str, Any]:
    return {
        "law": "power",
        "t0_s": float(np.exp(u[0])),
        "nu_mean": float(max(u[1], 0.0)),
        "nu_sigma": float(np.exp(u[2])),
    }


def _exponential_keys(ready: Prepared, u: Array) -> dict[str, Any]:
    return {
        "law": "exponential",
        "tau_s": float(np.exp(u[0])),
        "tau_d2d": float(np.exp(u[1])),
        "rest_s": float(max(u[2], 0.0) * 1e-6),
    }


def _relaxation_keys(ready: Prepared, u: Array) -> dict[str, Any]:
    return {"law": "relaxation", "t0_s": float(np.exp(u[0])), "mean_slope_s": float(u[1] * 1e-6),
            "spread_slope_s": float(np.exp(u[2]) * 1e-6), "spread_offset_s": float(np.exp(u[3]) * 1e-6)}  # fmt: skip


def _walk_keys(ready: Prepared, u: Array) -> dict[str, Any]:
    return {"law": "walk", "t0_s": float(np.exp(u[0])), "mean_slope_s": float(u[1] * 1e-6),
            "variance_slope_s2": float(np.exp(u[2]) * 1e-12), **_levels(ready)}  # fmt: skip


def _jump_keys(ready: Prepared, u: Array) -> dict[str, Any]:
    jumps, (slope, acceleration, _) = float(np.exp(u[1])), ready.variance(float(u[0]))
    lean = float(np.sqrt(slope / jumps) * np.tanh(u[2]) * 0.99)
    first, second = ready.drift(float(u[0]))
    walk = _walk_keys(ready, np.array([u[0], first, np.log(slope)]))
    walk |= {"mean_curvature_s": second * 1e-6, "acceleration": acceleration}
    return {**walk, "jumps": jumps, "jump_mean_s": lean * 1e-6, "volatility": float(np.exp(u[3]))}  # fmt: skip


def _hot_exponential_keys(ready: Prepared, u: Array) -> dict[str, Any]:
    return {**_exponential_keys(ready, u), "activation_ev": float(u[4])}


def _hot_walk_keys(ready: Prepared, u: Array) -> dict[str, Any]:
    return {**_walk_keys(ready, u), "activation_ev": float(u[4])}


def _hot_keys(ready: Prepared, u: Array) -> dict[str, Any]:
    return {**_walk_keys(ready, u), "tau_s": float(np.exp(u[4])), "tau_d2d": float(np.exp(u[5])),
            "rest_s": float(max(u[6], 0.0) * 1e-6), "activation_ev": float(u[7])}  # fmt: skip


def _first(ready: Prepared) -> float:
    return float(np.log(np.min(ready.age) / 2))


def _zero(ready: Prepared) -> float:
    """Where the variance of the changes would be nothing, a little later: the rest is noise of the readings."""
    variance = np.nanvar(ready.change[:, ready.complete], axis=0)
    slope, offset = np.polyfit(np.log(ready.age[ready.complete]), variance, 1)
    first = float(np.log(ready.age.min()))
    return float(np.clip(-offset / max(slope, 1e-9) + 0.2, first - 4, first))


def _sd(ready: Prepared) -> float:
    return float(np.log(max(float(np.nanstd(ready.change[:, -1])), 1e-6)))


def _begin(ready: Prepared) -> float:
    return float(np.log(max(float(robust_spread(ready.change[:, 0])) / 2, 1e-4)))


def _middle_age(ready: Prepared) -> float:
    return float(np.log(np.max(ready.age)) + 1)


def _noise_at(place: int) -> Callable[[Prepared, Array], float]:
    return lambda ready, u: float(np.exp(u[place]))


def _jump_noise(ready: Prepared, u: Array) -> float:
    return float(np.sqrt(ready.variance(float(u[0]))[2] / 2))


def _jump_bounds(ready: Prepared) -> list[tuple[float, float]]:
    first = float(np.log(ready.age.min()))
    return [(first - 4, first), (-2.0, 4.0), (-2.0, 2.0), (-4.0, -0.2)]


def _begin_hot(ready: Prepared) -> list[float]:
    return [12.0, -0.05, 2 * _sd(ready) - 3, _sd(ready) - 2]


LAWS: tuple[Law, ...] = (
    Law("none", lambda r: [_sd(r)], _none, lambda r, u: {"law": "none"}, _noise_at(0)),
    Law("power", lambda r: [_first(r), 0.03, np.log(0.01), _begin(r)], _power, _power_keys, _noise_at(3)),
    Law("exponential", lambda r: [_middle_age(r), np.log(0.2), 0.0, _begin(r)], _exponential, _exponential_keys,
        _noise_at(3)),
    Law("relaxation", lambda r: [_first(r), -0.05, _sd(r) - 2, _begin(r), _begin(r)], _relaxation, _relaxation_keys,
        _noise_at(4)),
    Law("walk", lambda r: [_first(r), -0.05, 2 * _sd(r) - 2, _begin(r)], _walk, _walk_keys, _noise_at(3)),
    Law("walk, jumps", lambda r: [_zero(r), 2.0, 0.0, -1.0], _jumps, _jump_keys, _jump_noise,
        bounds=_jump_bounds, moments=5),
    Law("exponential, Arrhenius", lambda r: [20.0, 0.5, 0.0, _sd(r) - 1, 1.0], _hot_exponential,
        _hot_exponential_keys, _noise_at(3), True),
    Law("walk, Arrhenius", lambda r: [*_begin_hot(r), 1.0], _hot_walk, _hot_walk_keys, _noise_at(3), True),
    Law("walk and loss, Arrhenius", lambda r: [*_begin_hot(r), 27.0, 0.5, 0.0, 1.1], _hot, _hot_keys, _noise_at(3),
        True),
)  # fmt: skip
