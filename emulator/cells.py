"""Writing conductances, one pure function an effect."""

from __future__ import annotations

import torch
from torch import Tensor

from firmware_specs.datasheet.cells import Cells


def quantize(cells: Cells, target_s: Tensor) -> Tensor:
    """Targets the write circuit can express: clipped to the range and rounded to its codes, float64 siemens.

    An analog write circuit rounds to 32-bit codes, so that a target is the same number in process and on a wire.
    """
    lsb_s = cells.span_s / cells.max_code
    code = ((target_s.double().clamp(cells.g_min_s, cells.g_max_s) - cells.g_min_s) / lsb_s).round()
    return code * lsb_s + cells.g_min_s


def programming_noise(cells: Cells, target_s: Tensor, generator: torch.Generator) -> Tensor:
    """Conductances that result from writing targets once: `G = clip(G_t + sigma * (Gmax - Gmin) * xi)`.

    Constant relative law, `sigma` of the datasheet's `programming_noise`.
    """
    if cells.programming_noise == 0:
        return target_s
    noise = torch.randn(target_s.shape, generator=generator, dtype=torch.float32, device=target_s.device)
    return (target_s + noise * (cells.programming_noise * cells.span_s)).clamp_(cells.g_min_s, cells.g_max_s)
