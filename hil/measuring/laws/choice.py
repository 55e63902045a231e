"""Choosing among laws: each is fitted to one half of the cells and judged by how probable it makes the other half."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import special

Array = NDArray[np.float64]
SIMPLER = 2.0
"""A law of more parameters must be better than a simpler one by this many standard uncertainties."""

CHANCE = float(special.ndtr(-SIMPLER))
"""The same as a probability: where few units decide, a standard uncertainty says it badly."""

COUNTED = 200
"""Units up to which that probability is counted over signs drawn at random; of more, their sum is normal."""

DRAWS = 20_000


@dataclass(frozen=True)
class Score:
    """How probable a law made what it had not seen.

    Attributes:
        law: Its name.
        parameters: How many it has.
        per_reading: Mean log-likelihood of a held-out reading, nats.
        behind: How far it is behind the best, nats in all.
        sigma: Standard uncertainty of `behind`, from the spread over the independent units.
        chance: Probability that two laws that are equally good are this far apart, were each unit's difference as
            likely to be of the other sign (Fisher's randomization).
    """

    law: str
    parameters: int
    per_reading: float
    behind: float
    sigma: float
    chance: float

    def __str__(self) -> str:
        return f"{self.law}: {self.behind:.4g} +- {self.sigma:.2g} nats behind ({self.per_reading:.4f} a reading)"


@dataclass(frozen=True)
class Chosen:
    """A law that was chosen, ready for a datasheet.

    Attributes:
        law: Name.
        sections: Sections and keys of a datasheet that say it.
        uncertainty: Standard uncertainty of `section.key`.
        scores: Of all candidates, best first.
        halves: What was split in halves, e.g. "8,146 and 8,146 cells".
        notes: What a person should know of the fit.
    """

    law: str
    sections: Mapping[str, Mapping[str, Any]]
    uncertainty: Mapping[str, float] = field(default_factory=dict)
    scores: Sequence[Score] = ()
    halves: str = ""
    notes: Sequence[str] = ()

    @property
    def why(self) -> str:
        """One sentence: which law, of which halves, and what came second."""
        if len(self.scores) < 2:
            return f"{self.law}, the only law that was tried"
        second = next(s for s in self.scores if s.law != self.law)
        if second.behind == 0:
            own = next(s for s in self.scores if s.law == self.law)
            return (
                f"{self.law}, the simplest that is not told from the best: {second.law} is "
                f"better by {own.behind:.3g} +- {own.sigma:.2g} nats on held-out data ({self.halves})"
            )
        return (
            f"{self.law}; second best {second.law}, {second.behind:.3g} +- {second.sigma:.2g} nats behind on held-out "
            f"data ({self.halves})"
        )


def halves(count: int, seed: int = 0) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Two random halves of so many units, the same every time."""
    order = np.random.default_rng(seed).permutation(count)
    return np.sort(order[: (count + 1) // 2]), np.sort(order[(count + 1) // 2 :])


def rank(likelihoods: Mapping[str, tuple[int, Array]], readings: int) -> tuple[str, list[Score]]:
    """Ranks laws by their held-out log-likelihoods.

    Args:
        likelihoods: By law: how many parameters it has, and the log-likelihood of every independent unit.
        readings: Held-out readings in all.

    Returns:
        The law to take, and the scores, best first. Of laws that are not told from the best (`open_to`) the one with
        the fewest parameters is taken; a law whose likelihood is not finite never is.
    """
    usable = {name: (p, ll) for name, (p, ll) in likelihoods.items() if np.isfinite(ll).all()}
    if not usable:
        raise ValueError(f"no law could be fitted of {', '.join(likelihoods)}")
    best = max(usable, key=lambda name: float(usable[name][1].sum()))
    scores = []
    for name, (parameters, ll) in usable.items():
        lag = usable[best][1] - ll
        sigma = float(np.sqrt(len(lag)) * lag.std(ddof=1)) if len(lag) > 1 else float("nan")
        scores.append(Score(name, parameters, float(ll.sum()) / readings, float(lag.sum()), sigma, chance(lag)))
    scores.sort(key=lambda s: s.behind)
    close = open_to(scores)
    return min((s for s in scores if s.law in close), key=lambda s: (s.parameters, s.behind)).law, scores


def open_to(scores: Sequence[Score]) -> list[str]:
    """Laws that held-out data do not tell from the best: chance could have put them as far behind, see `CHANCE`."""
    return [s.law for s in scores if s.chance >= CHANCE or s.behind == 0]


def chance(lag: Array) -> float:
    """Probability of a sum as large as that of these differences, if each could as well be of the other sign.

    Args:
        lag: By independent unit, (units,).

    Returns:
        Of one side; NaN for fewer than two units.
    """
    if len(lag) < 2:
        return float("nan")
    total = float(lag.sum())
    if len(lag) > COUNTED:
        return float(special.ndtr(-total / max(np.sqrt(len(lag)) * lag.std(ddof=1), 1e-300)))
    signs = np.random.default_rng(0).choice((-1.0, 1.0), (DRAWS, len(lag)))
    return float((signs @ np.abs(lag) >= total * (1 - 1e-12)).mean())
