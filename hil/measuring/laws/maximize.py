"""Maximum likelihood of a few parameters, with the uncertainty from its curvature.

The likelihood is asked for many parameter sets at once: a filter that walks along the readings costs hardly more for
twenty sets than for one, and a gradient by differences is then one call.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import optimize

Array = NDArray[np.float64]
Many = Callable[[Array], Array]
"""Log-likelihoods (sets,) of parameters (sets, parameters)."""

STEP = 1e-4
CURVE = 0.02
RESTARTS = 3
NUDGE = 0.5
"""How far from where a search ended the next one begins, in units of how well each parameter is known."""

WORTHWHILE = 0.5
"""Gain of log-likelihood below which another search is not begun."""

ENOUGH = 1e-3
"""Gain of an iteration below which a search is at its end."""

IMPOSSIBLE = 1e12
STEEPEST = 1e8
"""Curvature beyond which what is seen is the edge of the impossible."""

WIDE = 4.0
"""How far from where it begins a search goes, unless it is told."""
BEFORE = 1 / WIDE**2
"""Curvature of the belief before anything was seen: that of a normal one as wide as the search."""

LOOSE = 0.1
"""Standard uncertainty from which on a parameter's curvature is looked at as far away as the parameter may be."""

SCALES = 24
"""How many distances are looked at."""


@dataclass(frozen=True)
class Found:
    """Where the likelihood is largest.

    Attributes:
        best: Parameters.
        sigma: Standard uncertainties.
        log_likelihood: There.
        curvature: Of the negative logarithm there, over as much as what is hardly known may be off by.
    """

    best: Array
    sigma: Array
    log_likelihood: float
    curvature: Array


def maximize(many: Many, start: Sequence[float], bounds: Sequence[tuple[float, float]] | None = None) -> Found:
    """Maximizes a log-likelihood, and says from its curvature how well each parameter is known.

    Args:
        many: Of parameter sets; whatever is not finite counts as impossible.
        start: Where to begin.
        bounds: Of every parameter; within `WIDE` of the start when omitted.
    """
    best, worth = peak(many, start, bounds)
    curvature = _far(_costs(many), best, _curvature(_costs(many), best))
    return Found(best, _sigma(curvature), worth, curvature)


def peak(
    many: Many, start: Sequence[float], bounds: Sequence[tuple[float, float]] | None = None
) -> tuple[Array, float]:
    """Parameters that maximize a log-likelihood, smooth in parameters that are of order one, and its value there.

    Parameters are logarithms of what is positive. Arguments are those of `maximize`.
    """
    begin, costs = np.asarray(start, dtype=np.float64), _costs(many)
    count = len(begin)
    eye = np.eye(count)

    def around(u: Array, step: float) -> tuple[float, Array, Array]:
        found = costs(np.concatenate([u[None], u + eye * step, u - eye * step]))
        up, down = found[1 : count + 1], found[count + 1 :]
        return float(found[0]), (up - down) / (2 * step), (up + down - 2 * found[0]) / step**2

    low, high = np.array(bounds or [(b - WIDE, b + WIDE) for b in begin]).T
    shake = np.random.default_rng(0)
    best, worth, unit = np.clip(begin, low, high), np.inf, np.ones(count)
    from_here = best

    def cost(z: Array) -> tuple[float, Array]:
        value, slope, _ = around(z * unit, STEP)
        return value, slope * unit

    for _ in range(RESTARTS):
        done = optimize.minimize(
            cost, from_here / unit, jac=True, method="L-BFGS-B", bounds=np.stack([low, high], axis=1) / unit[:, None],
            options={"maxiter": 400, "ftol": ENOUGH / max(abs(around(best, STEP)[0]), 1.0)},
        )  # fmt: skip
        gained = worth - float(done.fun)
        if gained > 0:
            best, worth = np.clip(done.x * unit, low, high), float(done.fun)
        if done.success or gained < WORTHWHILE:
            break
        # a search that ends in its line search goes on from beside there, in units of how well each parameter is known
        bend = around(best, CURVE)[2]
        unit = 1 / np.sqrt(np.maximum(np.where(bend < STEEPEST, bend, 1.0), 1.0))
        from_here = np.clip(best + shake.normal(0, NUDGE, count) * unit, low, high)
    return best, -worth


