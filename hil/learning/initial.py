"""Initial weights."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from hil.experiments.sections import GoeInit, UniformInit
from hil.learning.block import EnergyBlock

NORMS = (nn.LayerNorm, nn.RMSNorm)
"""Of torch's norms, those whose weights may have several dimensions."""


def initialize(model: nn.Module, init: UniformInit | GoeInit) -> None:
    """Draws a model's weights anew where the experiment asks for more than torch's own, from the default generator."""
    if isinstance(init, UniformInit):
        _scale(model, init.gain)
        return
    with torch.no_grad():
        for module in model.modules():
            for name, weight in module.named_parameters(recurse=False):
                if weight.dim() == 4:
                    weight.copy_(symmetric_kernels(weight, init.variance))
                    bias = getattr(module, name.replace("weight", "bias"), None)
                    if bias is not None:
                        bias.zero_()


def _scale(model: nn.Module, gain: float) -> None:
    """Multiplies what has a fan-in, which biases and norms have not; cells then hold what their range allows."""
    if gain == 1:
        return
    with torch.no_grad():
        for module in model.modules():
            for name, weight in module.named_parameters(recurse=False):
                if name.startswith("weight") and weight.dim() > 1 and not isinstance(module, NORMS):
                    weight.mul_(gain)
        for module in model.modules():
            if isinstance(module, EnergyBlock):
                module.project()


def symmetric_kernels(like: Tensor, variance: float) -> Tensor:
    """Kernels (out, in, k, k) of the Gaussian orthogonal ensemble, spatially symmetric.

    ff-EBM paper, appendix, as its published code has it: the lower triangle of N(0, V/k) plus its transpose, the
    diagonal times sqrt(2); off-diagonal variance V/k, diagonal variance 8V/k.
    """
    size = like.shape[-1]
    lower = torch.tril(torch.randn(like.shape, dtype=like.dtype) * (variance / size) ** 0.5)
    symmetric = lower + lower.transpose(-1, -2)
    return symmetric * (1 + (2**0.5 - 1) * torch.eye(size, dtype=like.dtype))
