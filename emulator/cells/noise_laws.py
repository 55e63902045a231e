"""Read noise: laws of the registry's kind `noises`, `f(noise, cells, conductance_s, age_s) -> standard deviation`.

Tensors in siemens; `age_s` says how long ago each cell was written, None: just now. None instead of a deviation: no
noise. A law of one's own takes its figures as keyword-only parameters, from `read_noise.figures`.
"""

from __future__ import annotations

import torch
from torch import Tensor

from firmware_specs.datasheet.cells import Cells
from firmware_specs.datasheet.noise import ReadNoise


def none(noise: ReadNoise, cells: Cells, conductance_s: Tensor, age_s: Tensor | None) -> None:
    """Readings are free of noise."""


def relative(noise: ReadNoise, cells: Cells, conductance_s: Tensor, age_s: Tensor | None) -> Tensor:
    """`sigma G`."""
    return conductance_s * noise.sigma


def additive(noise: ReadNoise, cells: Cells, conductance_s: Tensor, age_s: Tensor | None) -> Tensor:
    """`sigma (g_max_s - g_min_s)`."""
    return torch.full_like(conductance_s, noise.sigma * cells.span_s)


def flicker(noise: ReadNoise, cells: Cells, conductance_s: Tensor, age_s: Tensor | None) -> Tensor:
    """1/f noise that has accumulated since the cell was written (PCM).

    `G Q(g) sqrt(ln((t + t_r) / (2 t_r)))`, `Q = min(ceiling, scale / max(g^exponent, 1e-3))` (Nandakumar et al. for
    PCM, in aihwkit): the integral of `S_G(f) = Q^2 G^2 / f` over the band `1/t .. 1/(2 t_r)`.
    """
    assert noise.t_read_s is not None  # noqa: S101 - the datasheet was checked
    g = (conductance_s / cells.g_max_s).clamp(min=0)
    quality = (noise.scale / g.pow(noise.exponent).clamp(min=1e-3)).clamp(max=noise.ceiling)
    if age_s is None:
        age_s = torch.zeros((), device=conductance_s.device)
    bandwidth = age_s.to(conductance_s.dtype) / (2 * noise.t_read_s) + 0.5
    return conductance_s * quality * torch.log(bandwidth).clamp(min=0).sqrt()
