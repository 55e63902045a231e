"""Keys of `[drift]`, in SI units, from the parameters of each law."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hil.measuring.laws.changes import Prepared, strictly_rising
from hil.measuring.laws.drifts import e_folds, walk_of
from hil.measuring.laws.shown import unseen

Array = NDArray[np.float64]


def _levels(ready: Prepared) -> dict[str, Any]:
    if np.ptp(ready.factor) < 1e-9:
        return {}
    order = np.argsort(ready.centre)
    g = np.clip(ready.centre[order] / ready.top, 0.0, 1.0)
    keep = np.concatenate([[True], np.diff(g) > 1e-4])
    return {"levels": g[keep].tolist(), "level_factors": ready.factor[order][keep].tolist()}


def power(ready: Prepared, u: Array) -> dict[str, Any]:
    """Of the law's parameters, see `drifts` and `bakes`."""
    return {
        "law": "power",
        "t0_s": float(np.exp(u[0])),
        "nu_mean": float(max(u[1], 0.0)),
        "nu_sigma": float(np.exp(u[2])),
    }


def exponential(ready: Prepared, u: Array) -> dict[str, Any]:
    """Of the law's parameters, see `drifts` and `bakes`."""
    return {
        "law": "exponential",
        "tau_s": float(np.exp(u[0])),
        "tau_d2d": float(np.exp(u[1])),
        "rest_s": float(max(u[2], 0.0) * 1e-6),
    }


def relaxation(ready: Prepared, u: Array) -> dict[str, Any]:
    """Of the law's parameters, see `drifts` and `bakes`."""
    return {"law": "relaxation", "t0_s": float(np.exp(u[0])), "mean_slope_s": float(u[1] * 1e-6),
            "spread_slope_s": float(np.exp(u[2]) * 1e-6), "spread_offset_s": float(np.exp(u[3]) * 1e-6)}  # fmt: skip


def walk(ready: Prepared, u: Array) -> dict[str, Any]:
    """Of the law's parameters, see `drifts` and `bakes`."""
    return {"law": "walk", "t0_s": float(np.exp(u[0])), "mean_slope_s": float(u[1] * 1e-6),
            "variance_slope_s2": float(np.exp(u[2]) * 1e-12), **_levels(ready)}  # fmt: skip


def walk_by_jumps(ready: Prepared, u: Array) -> dict[str, Any]:
    """Of the law's parameters, see `drifts` and `bakes`; the walk's time is as long as the readings show."""
    log_t0, spread = float(u[0]), float(np.exp(u[3]))
    slope, clock, noise2 = ready.clock(log_t0)
    first, second = ready.drift(log_t0)
    folds, clock = e_folds(ready, u[:1])[0, 0][ready.complete], clock[ready.complete]
    times = unseen(ready, walk_of(u, slope, noise2), clock, first * folds + second * folds**2, spread)
    slope, clock = slope * float(times[-1]), strictly_rising(clock * times / times[-1])
    walked = walk_of(u, slope, noise2)
    keys = walk(ready, np.array([u[0], first, np.log(slope)]))
    keys |= {"mean_curvature_s": second * 1e-6, "clock_ages_s": ready.age[ready.complete].tolist(),
             "clock_folds": clock.tolist()}  # fmt: skip
    return {**keys, "jumps": walked.jumps, "jump_mean_s": walked.lean * 1e-6, "volatility": spread}


def hot_exponential(ready: Prepared, u: Array) -> dict[str, Any]:
    """Of the law's parameters, see `drifts` and `bakes`."""
    return {**exponential(ready, u), "activation_ev": float(u[4])}


def hot_walk(ready: Prepared, u: Array) -> dict[str, Any]:
    """Of the law's parameters, see `drifts` and `bakes`."""
    return {**walk(ready, u), "activation_ev": float(u[4])}


def walk_and_loss(ready: Prepared, u: Array) -> dict[str, Any]:
    """Of the law's parameters, see `drifts` and `bakes`."""
    return {**walk(ready, u), "tau_s": float(np.exp(u[4])), "tau_d2d": float(np.exp(u[5])),
            "rest_s": float(max(u[6], 0.0) * 1e-6), "activation_ev": float(u[7])}  # fmt: skip
