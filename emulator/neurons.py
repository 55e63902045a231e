"""Transfer of neuron circuits: the state that minimizes a layer's energy under its summed current, or one past it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from firmware_specs.topology import Topology


class Past(NamedTuple):
    """Where a layer comes from, and how far it moves.

    Attributes:
        state: Before the update, (batch, *layer).
        over_relaxation: In units of the way to the minimum, at least 1 and below 2.
    """

    state: Tensor
    over_relaxation: float


@dataclass(frozen=True)
class Neurons:
    """Transfer of one layer's neuron circuits, `s = clamp(gain * z + offset, low, high)`.

    Over-relaxed, `s = clamp(s_old + w (gain * z + offset - s_old), low, high)`: projected successive over-relaxation
    (Cryer 1971). The layer's energy given its neighbours is a parabola in each neuron, so it does not rise for w < 2.

    `emulator.chain` folds gain and offset into the products of a dense net: what is added here has to be added there.

    Attributes:
        gain: Scalar or tensor of the layer's shape.
        offset: Scalar or tensor of the layer's shape, in state units; 0 for an ideal layer.
        low: Lower rail, state units; None where there is none.
        high: Upper rail, state units; None where there is none.
    """

    gain: float | Tensor = 1.0
    offset: float | Tensor = 0.0
    low: float | None = 0.0
    high: float | None = 1.0

    def __call__(self, z: Tensor, past: Past | None = None, *, overwrite: bool = False) -> Tensor:
        """State (batch, *layer) for a summed current (batch, *layer), in its memory where it may be overwritten."""
        if isinstance(self.offset, Tensor):
            if isinstance(self.gain, Tensor):
                z = torch.addcmul(self.offset, z, self.gain, out=z if overwrite else None)
            else:
                z = torch.add(self.offset, z, alpha=self.gain, out=z if overwrite else None)
        elif isinstance(self.gain, Tensor) or self.gain != 1.0:
            z = torch.mul(z, self.gain, out=z if overwrite else None)
        if past is not None:
            z = torch.lerp(past.state, z, past.over_relaxation, out=z if overwrite else None)
        if self.low is None and self.high is None:
            return z
        if z.requires_grad and torch.is_grad_enabled():
            return _clamped(z, self.low, self.high)
        return torch.clamp(z, self.low, self.high, out=z if overwrite else None)


def _clamped(z: Tensor, low: float | None, high: float | None) -> Tensor:
    """`clamp` whose derivative is 1 on the rails themselves, too, where torch's own is 0 from release 2.15 on.

    A neuron that rests on a rail without being pressed against it, all without a drive say, goes on learning.
    """
    rails = torch.clamp(z.detach(), low, high)
    return torch.where(rails == z, z, rails)


def ideal_neurons(topology: Topology) -> tuple[Neurons, ...]:
    """Neurons without mismatch: `clamp(slope * z, 0, rail)`, and the identity for linear layers."""
    linear = Neurons(low=None, high=None)
    return tuple(Neurons(gain=n.slope, high=n.rail) if n.clamped else linear for n in topology.layers)