def _costs(many: Many) -> Many:
    """What is to be made small; whatever is not finite counts as impossible."""

    def costs(sets: Array) -> Array:
        with np.errstate(all="ignore"):
            value = -many(sets)
        return np.where(np.isfinite(value), value, IMPOSSIBLE)

    return costs


def widened(found: Found, units: Many) -> Found:
    """The same with the uncertainty that scores of independent units show, where that is larger.

    With `H` the curvature and `J` the sum of the units' squared scores, `H^-1 J H^-1` holds whether or not the law is
    true to the letter (Huber 1967, White 1982); where it is, `J = H`. Of few units `J` is itself uncertain, so that the
    larger of both is taken.

    Args:
        found: Where the sum of the units is largest.
        units: Log-likelihoods (sets, units) of independent units.
    """
    eye = np.eye(len(found.best)) * CURVE
    both = units(np.concatenate([found.best + eye, found.best - eye]))
    up, down = np.split(both, 2)
    scores = (up - down) / (2 * CURVE)
    scores = scores - scores.mean(axis=1, keepdims=True)
    count = scores.shape[1]
    if count < 2 or not np.isfinite(scores).all():
        return found
    inverse = np.linalg.inv(_seen(found.curvature))
    sandwich = inverse @ (scores @ scores.T * count / (count - 1)) @ inverse
    return replace(found, sigma=np.maximum(found.sigma, np.sqrt(np.diag(sandwich))))


def _seen(curvature: Array) -> Array:
    """Curvature with that of the belief before: nothing is known worse than the search was wide."""
    value, vector = np.linalg.eigh(curvature)
    return np.asarray((vector * (np.maximum(value, 0.0) + BEFORE)) @ vector.T)


def _sigma(curvature: Array) -> Array:
    return np.asarray(np.sqrt(np.diag(np.linalg.inv(_seen(curvature)))))


def _far(costs: Many, u: Array, curvature: Array) -> Array:
    """The same curvature, but along principal axes that are hardly known what the likelihood falls by far away.

    The logarithm of what is next to nothing is flat on one side and steep some way up on the other: what differences
    close by show there is rounding. Such an axis is as uncertain as the likelihood takes to fall by a half on average.
    """
    value, vector = np.linalg.eigh(curvature)
    steps = np.geomspace(LOOSE, WIDE, SCALES)
    for axis in np.flatnonzero(value < 1 / LOOSE**2):
        moves = steps[:, None] * vector[:, axis]
        up, down = np.split(costs(np.concatenate([u + moves, u - moves])), 2)
        fallen = (up + down) / 2 - costs(u[None]) + BEFORE / 2 * steps**2
        if (beyond := np.flatnonzero(fallen > 0.5)).size == 0:
            value[axis] = 0.0
        elif beyond[0] == 0:
            if max(up[0], down[0]) < IMPOSSIBLE:  # beside what is impossible nothing is known
                value[axis] = max(value[axis], 1 / LOOSE**2)
        else:
            around = [beyond[0] - 1, beyond[0]]
            value[axis] = 1 / np.interp(0.5, fallen[around], steps[around]) ** 2 - BEFORE
    return np.asarray((vector * value) @ vector.T)


def _curvature(costs: Many, u: Array) -> Array:
    """Second derivatives by differences."""
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
    found = np.where(found < IMPOSSIBLE, found, np.nan)
    middle, up, down = found[0], found[1 : count + 1], found[count + 1 : 2 * count + 1]
    hessian = np.diag((up - 2 * middle + down) / CURVE**2)
    above, below = np.split(found[2 * count + 1 :], 2)
    for n, (i, j) in enumerate(pairs):
        mixed = above[n] + below[n] + 2 * middle - up[i] - down[i] - up[j] - down[j]
        hessian[i, j] = hessian[j, i] = mixed / (2 * CURVE**2)
    return np.where(np.isfinite(hessian), hessian, 0.0)  # beside what is impossible nothing is known
