"""Drift laws at several temperatures, before and after a bake: a random walk, a loss, both; Arrhenius.

Likelihoods are (sets, cells), of parameters (sets, ...).
"""

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

LEAST = 1e-300
"""Density below which nothing is told apart."""


def exponential(ready: Prepared, u: Array) -> Array:
    """Loss alone; parameters: `ln tau`, `ln` of its spread, rest, `ln` of the noise, activation energy."""
    still = np.full(len(u), -99.0)
    walks = [still, np.zeros(len(u)), still]
    return walk_and_loss(ready, np.stack([*walks, u[:, 3], u[:, 0], u[:, 1], u[:, 2], u[:, 4]], axis=1))


def walk(ready: Prepared, u: Array) -> Array:
    """Walk alone; parameters: `ln t0`, mean slope, `ln` of the variance slope and of the noise, activation energy."""
    change = ready.change[:, -1]
    found = np.clip(normal(change, *_walked(ready, u[:, :4], u[:, 4])), np.log(LEAST), None)
    return np.where(np.isfinite(change), found, 0.0)


def walk_and_loss(ready: Prepared, u: Array) -> Array:
    """Walk and loss: `ln t0`, mean slope, `ln` variance slope, `ln` noise, `ln tau`, `ln` its spread, rest, energy."""
    log_tau, spread, rest, energy = u[:, 4:5], np.exp(u[:, 5:6]), u[:, 6:7], u[:, 7:]
    change = ready.change[:, -1]
    middle, wide = _walked(ready, u[:, :4], u[:, 7])
    age = (ready.age if ready.age.ndim == 2 else ready.age[None])[:, -1]
    log_rate = np.log(age) + energy * ready.inverse_t - log_tau
    far, off = ready.start - rest, change - middle
    apart2 = (SMOOTH * (NODES[1] - NODES[0]) * spread * far) ** 2
    total = np.zeros(log_rate.shape)
    for node, weight in zip(NODES, WEIGHTS / WEIGHTS.sum(), strict=True):
        rate = np.exp(np.clip(log_rate - spread * node, -60, 6))
        kept = np.exp(-rate)
        variance = wide + apart2 * (rate * kept) ** 2
        total += weight * np.exp(-0.5 * (off + (1 - kept) * far) ** 2 / variance) / np.sqrt(2 * np.pi * variance)
    return np.where(np.isfinite(change), np.log(np.maximum(np.nan_to_num(total), LEAST)), 0.0)


def _walked(ready: Prepared, u: Array, energy: Array) -> tuple[Array, Array]:
    """Mean and variance of the changes of a walk and of two readings' noise, (sets, cells)."""
    folds = e_folds(ready, u[:, 0], energy)[..., -1]
    factor = ready.factor[ready.group]
    return factor * u[:, 1:2] * folds, factor**2 * np.exp(u[:, 2:3]) * folds + 2 * np.exp(2 * u[:, 3:4])
