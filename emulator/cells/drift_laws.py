"""Drift: laws of the registry's kind `drifts`, conductances some time after they were written.

Each is `f(drift, cells, written_s, elapsed_s, xi, walk_s) -> siemens` on tensors: conductances right after the write,
seconds since, of the reference temperature, in float64, standard normals (one a device for life, for `relaxation` one a
write), and where each cell's random walk has come (`walk` only). A law of one's own takes its figures as keyword-only
parameters, from `drift.figures`, and may have an attribute `predicted(seconds, g_s, g_max_s, **figures)`, the expected
relative change that refreshes are planned by.
"""

from __future__ import annotations

import torch
from torch import Tensor

from firmware_specs.datasheet.cells import Cells
from firmware_specs.datasheet.drift import ClippedLog, Drift
from firmware_specs.datasheet.table import interpolate

SMALLEST_G = 1e-6
"""Relative conductance at and below which the logarithm in a drift law is evaluated."""


def none(drift: Drift, cells: Cells, written_s: Tensor, elapsed_s: Tensor, xi: Tensor, walk_s: Tensor | None) -> Tensor:
    """Conductances stay as they were written."""
    return written_s


def power(
    drift: Drift, cells: Cells, written_s: Tensor, elapsed_s: Tensor, xi: Tensor, walk_s: Tensor | None
) -> Tensor:
    """`G ((t + t0) / t0)^-nu` (PCM; Ielmini's law with aihwkit's fit of nu)."""
    assert drift.t0_s is not None  # noqa: S101 - the datasheet was checked
    nu = exponent(drift, cells, written_s, xi)
    return written_s * torch.exp(-nu * torch.log1p(elapsed_s.to(written_s.dtype) / drift.t0_s))


def exponential(
    drift: Drift, cells: Cells, written_s: Tensor, elapsed_s: Tensor, xi: Tensor, walk_s: Tensor | None
) -> Tensor:
    """`G_rest + (G - G_rest) exp(-t / tau)`, `tau = tau_s exp(tau_d2d xi)` (a leaking charge)."""
    assert drift.tau_s is not None  # noqa: S101
    rate = torch.exp(-drift.tau_d2d * xi) / drift.tau_s
    return drift.rest_s + (written_s - drift.rest_s) * torch.exp(-elapsed_s.to(written_s.dtype) * rate)


def relaxation(
    drift: Drift, cells: Cells, written_s: Tensor, elapsed_s: Tensor, xi: Tensor, walk_s: Tensor | None
) -> Tensor:
    """From `t0` on `G + m L + (s L + s_0) xi`, `L = ln(t / t0)` (aihwkit's fit of CMO/HfOx ReRAM)."""
    assert drift.t0_s is not None  # noqa: S101
    if (
        elapsed_s.device.type == "cpu" and float(elapsed_s.amax()) < drift.t0_s
    ):  # nothing has moved yet, as after most steps of a training
        return written_s.clamp(min=0)
    folds = torch.log(elapsed_s.to(written_s.dtype).clamp(min=drift.t0_s) / drift.t0_s)
    moved = drift.mean_slope_s * folds + (drift.spread_slope_s * folds + drift.spread_offset_s) * xi
    return torch.where(elapsed_s >= drift.t0_s, written_s + moved, written_s).clamp_(min=0)


def walk(drift: Drift, cells: Cells, written_s: Tensor, elapsed_s: Tensor, xi: Tensor, walk_s: Tensor | None) -> Tensor:
    """`G + f(g) (m L + c L^2 + w)`, `w` a random walk; `G` first loses charge where the law has a time constant."""
    assert drift.t0_s is not None and walk_s is not None  # noqa: S101
    dtype = written_s.dtype
    folds = torch.log(elapsed_s.clamp(min=drift.t0_s) / drift.t0_s).to(dtype)
    moved = folds * (drift.mean_slope_s + drift.mean_curvature_s * folds) + walk_s
    if drift.level_factors:
        moved = moved * interpolate(written_s / cells.g_max_s, drift.levels, drift.level_factors)
    kept = written_s if drift.tau_s is None else exponential(drift, cells, written_s, elapsed_s, xi, None)
    return (kept + moved).clamp_(min=0)


def exponent(drift: Drift, cells: Cells, written_s: Tensor, xi: Tensor) -> Tensor:
    """`nu = |mu(g) + sd(g) xi|`, `g` the relative conductance as written, `xi` the device's own."""
    g = (written_s / cells.g_max_s).clamp(min=SMALLEST_G)
    return (_at(drift.nu_mean, g) + _at(drift.nu_sigma, g) * xi).abs()


def _at(figure: float | ClippedLog, g: Tensor) -> Tensor | float:
    if isinstance(figure, ClippedLog):
        return (torch.log(g) * figure.slope + figure.offset).clamp_(figure.low, figure.high)
    return figure
