"""Blocks whose hidden layers are looked at by losses of their own."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from torch import Tensor, nn

from hil.experiments.parts import LayerLoss
from hil.learning.block import EnergyBlock


class LookedAt(nn.Module):
    """A block of a chain, and a linear readout for every layer that a loss looks at.

    Forward is that of the plain block; the readouts are for training alone.

    Args:
        feedforward: On the host, ahead of the energy.
        energy: The block.
        losses: Which layers, and what their losses count.
        classes: Width of the readouts.

    Raises:
        ValueError: the block has no such layer, or two losses look at the same.
    """

    def __init__(self, feedforward: nn.Module, energy: EnergyBlock, losses: Sequence[LayerLoss], classes: int) -> None:
        super().__init__()
        shapes = energy.energy.layers
        for number, loss in enumerate(losses):
            if loss.layer >= len(shapes):
                raise ValueError(f"losses.{number}: layer {loss.layer}, the block has layers 0 .. {len(shapes) - 1}")
            if loss.layer in [other.layer for other in losses[:number]]:
                raise ValueError(f"losses.{number}: another loss looks at layer {loss.layer} already")
        self.feedforward, self.energy = feedforward, energy
        self.shares = {loss.layer: loss.share for loss in losses}
        self.readouts = nn.ModuleDict(
            {str(n): nn.Sequential(nn.Flatten(), nn.Linear(prod(shapes[n]), classes)) for n in self.shares}
        )

    def forward(self, inputs: Tensor) -> Tensor:
        """Measured free state of the last layer, (batch, *last)."""
        last: Tensor = self.energy(self.feedforward(inputs))
        return last

    def looked_at(self, inputs: Tensor) -> tuple[Tensor, list[tuple[float, Tensor]]]:
        """The same, and for every loss what it counts and its scores, (batch, classes)."""
        states = self.energy.layers(self.feedforward(inputs))
        return states[-1], [(share, self.readouts[str(n)](states[n])) for n, share in self.shares.items()]
