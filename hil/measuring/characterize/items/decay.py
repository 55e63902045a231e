"""Conductances that decay to a common level: the time constant of every cell."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from hil.measuring import robust
from hil.measuring.characterize import health
from hil.measuring.characterize.items.item import ARITHMETIC, Array, conductances
from hil.measuring.estimate import Estimate

if TYPE_CHECKING:
    import xarray as xr

ROUNDS = 30
STEP = 1.0
"""Most a logarithm may move in one round."""


def time_constants(data: xr.Dataset) -> tuple[Estimate, Estimate]:
    """Mean of `ln tau` over cells, as seconds, and its spread between cells.

    `G(t) = rest + (G_0 - rest) exp(-t / tau)` with a `G_0` and a `tau` of every cell and one rest level for all, by
    least squares with the readings' own noise; a cell that has come to rest counts at its early ages only, by its law.
    """
    age = data["age"].to_numpy()
    good = health.good(data)
    seen = conductances(data)[:, good]
    readings = data["level"].to_numpy()[:, :, good]
    sigma = _noise(readings.var(axis=1, ddof=1), seen) / np.sqrt(readings.shape[1])
    rest = float(np.clip(np.median(seen[-1]), 0.0, None)) * 0.98
    log_tau = np.full(seen.shape[1], np.log(_guess(age, seen, rest)))
    first = np.maximum(seen[0] - rest, 1e-9)
    for _ in range(ROUNDS):
        rest, first, log_tau, moved = _round(age, seen, sigma, rest, first, log_tau)
        if moved < 1e-9:
            break
    error2, with_rest, rest_sigma = _errors(age, sigma, first, log_tau)
    usual = robust.typical(log_tau, ARITHMETIC)
    mean = robust.mean(log_tau, floor=ARITHMETIC).widened(
        rest_level=abs(float(with_rest[usual].mean())) * rest_sigma, arithmetic=ARITHMETIC
    )
    tau = float(np.exp(mean.value))
    of_tau = mean.scaled(tau, "s")
    spread = robust.spread(log_tau, error2).widened(arithmetic=ARITHMETIC)
    return Estimate(tau, of_tau.sigma, "s", of_tau.budget, of_tau.freedom), spread


def _noise(variance: Array, seen: Array) -> Array:
    """Standard deviation of a reading, from cells of like conductance: few readings do not tell it for each."""
    order = np.argsort(seen, axis=None)
    pooled = np.empty(seen.size)
    for group in np.array_split(order, max(1, seen.size // 256)):
        pooled[group] = variance.reshape(-1)[group].mean()
    return np.asarray(np.sqrt(np.maximum(pooled.reshape(seen.shape), (ARITHMETIC * np.abs(seen)) ** 2 + 1e-16)))


def _guess(age: Array, seen: Array, rest: float) -> float:
    left = np.clip((np.median(seen, axis=1) - rest) / max(float(np.median(seen[0])) - rest, 1e-9), 1e-6, None)
    return float(age[int(np.argmin(np.abs(left - 0.4)))])


def _model(age: Array, first: Array, log_tau: Array) -> tuple[Array, Array, Array]:
    """Decay from the first age on, and its derivatives by `first` and `log_tau`, (steps, cells)."""
    x = (age - age[0])[:, None] / np.exp(log_tau)
    kept = np.exp(-x)
    return first * kept, kept, first * kept * x


def _round(
    age: Array, seen: Array, sigma: Array, rest: float, first: Array, log_tau: Array
) -> tuple[float, Array, Array, float]:
    """One Gauss-Newton round: both parameters of every cell, and the rest level they share."""
    value, by_first, by_tau = _model(age, first, log_tau)
    weight = 1 / sigma**2
    left = seen - rest - value
    a, b, d = ((weight * p * q).sum(axis=0) for p, q in ((by_first, by_first), (by_first, by_tau), (by_tau, by_tau)))
    determinant = np.maximum(a * d - b * b, 1e-12 * a * np.maximum(d, 1e-300))
    # what of the rest level cells cannot take into their own parameters
    own = [((weight * p).sum(axis=0), (weight * p * left).sum(axis=0)) for p in (by_first, by_tau)]

    def solved(u: Array, v: Array) -> tuple[Array, Array]:
        return (d * u - b * v) / determinant, (a * v - b * u) / determinant

    e, f = solved(own[0][0], own[1][0])
    clean = 1.0 - e * by_first - f * by_tau
    usual = robust.typical(log_tau, STEP)
    information = float((weight * clean * clean)[:, usual].sum())
    shift = float((weight * clean * left)[:, usual].sum()) / max(information, 1e-300)
    shift = max(shift, -rest)
    g, h = solved(own[0][1] - shift * own[0][0], own[1][1] - shift * own[1][0])
    h = np.clip(h, -STEP, STEP)
    moved = max(abs(shift), float(np.median(np.abs(h))))
    return rest + shift, np.maximum(first + g, 1e-9), log_tau + h, moved


def _errors(age: Array, sigma: Array, first: Array, log_tau: Array) -> tuple[Array, Array, float]:
    """Variance of every `ln tau`, how much it moves with the rest level, and the uncertainty of that."""
    _, by_first, by_tau = _model(age, first, log_tau)
    weight = 1 / sigma**2
    a, b, d = ((weight * p * q).sum(axis=0) for p, q in ((by_first, by_first), (by_first, by_tau), (by_tau, by_tau)))
    determinant = np.maximum(a * d - b * b, 1e-12 * a * np.maximum(d, 1e-300))
    u, v = (weight * by_first).sum(axis=0), (weight * by_tau).sum(axis=0)
    e, f = (d * u - b * v) / determinant, (a * v - b * u) / determinant
    clean = 1.0 - e * by_first - f * by_tau
    return a / determinant, f, float((weight * clean * clean).sum() ** -0.5)
