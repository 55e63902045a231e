"""How long the gradients of a step are: of every energy block, of the host's layers, of all together."""

from __future__ import annotations

import math

import torch
from torch import nn

from hil.learning.model import energy_blocks

TOTAL, PREFIX, HOST = "gradient_norm", "gradient_norm.", "host"


class GradientNorms:
    """Euclidean norms by part of a model, in model units.

    Args:
        model: Its parameters; their gradients are looked at when they are there.
    """

    def __init__(self, model: nn.Module) -> None:
        blocks = {id(p): name for name, block in energy_blocks(model).items() for p in block.parameters()}
        self._parts = [(blocks.get(id(p), HOST).removesuffix(".energy"), p) for p in model.parameters()]

    def take(self) -> dict[str, float]:
        """`gradient_norm` and `gradient_norm.PART`; what is not finite is left out. Empty without gradients."""
        there = [(part, p.grad) for part, p in self._parts if p.grad is not None]
        if not there:
            return {}
        squares: dict[str, float] = {}
        # one call of the library for all, one wait for the device
        norms = torch.stack(torch._foreach_norm([grad for _, grad in there])).tolist()
        for (part, _), norm in zip(there, norms, strict=True):
            squares[part] = squares.get(part, 0.0) + norm * norm
        found = {TOTAL: sum(squares.values()), **{PREFIX + part: square for part, square in squares.items()}}
        return {name: math.sqrt(square) for name, square in found.items() if math.isfinite(square)}
