"""Diodes between a node and ground, as the node's own law: summed current and conductance in, voltage out."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

_HALLEY_STEPS = 3
_LOWEST = -80.0
"""Below it `omega(z) = exp(z)` is under the smallest float32; the diode carries nothing but its leakage."""


@dataclass(frozen=True)
class Shockley:
    """`i(u) = saturation * (exp(u / thermal) - 1)` for the voltage u across the diode, in the units of the network.

    Attributes:
        saturation: Reverse saturation current `I_s`.
        thermal: `n V_T`.
    """

    saturation: float
    thermal: float

    def clamp_below(self, current: Tensor, total: Tensor) -> Tensor:
        """Voltage of nodes whose diode conducts from ground when they go negative.

        Exact root of `total * v = current + I_s (exp(-v / nV_T) - 1)`: with `c = (current - I_s) / total`,
        `v = c + nV_T omega(z)`, `z = ln(I_s / (total nV_T)) - c / nV_T`, omega the Wright function.

        Args:
            current: Summed current into the nodes, (batch, nodes).
            total: Summed conductance at them, (nodes,).
        """
        bare = (current - self.saturation) / total
        scale = (math.log(self.saturation / self.thermal) - total.log()).expand_as(bare)
        z = scale - bare / self.thermal
        omega = wright_omega(z)
        # two forms of one root, each where it loses no digits: conducting, bare and omega nearly cancel
        conducting = self.thermal * (scale - omega.clamp(min=1.0).log())
        return torch.where(omega > 1.0, conducting, bare + self.thermal * omega)

    def clamp_above(self, current: Tensor, total: Tensor) -> Tensor:
        """Voltage of nodes whose diode conducts to ground when they go positive: the mirror image."""
        return -self.clamp_below(-current, total)


def wright_omega(z: Tensor) -> Tensor:
    """Root of `w + ln w = z` for real z (Fritsch, Shafer, Crowley 1973, fourth-order steps)."""
    z = z.clamp(min=_LOWEST)
    w = torch.where(z > 1.0, z - z.clamp(min=1.0).log(), ((z - 1.0) * torch.where(z > -2.0, 2 / 3, 1.0)).exp())
    w = torch.where(z <= -2.0, z.exp(), w)
    for _ in range(_HALLEY_STEPS):
        r = z - w - w.log()
        t = (1 + w) * (1 + w + r * (2 / 3))
        w = w * (1 + r / (1 + w) * ((t - r / 2) / (t - r)))
    return w
