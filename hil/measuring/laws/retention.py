"""Drift laws from retention series: what cells do as time goes by, and how much faster when hot."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hil.measuring.laws import bakes, drift_keys, drifts
from hil.measuring.laws.changes import REFERENCE_K, TINY, Prepared, prepare
from hil.measuring.laws.choice import Chosen, halves, rank
from hil.measuring.laws.maximize import Found, maximize, widened
from hil.measuring.laws.samples import OUTLIER, Range, Retention, robust_spread

__all__ = ["LAWS", "REFERENCE_K", "Law", "choose", "fit"]
Array = NDArray[np.float64]
MOST_CELLS = 4000
"""Cells that candidates are fitted to; the law that is chosen is fitted to all."""

DRAWS = 30
"""Draws of cells with replacement."""

REACH = 12.0
"""How far from where they begin parameters may go, mostly logarithms."""

Likelihood = Callable[[Prepared, Array], Array]
"""Log-likelihoods (sets, cells) of parameters (sets, ...) of order one."""

CHUNK = 1 << 15
"""Numbers worked at together: parameter sets times cells that stay in a processor's cache."""


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
    if not np.nanmax(np.abs(ready.change)) > TINY:
        return Chosen("none", {}, {}, (), f"{len(ready.start):,} cells", ["no reading moved"])
    known = data.temperature_k[np.isfinite(data.temperature_k)]
    hot = len(np.unique(known)) > 1
    laws = [law for law in LAWS if law.hot == hot]
    train, held = halves(len(ready.start), seed)
    some = np.sort(np.random.default_rng(seed).permutation(train)[:MOST_CELLS])
    likelihoods: dict[str, tuple[int, Array]] = {}
    for law in laws:
        found = fit(ready.of(some), law)
        likelihoods[law.name] = (len(found.best) + law.moments, law.likelihood(ready.of(held), found.best[None])[0])
    readings = int(np.isfinite(ready.change[held]).sum())
    name, scores = rank(likelihoods, readings)
    law = next(one for one in laws if one.name == name)
    found = fit(ready, law)
    keys = law.keys(ready, found.best)
    uncertainty = _uncertainty(ready, law, found, keys)
    notes = [f"{ready.outliers:.2%} of the readings are beyond {OUTLIER:g} standard deviations and left out"]
    noise = law.noise(ready, found.best) * 1e-6 / within.span_s
    sections: dict[str, dict[str, Any]] = {"read_noise": {"law": "additive", "sigma": noise}} if noise > 1e-6 else {}
    if keys.get("law", "none") != "none":
        sections["drift"] = keys
    return Chosen(name, sections, uncertainty, scores, f"{len(train):,} and {len(held):,} cells", notes)


def fit(ready: Prepared, law: Law) -> Found:
    """Fits a law."""

    together = max(1, CHUNK // len(ready.start))

    def units(sets: Array) -> Array:
        parts = range(0, len(sets), together)
        return np.concatenate([law.likelihood(ready, sets[first : first + together]) for first in parts])

    start = law.start(ready)
    bounds = law.bounds(ready) if law.bounds else [(s - REACH, s + REACH) for s in start]
    return widened(maximize(lambda sets: units(sets).sum(axis=1), start, bounds), units)


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
    return _with_moments(ready, law, found, total) if law.moments else total


def _with_moments(ready: Prepared, law: Law, found: Found, total: dict[str, float]) -> dict[str, float]:
    """What keys that are means and variances of the changes scatter by, from cells drawn with replacement."""
    rng, count = np.random.default_rng(0), len(ready.start)
    drawn = [law.keys(ready.of(rng.integers(0, count, count)), found.best) for _ in range(DRAWS)]
    for key in [k for k, v in drawn[0].items() if isinstance(v, float)]:
        spread = float(np.std([one[key] for one in drawn], ddof=1))
        if spread > 0:
            total[f"drift.{key}"] = float(np.hypot(total.get(f"drift.{key}", 0.0), spread))
    return total


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
    return float(np.sqrt(ready.clock(float(u[0]))[2] / 2))


def _jump_bounds(ready: Prepared) -> list[tuple[float, float]]:
    first = float(np.log(ready.age.min()))
    return [(first - 4, first), (-2.0, 4.0), (-2.0, 2.0), (-4.0, -0.2)]


def _begin_hot(ready: Prepared) -> list[float]:
    return [12.0, -0.05, 2 * _sd(ready) - 3, _sd(ready) - 2]


LAWS: tuple[Law, ...] = (
    Law("none", lambda r: [_sd(r)], drifts.none_law, lambda r, u: {"law": "none"}, _noise_at(0)),
    Law("power", lambda r: [_first(r), 0.03, np.log(0.01), _begin(r)], drifts.power, drift_keys.power, _noise_at(3)),
    Law("exponential", lambda r: [_middle_age(r), np.log(0.2), 0.0, _begin(r)], drifts.exponential,
        drift_keys.exponential, _noise_at(3)),
    Law("relaxation", lambda r: [_first(r), -0.05, _sd(r) - 2, _begin(r), _begin(r)], drifts.relaxation,
        drift_keys.relaxation, _noise_at(4)),
    Law("walk", lambda r: [_first(r), -0.05, 2 * _sd(r) - 2, _begin(r)], drifts.gaussian_walk, drift_keys.walk,
        _noise_at(3)),
    Law("walk, jumps", lambda r: [_zero(r), 2.0, 0.0, -1.0], drifts.walk_by_jumps, drift_keys.walk_by_jumps,
        _jump_noise, bounds=_jump_bounds, moments=8),
    Law("exponential, Arrhenius", lambda r: [20.0, 0.5, 0.0, _sd(r) - 1, 1.0], bakes.exponential,
        drift_keys.hot_exponential, _noise_at(3), True),
    Law("walk, Arrhenius", lambda r: [*_begin_hot(r), 1.0], bakes.walk, drift_keys.hot_walk, _noise_at(3), True),
    Law("walk and loss, Arrhenius", lambda r: [*_begin_hot(r), 27.0, 0.5, 0.0, 1.1], bakes.walk_and_loss,
        drift_keys.walk_and_loss, _noise_at(3), True),
)  # fmt: skip
"""Laws that are tried on a retention series, at one temperature and hot."""
