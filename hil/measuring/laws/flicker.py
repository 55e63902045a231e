"""Read noise that grows with age: which law, from the scatter of readings at several ages since one write."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hil.measuring.laws.choice import Chosen, halves, rank
from hil.measuring.laws.maximize import Found, maximize, widened
from hil.measuring.laws.samples import Range

Array = NDArray[np.float64]
AGES = 3
"""Ages from which on growth with age can be told from how noise depends on the conductance, which drifts, too."""
WILD = 20.0
"""A variance so many times its law is taken for that: a trap switched meanwhile, and says nothing of noise."""
SMALLEST = 1e-3
"""Of `g^exponent`, as in the emulator's law."""
EARLIEST_S = 1e-12


@dataclass(frozen=True)
class Scatter:
    """How readings of every cell scattered at every age.

    Attributes:
        siemens: Mean conductance, (cells, ages).
        variance_s2: Of the readings about it, square siemens, (cells, ages).
        age_s: Seconds since the write, above 0, (ages,).
        freedom: Degrees of freedom of a variance: readings less one.
    """

    siemens: Array
    variance_s2: Array
    age_s: Array
    freedom: int

    def of(self, chosen: NDArray[np.int64]) -> Scatter:
        """Some of the cells."""
        return Scatter(self.siemens[chosen], self.variance_s2[chosen], self.age_s, self.freedom)


Law = Callable[[Scatter, Range, Array], Array]
"""Variance of a reading, square siemens, of parameters of order one."""


def relative(data: Scatter, within: Range, u: Array) -> Array:
    """Parameter: `ln sigma`."""
    return np.asarray((np.exp(u[0]) * data.siemens) ** 2)


def additive(data: Scatter, within: Range, u: Array) -> Array:
    """Parameter: `ln sigma`."""
    return np.full(data.siemens.shape, float((np.exp(u[0]) * within.span_s) ** 2))


def flicker(data: Scatter, within: Range, u: Array) -> Array:
    """`(G Q)^2 ln(t / (2 t_r) + 1/2)`, `Q = scale / g^exponent`; parameters `ln scale`, exponent, `ln t_r`."""
    g = np.maximum(data.siemens / within.high_s, 0.0)
    quality = np.exp(u[0]) / np.maximum(g ** u[1], SMALLEST)
    return np.asarray((data.siemens * quality) ** 2 * np.log(data.age_s / (2 * np.exp(u[2])) + 0.5))


def choose(data: Scatter, within: Range, seed: int = 0) -> Chosen:
    """The law of read noise, where readings of several ages are known.

    Args:
        data: Of cells that work.
        within: Range of the conductances.
        seed: Of the halves.

    Raises:
        ValueError: there are too few ages.
    """
    if len(data.age_s) < AGES:
        raise ValueError(f"readings at {len(data.age_s)} ages: noise that grows with age needs {AGES} at least")
    train, held = halves(len(data.siemens), seed)
    laws: dict[str, tuple[Law, list[float], list[tuple[float, float]]]] = _candidates(data, within)
    likelihoods = {}
    for name, (law, start, bounds) in laws.items():
        best = _fit(data.of(train), within, law, start, bounds).best
        likelihoods[name] = (len(start), _likelihood(data.of(held), within, law, best))
    name, scores = rank(likelihoods, held.size * len(data.age_s))
    found = _fit(data, within, *laws[name])
    keys, error = _keys(name, found)
    said = f"{len(train):,} and {len(held):,} cells, {len(data.age_s)} ages"
    return Chosen(name, {"read_noise": keys}, {f"read_noise.{k}": v for k, v in error.items()}, scores, said)


def _candidates(data: Scatter, within: Range) -> dict[str, tuple[Law, list[float], list[tuple[float, float]]]]:
    share = np.log(np.sqrt(np.median(data.variance_s2 / np.maximum(data.siemens, 1e-3 * within.high_s) ** 2)) + 1e-9)
    span = np.log(np.sqrt(np.median(data.variance_s2)) / within.span_s + 1e-9)
    first = float(np.log(data.age_s.min()))
    wide = [(float(share) - 8, float(share) + 8)]
    return {
        "relative": (relative, [float(share)], wide),
        "additive": (additive, [float(span)], [(float(span) - 8, float(span) + 8)]),
        "flicker": (
            flicker, [float(share) - 1.3, 0.5, first - 12], [*wide, (0.0, 2.0), (np.log(EARLIEST_S), first - 0.7)],
        ),
    }  # fmt: skip


def _likelihood(data: Scatter, within: Range, law: Law, u: Array) -> Array:
    """Of every cell; a variance of `n` degrees of freedom is `sigma^2 / n` times a chi square."""
    variance = np.maximum(law(data, within, u), 1e-60)
    ratio = np.minimum(data.variance_s2 / variance, WILD)
    return np.asarray((-0.5 * data.freedom * (np.log(variance) + ratio)).sum(axis=1))


def _fit(data: Scatter, within: Range, law: Law, start: list[float], bounds: list[tuple[float, float]]) -> Found:
    def units(sets: Array) -> Array:
        return np.stack([_likelihood(data, within, law, u) for u in sets])

    return widened(maximize(lambda sets: units(sets).sum(axis=1), start, bounds), units)


def _keys(name: str, found: Found) -> tuple[dict[str, Any], dict[str, float]]:
    best, sigma = found.best, found.sigma
    if name != "flicker":
        return {"law": name, "sigma": float(np.exp(best[0]))}, {"sigma": float(np.exp(best[0]) * sigma[0])}
    keys = {
        "law": name, "scale": float(np.exp(best[0])), "exponent": float(best[1]), "t_read_s": float(np.exp(best[2])),
    }  # fmt: skip
    error = (keys["scale"] * sigma[0], sigma[1], keys["t_read_s"] * sigma[2])
    return keys, {k: float(v) for k, v in zip(("scale", "exponent", "t_read_s"), error, strict=True)}
