"""Maximum likelihood of a few parameters, with the uncertainty from its curvature.

The likelihood is asked for many parameter sets at once: a filter that walks along the readings costs hardly more for
twenty sets than for one, and a gradient by differences is then one call.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import optimize

Array = NDArray[np.float64]
Many = Callable[[Array], Array]
"""Log-likelihoods (sets,) of parameters (sets, parameters)."""

STEP = 1e-4
CURVE = 0.02
RESTARTS = 2
NUDGE = 0.05
WORTHWHILE = 0.5
"""Gain of log-likelihood below which another search is not begun."""

IMPOSSIBLE = 1e12


@dataclass(frozen=True)
class Found:
    """Where the likelihood is largest.

    Attributes:
        best: Parameters.
        sigma: Standard uncertainties from the inverse of the curvature; NaN where there is none.
        log_likelihood: There.
    """

    best: Array
    sigma: Array
    log_likelihood: float


def maximize(many: Many, start: Sequence[float], bounds: Sequence[tuple[float, float]] | None = None) -> Found:
    """Maximizes a log-likelihood, smooth in parameters that are of order one (logarithms of what is positive).

    Args:
        many: Of parameter sets; whatever is not finite counts as impossible.
        start: Where to begin.
        bounds: Of every parameter; within 4 of the start when omitted.
    """
    begin = np.asarray(start, dtype=np.float64)
    count = len(begin)
    eye = np.eye(count)

    def costs(sets: Array) -> Array:
        with np.errstate(all="ignore"):
            value = -many(sets)
        return np.where(np.isfinite(value), value, IMPOSSIBLE)

    def cost(u: Array) -> tuple[float, Array]:
        found = costs(np.concatenate([u[None], u + eye * STEP, u - eye * STEP]))
        return float(found[0]), (found[1 : count + 1] - found[count + 1 :]) / (2 * STEP)

    limits = bounds or [(b - 4, b + 4) for b in begin]
    low, high = np.array(limits).T
    shake = np.random.default_rng(0)
    best, worth = begin, np.inf
    for _ in range(RESTARTS):  # a search that began far off ends in its line search; from beside there it goes on
        from_here = np.clip(best if worth == np.inf else best + shake.normal(0, NUDGE, count), low, high)
        done = optimize.minimize(cost, from_here, jac=True, method="L-BFGS-B", bounds=limits, options={"maxiter": 150})
        gained = worth - float(done.fun)
        if gained > 0:
            best, worth = np.asarray(done.x), float(done.fun)
        if gained < WORTHWHILE:
            break
    return Found(best, _sigma(costs, best), -worth)


def _sigma(costs: Many, u: Array) -> Array:
    """Standard uncertainties from the curvature, by second differences."""
    count = len(u)
    eye = np.eye(count) * CURVE
    pairs = [(i, j) for i in range(count) for j in range(i)]
    sets = [
        u,
        *(u + eye),
        *(u - eye),
        *(u + eye[i] + eye[j] for i, j in pairs),
        *(u - eye[i] - eye[j] for i, j in pairs),
    ]
    found = costs(np.array(sets))
    middle, up, down = found[0], found[1 : count + 1], found[count + 1 : 2 * count + 1]
    hessian = np.diag((up - 2 * middle + down) / CURVE**2)
    above, below = np.split(found[2 * count + 1 :], 2)
    for n, (i, j) in enumerate(pairs):
        mixed = above[n] + below[n] + 2 * middle - up[i] - down[i] - up[j] - down[j]
        hessian[i, j] = hessian[j, i] = mixed / (2 * CURVE**2)
    try:
        variance = np.diag(np.linalg.inv(hessian))
    except np.linalg.LinAlgError:
        return np.full(count, np.nan)
    return np.where(variance > 0, np.sqrt(np.abs(variance)), np.nan)
