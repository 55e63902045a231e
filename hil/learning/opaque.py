"""A block under `torch.compile`: one opaque call; imported only where something is compiled, it takes a second."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from hil.learning.block import EnergyBlock


@torch._dynamo.disable
def run(block: EnergyBlock, drive: Tensor) -> Tensor:
    """The block's forward pass as it is without a compiler."""
    return block.eager(drive)
