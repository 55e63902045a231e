"""Pulse laws from ramps: which family, its parameters, the spread between devices and between pulses, read noise."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hil.measuring.laws.choice import Chosen, Score, halves, open_to, rank
from hil.measuring.laws.maximize import Many, maximize, peak, widened
from hil.measuring.laws.ramp_filter import Turned, log_likelihood
from hil.measuring.laws.ramp_guesses import first_guess, noise_guess, turned
from hil.measuring.laws.ramp_keys import Fitted, sections_of
from hil.measuring.laws.ramp_pieces import FEW, alternate, count
from hil.measuring.laws.responses import FAMILIES, KNOTS, Family
from hil.measuring.laws.samples import Ramps

Array = NDArray[np.float64]
SLOW = ", slow noise"

MOST_RAMPS = 64
"""Ramps of one direction that are fitted; more hardly add to what is known."""

PARTS = 10
"""Stretches of time, of all ramps together, whose scores say how uncertain a fit of few ramps is."""


TOLD = 12
"""Held-out stretches of one direction, at least: of a handful of ramps none could tell a law from another."""


@dataclass(frozen=True)
class Share:
    """What of some ramps is fitted to, or judged by.

    Attributes:
        ramps: Read from their beginning to their end: a reading is judged by what is known from those before it.
        parts: Stretches of time of each.
        taken: Which of them, of all ramps together, count.
    """

    ramps: Turned
    parts: int
    taken: NDArray[np.int64]

    def likelihood(self, family: Family, u: Array, slow: bool) -> Array:
        """Of the stretches that count, (sets, stretches)."""
        return log_likelihood(self.ramps, family, u, slow, self.parts)[0][:, self.taken]


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
    whole = [turned(_fewer(r, seed), few) for r in ramps]
    split = [_halves(t, few, seed) for t, _ in whole]
    readings = sum(
        int(held.ramps.judged.sum()) * len(held.taken) // (len(held.ramps.x) * held.parts) for _, held in split
    )
    likelihoods: dict[str, tuple[int, Array]] = {}
    middles: dict[str, Array] = {}

    def judge(family: Family, slow: bool) -> None:
        name = family.name + (SLOW if slow else "")
        likelihoods[name], middles[name] = _judged(split, family, slow)

    for family in families:
        judge(family, slow=few)
    simplest, scores = rank(likelihoods, readings)
    for name in dict.fromkeys((simplest, scores[0].law)):
        judge(_family(name, families), slow=not few)
    law, scores = rank(likelihoods, readings)
    both = [fit(t, _family(law, families), d2d, law.endswith(SLOW)) for t, d2d in whole]
    by_law, said = _of_law(law, scores, middles)
    sections, uncertainty = sections_of(ramps, both, by_law)
    counts = [f"{sum(len(share.taken) for share in shares):,}" for shares in zip(*split, strict=True)]
    notes = [*_notes(both), *said]
    return Chosen(law, sections, uncertainty, scores, _said(counts, few, max(held.parts for _, held in split)), notes)


def _said(counts: Sequence[str], few: bool, parts: int) -> str:
    """How much was fitted to, and how much it was judged by."""
    if few:
        return f"{' and '.join(counts)} stretches of the ramps"
    return f"{' and '.join(counts)} ramps" if parts == 1 else f"{counts[0]} ramps and {counts[1]} stretches of others"


def fit(ramps: Turned, family: Family, d2d: tuple[float, float] = (0.0, 0.0), slow: bool = False) -> Fitted:
    """Fits a family to turned ramps, with or without noise of the readings that outlives a pulse.

    Uncertainties are those of the curvature or, where a law does not hold to the letter and its scores scatter more
    than that, those of the scores: of ramps, or of stretches of time where there are few ramps.
    """
    parts = max(1, -(-PARTS // len(ramps.x)))
    every = Share(ramps, parts, np.arange(len(ramps.x) * parts))
    found = widened(maximize(*_search(every, family, slow)), lambda u: every.likelihood(family, u, slow))
    outliers = log_likelihood(ramps, family, found.best[None], slow)[1]
    return Fitted(family, found, d2d, np.log(ramps.factor), outliers, slow)


def _search(share: Share, family: Family, slow: bool) -> tuple[Many, list[float]]:
    """What is to be maximized, and where to begin."""
    ramps = share.ramps
    start_step, table = first_guess(ramps.x, ramps.pulses)
    noise, spread = noise_guess(ramps.x, ramps.pulses)
    rest = [np.log(spread)] * len(KNOTS) if family.spreads else [np.log(spread / start_step)]
    start = np.array([*family.start(start_step, table), *rest, *([np.log(noise), 2.0] if slow else []), np.log(noise)])

    def many(u: Array) -> Array:
        prior = 0.005 * ((u - start)[:, family.size :] ** 2).sum(axis=1)  # keeps what is not seen in sight
        return np.asarray(share.likelihood(family, u, slow).sum(axis=1) - prior)

    return many, start.tolist()


def _halves(ramps: Turned, few: bool, seed: int) -> tuple[Share, Share]:
    """Half of the ramps and the other half; of few ramps every other stretch of them and those between.

    Where half of the ramps are few the held-out ones are judged by stretches, too: predicted by the other ramps alone.
    """
    if not few:
        one, other = halves(len(ramps.x), seed)
        parts = -(-TOLD // len(other))
        held = Share(ramps.of(other), parts, np.arange(len(other) * parts))
        return Share(ramps.of(one), 1, np.arange(len(one))), held
    parts = count(ramps.x.shape[1])
    one, other = alternate(len(ramps.x) * parts)
    return Share(ramps, parts, one), Share(ramps, parts, other)


def _judged(split: Sequence[tuple[Share, Share]], family: Family, slow: bool) -> tuple[tuple[int, Array], Array]:
    """Held-out likelihood of a family with its number of parameters; and its steps at mid-range."""
    seen, middle = [], []
    for train, held in split:
        best = peak(*_search(train, family, slow))[0][None]
        seen.append(held.likelihood(family, best, slow)[0])
        middle.append(float(family.step(best)(np.array([[0.5]]))[0, 0]))
    size = (family.parameters + 1 + 2 * slow) * len(split)
    return (size, np.concatenate(seen)), np.array(middle)


def _of_law(law: str, scores: Sequence[Score], middles: dict[str, Array]) -> tuple[float, list[str]]:
    """What it adds to the step's relative uncertainty that other laws are as probable, and how to say it."""
    near = [middles[name] for name in open_to(scores)]
    if len(near) < 2:
        return 0.0, []
    off = np.log(np.array(near) / middles[law])
    size = float(np.sqrt((off.mean(axis=1) ** 2).mean()))
    means = sorted(float(m.mean()) for m in near)
    return size, [
        f"{len(near)} laws that held-out data do not tell apart put the step at mid-range at {means[0]:.3g} to "
        f"{means[-1]:.3g}: counted in its uncertainty"
    ]


def _notes(both: Sequence[Fitted]) -> list[str]:
    notes = [f"{sum(f.outliers for f in both)} readings beyond 8 standard deviations weigh less"]
    count = min(len(f.factor) for f in both)
    if count < FEW:
        notes.append(
            f"{count} {'ramp says' if count == 1 else 'ramps say'} nothing of the spread between cells: none taken"
        )
    return notes + [
        f"noise that outlives a pulse: {f.slow_noise[0]:.3g} of the range for {f.slow_noise[1]:.3g} pulses"
        for f in both
        if f.slow
    ]


def _family(law: str, families: Sequence[Family]) -> Family:
    return next(f for f in families if f.name == law.removesuffix(SLOW))


def _fewer(ramps: Ramps, seed: int) -> Ramps:
    if len(ramps.x) <= MOST_RAMPS:
        return ramps
    return ramps.of(np.sort(np.random.default_rng(seed).permutation(len(ramps.x))[:MOST_RAMPS]))
