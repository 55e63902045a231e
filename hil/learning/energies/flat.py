"""States of all layers as one vector a sample."""

from __future__ import annotations

from math import prod

import torch
from torch import Tensor

from hil.counterparts.seam import States
from hil.learning.energies.energy import Energy


def join(states: States) -> Tensor:
    """Layers (batch, *layer) to (batch, n)."""
    return torch.cat([state.flatten(1) for state in states], 1)


def split(energy: Energy, vector: Tensor) -> States:
    """(batch, n) to layers."""
    sizes = [prod(shape) for shape in energy.layers]
    parts = zip(vector.split(sizes, 1), energy.layers, strict=True)
    return tuple(part.reshape(len(vector), *shape) for part, shape in parts)


def limits(energy: Energy, like: Tensor) -> tuple[Tensor, Tensor]:
    """Rails of every unit, (n,) each."""
    sizes = [prod(shape) for shape in energy.layers]
    low, high = (
        torch.cat([like.new_full((size,), rail[side]) for size, rail in zip(sizes, energy.rails(), strict=True)])
        for side in (0, 1)
    )
    return low, high
