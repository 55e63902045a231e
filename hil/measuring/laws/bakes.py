"""Drift laws at several temperatures, before and after a bake: a random walk, a loss, both; Arrhenius."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hil.measuring.laws.changes import Prepared
from hil.measuring.laws.drifts import e_folds
from hil.measuring.laws.walks import normal

Array = NDArray[np.float64]
NODES = np.linspace(-4.0, 4.0, 25)
WEIGHTS = np.exp(-0.5 * NODES**2)
SMOOTH = 0.6
"""Each node's normal is made this share of the distance to the next one wider, so that narrow ones leave no gaps."""


def exponential(ready: Prepared, u: Array) -> Array:
    """Loss alone; parameters: `ln tau`, `ln` of its spread, rest, `ln` of the noise, activation energy."""
    return walk_and_loss(ready, np.array([-99.0, 0.0, -99.0, u[3], u[0], u[1], u[2], u[4]]))


def walk(ready: Prepared, u: Array) -> Array:
    """Walk alone; parameters: `ln t0`, mean slope, `ln` of the variance slope and of the noise, activation energy."""
    return walk_and_loss(ready, np.array([u[0], u[1], u[2], u[3], 99.0, 0.0, 0.0, u[4]]))


def walk_and_loss(ready: Prepared, u: Array) -> Array:
    """Walk and loss: `ln t0`, mean slope, `ln` variance slope, `ln` noise, `ln tau`, `ln` its spread, rest, energy."""
    log_t0, mean, variance, noise, log_tau, log_spread, rest, energy = u
    folds = e_folds(ready, log_t0, energy)[:, -1]
    factor = ready.factor[ready.group]
    middle, wide = factor * mean * folds, factor**2 * np.exp(variance) * folds + 2 * np.exp(2 * noise)
    age = (ready.age if ready.age.ndim == 2 else ready.age[None])[:, -1]
    log_rate = np.log(age) + energy * ready.inverse_t - log_tau
    total = np.zeros(len(ready.start))
    for node, weight in zip(NODES, WEIGHTS / WEIGHTS.sum(), strict=True):
        rate = np.exp(np.clip(log_rate - np.exp(log_spread) * node, -60, 6))
        kept, far = np.exp(-rate), ready.start - rest
        apart = rate * kept * far * np.exp(log_spread) * (NODES[1] - NODES[0])
        density = normal(ready.change[:, -1], middle - (1 - kept) * far, wide + (SMOOTH * apart) ** 2)
        total += weight * np.exp(np.clip(density, -700, 50))
    seen = np.isfinite(ready.change[:, -1])
    return np.where(seen, np.log(np.maximum(np.nan_to_num(total), 1e-300)), 0.0)
