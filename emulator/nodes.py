"""Nodes of a resistive network: from summed current to voltage, past diodes, rails and amplifiers."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from emulator.diodes import Shockley
from emulator.looks import look_every
from firmware_specs.topology import Layer

_LATERAL_STEPS = 500
"""Bound on the inner iteration of nodes that wires join; each step gains a digit or more where wires are wires."""


@dataclass(frozen=True)
class Surroundings:
    """What a network's nodes have beside their couplings, in the units of the network.

    Attributes:
        leak: Conductance from every node to ground.
        low: Lower supply rail.
        high: Upper supply rail.
        diodes: Law of the hidden nodes' diodes; None: ideal ones.
    """

    leak: float = 0.0
    low: float = float("-inf")
    high: float = float("inf")
    diodes: Shockley | None = None


@dataclass(frozen=True)
class Nodes:
    """Transfer of one layer's nodes, from summed current to state.

    Attributes:
        total: Summed conductance of each node, shape of the layer.
        gain: Voltage gain of the amplifiers behind the nodes.
        low: Lowest voltage of each node: a rail, or 0 behind an ideal diode.
        high: Highest voltage of each node.
        excitatory: Number of leading nodes whose real diode keeps them positive; the rest is kept negative.
        diodes: Their law; None where diodes are ideal (then they are in `low` and `high`) or absent.
        lateral: Conductances between the nodes of the layer, (units, units), which wires bring about; or None.
    """

    total: Tensor
    gain: float
    low: Tensor
    high: Tensor
    excitatory: int
    diodes: Shockley | None = None
    lateral: Tensor | None = None

    @classmethod
    def of(cls, layer: Layer, total: Tensor, lateral: Tensor | None, surroundings: Surroundings) -> Nodes:
        """Nodes of a layer.

        Args:
            layer: Its shape, diodes and amplifiers.
            total: Summed conductance of its couplings at each node, (units,).
            lateral: Conductances between its nodes, (units, units), or None.
            surroundings: What else is there.
        """
        rails = surroundings.low / layer.gain, surroundings.high / layer.gain  # those of the amplifier's output
        low, high = (total.new_full((layer.units,), rail) for rail in rails)
        diodes = surroundings.diodes if layer.clamped else None
        if layer.clamped and diodes is None:
            low[: layer.excitatory] = 0.0
            high[layer.excitatory :] = 0.0
        low, high, total = (t.view(layer.shape) for t in (low, high, total + surroundings.leak))
        return cls(total, layer.gain, low, high, layer.excitatory, diodes, lateral)

    def __call__(self, current: Tensor) -> Tensor:
        """State (batch, *layer) for a summed current (batch, *layer)."""
        voltage = self._alone(current)
        if self.lateral is not None:
            voltage = self._together(current, voltage, self.lateral)
        return voltage if self.gain == 1.0 else voltage * self.gain

    def _alone(self, current: Tensor) -> Tensor:
        voltage = current / self.total if self.diodes is None else self._conduct(self.diodes, current)
        return voltage.clamp(self.low, self.high)

    def _together(self, current: Tensor, voltage: Tensor, lateral: Tensor) -> Tensor:
        """Repeats the step with what the neighbours send until nothing moves: a contraction, `lateral < total`."""
        tolerance, every = 4 * torch.finfo(voltage.dtype).eps, look_every(current.device)
        for step in range(1, _LATERAL_STEPS + 1):
            before = voltage
            voltage = self._alone(current + (before.flatten(1) @ lateral).view_as(before))
            if step % every == 0 and bool((voltage - before).abs().max() <= tolerance * voltage.abs().max()):
                break
        return voltage

    def _conduct(self, diodes: Shockley, current: Tensor) -> Tensor:
        flat, total = current.flatten(1), self.total.flatten()
        below = diodes.clamp_below(flat[:, : self.excitatory], total[: self.excitatory])
        above = diodes.clamp_above(flat[:, self.excitatory :], total[self.excitatory :])
        return torch.cat([below, above], 1).view_as(current)
