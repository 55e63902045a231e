"""Drift of conductances after they were written."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from firmware_specs.datasheet.cells import Cells
from firmware_specs.datasheet.drift import ClippedLog, Drift
from firmware_specs.datasheet.table import interpolate

BOLTZMANN_EV = 8.617333262e-5
"""Electronvolts per kelvin."""

SMALLEST_G = 1e-6
"""Relative conductance at and below which the logarithm in a drift law is evaluated."""


def ageing(drift: Drift, cells: Cells, temperature_k: float) -> float:
    """How fast time runs for drift at a temperature: `exp(Ea/k (1/T_ref - 1/T))` (Arrhenius)."""
    return math.exp(drift.activation_ev / BOLTZMANN_EV * (1 / cells.reference_k - 1 / temperature_k))


def exponent(drift: Drift, cells: Cells, written_s: Tensor, xi: Tensor) -> Tensor:
    """`nu = |mu(g) + sd(g) xi|`, `g` the relative conductance as written, `xi` the device's own."""
    g = (written_s / cells.g_max_s).clamp(min=SMALLEST_G)
    return (_at(drift.nu_mean, g) + _at(drift.nu_sigma, g) * xi).abs()


def drifted(
    drift: Drift, cells: Cells, written_s: Tensor, elapsed_s: Tensor, xi: Tensor, walk_s: Tensor | None = None
) -> Tensor:
    """Conductances some time after they were written.

    `power`: `G ((t + t0) / t0)^-nu` (PCM; Ielmini's law with aihwkit's fit of nu). `exponential`:
    `G_rest + (G - G_rest) exp(-t / tau)`, `tau = tau_s exp(tau_d2d xi)` (a leaking charge). `relaxation`, from `t0` on:
    `G + m L + (s L + s_0) xi`, `L = ln(t / t0)` (aihwkit's fit of CMO/HfOx ReRAM). `walk`:
    `G + f(g) (m L + c L^2 + w)`, `w` the random walk so far, `G` first replaced by its `exponential` loss where the law
    has a time constant.

    Args:
        drift: The law.
        cells: The range.
        written_s: Conductances right after the write, siemens.
        elapsed_s: Seconds since, of the reference temperature, float64.
        xi: Standard normals: one a device for life, for `relaxation` one a write.
        walk_s: Of the law `walk`, where each cell's walk has come, siemens; see `wandering`.

    Returns:
        Siemens, at least 0, in the dtype of `written_s`.
    """
    dtype = written_s.dtype
    match drift.law:
        case "power":
            assert drift.t0_s is not None  # noqa: S101 - the datasheet was checked
            nu = exponent(drift, cells, written_s, xi)
            return written_s * torch.exp(-nu * torch.log1p(elapsed_s.to(dtype) / drift.t0_s))
        case "exponential":
            assert drift.tau_s is not None  # noqa: S101
            rate = torch.exp(-drift.tau_d2d * xi) / drift.tau_s
            return drift.rest_s + (written_s - drift.rest_s) * torch.exp(-elapsed_s.to(dtype) * rate)
        case "relaxation":
            assert drift.t0_s is not None  # noqa: S101
            folds = torch.log(elapsed_s.to(dtype).clamp(min=drift.t0_s) / drift.t0_s)
            moved = drift.mean_slope_s * folds + (drift.spread_slope_s * folds + drift.spread_offset_s) * xi
            return torch.where(elapsed_s >= drift.t0_s, written_s + moved, written_s).clamp_(min=0)
        case "walk":
            assert drift.t0_s is not None and walk_s is not None  # noqa: S101
            folds = torch.log(elapsed_s.clamp(min=drift.t0_s) / drift.t0_s).to(dtype)
            moved = folds * (drift.mean_slope_s + drift.mean_curvature_s * folds) + walk_s
            if drift.level_factors:
                moved = moved * interpolate(written_s / cells.g_max_s, drift.levels, drift.level_factors)
            kept = written_s
            if drift.tau_s is not None:
                rate = torch.exp(-drift.tau_d2d * xi) / drift.tau_s
                kept = drift.rest_s + (written_s - drift.rest_s) * torch.exp(-elapsed_s.to(dtype) * rate)
            return (kept + moved).clamp_(min=0)
    return written_s


def _at(figure: float | ClippedLog, g: Tensor) -> Tensor | float:
    if isinstance(figure, ClippedLog):
        return (torch.log(g) * figure.slope + figure.offset).clamp_(figure.low, figure.high)
    return figure
