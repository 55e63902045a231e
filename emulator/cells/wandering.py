"""Random walks of conductances in the logarithm of time (drift law `walk`)."""

from __future__ import annotations

import torch
from torch import Tensor

from firmware_specs.datasheet.drift import Drift


def increments(drift: Drift, age_s: Tensor, later_s: Tensor, generator: torch.Generator, dtype: torch.dtype) -> Tensor:
    """What the walks add between two ages of their cells, siemens, exact for any times.

    With `S = clock(L)`, `L = ln(t / t0_s)`, over `dS = S(later) - S(age)` a Gaussian walk adds
    `sqrt(variance dS) xi`. A walk by jumps is a variance-gamma process (Madan and Seneta, J. Business 63, 511, 1990):
    with `C ~ Gamma(dS / jumps, scale = jumps)`, of mean `dS`, it adds `m (C - dS) + sqrt((variance - m^2 jumps) C) xi`,
    `m = jump_mean_s`. Mean 0, variance `variance dS`, excess kurtosis `3 jumps / dS` for `m = 0`; sums of increments
    have the law of one, so that it does not matter how often somebody looks.

    Args:
        drift: The law.
        age_s: Seconds since each cell was written at the last look, of the reference temperature, float64.
        later_s: The same now.
        generator: Source of the walk.
        dtype: Of the result.
    """
    assert drift.t0_s is not None  # noqa: S101 - the datasheet was checked
    then, now = (torch.log(t.clamp(min=drift.t0_s) / drift.t0_s) for t in (age_s, later_s))
    folds = (drift.clock(now) - drift.clock(then)).clamp_(min=0).to(dtype)
    xi = torch.randn(folds.shape, generator=generator, dtype=torch.float32, device=folds.device).to(dtype)
    if drift.jumps == 0:
        return xi * (folds * drift.variance_slope_s2).sqrt()
    shape = (folds / drift.jumps).clamp(min=torch.finfo(torch.float32).tiny)
    clock = torch._standard_gamma(shape, generator=generator) * drift.jumps
    clock = torch.where(folds > 0, clock, torch.zeros_like(clock))
    single = drift.variance_slope_s2 - drift.jump_mean_s**2 * drift.jumps
    return (clock - folds) * drift.jump_mean_s + xi * (clock * single).sqrt()
