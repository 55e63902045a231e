"""The energies of crossbar networks, Hopfield and resistive, by their topology: what chips are."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from firmware_specs.topology import Topology
from hil.counterparts.seam import Parameters, States
from hil.learning import energy
from hil.learning.energies.energy import Energy, Shape


@dataclass(frozen=True, kw_only=True)
class Crossbar(Energy):
    """Layers and couplings of a topology; parameters are `weight_i` and `bias_i` for its coupling `i`.

    Attributes:
        network: The topology.
    """

    network: Topology

    @classmethod
    def of(cls, topology: Topology) -> Crossbar:
        """The energy of a topology."""
        return cls(drive_shape=topology.drive_shape, network=topology)

    @property
    def topology(self) -> Topology:
        """The network itself."""
        return self.network

    @property
    def layers(self) -> tuple[Shape, ...]:
        """Shapes of the neurons' layers."""
        return tuple(layer.shape for layer in self.network.layers)

    @property
    def nudge_shape(self) -> Shape:
        """Shape of what is nudged."""
        return self.network.nudge_shape

    def initial(self) -> dict[str, Tensor]:
        """Uniform in +-1/sqrt(fan_in), as torch's own layers.

        Conductances are that clipped at 0, about half of them exactly 0, and their current sources start at 0
        (Scellier, arXiv 2402.11674).
        """
        drawn: dict[str, Tensor] = {}
        for index, coupling in enumerate(self.network.couplings):
            shape = self.network.weight_shape(coupling)
            bound = math.prod(shape[1:]) ** -0.5
            drawn[f"weight_{index}"] = torch.empty(shape).uniform_(-bound, bound)
            if coupling.bias:
                drawn[f"bias_{index}"] = torch.empty(shape[0]).uniform_(-bound, bound)
        if self.network.substrate == "resistive":
            return {n: value.clamp_(min=0) if n.startswith("weight") else value.zero_() for n, value in drawn.items()}
        return drawn

    def energy(self, parameters: Parameters, drive: Tensor, states: States) -> Tensor:
        """As `hil.learning.energy.energy`."""
        return energy.energy(self.network, parameters, drive, states)

    def contrast(
        self,
        parameters: Parameters,
        drive: Tensor,
        phases: Sequence[States],
        weights: Sequence[Tensor],
        source_currents: Sequence[Tensor] | None = None,
        windows: States | None = None,
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Closed forms, as `hil.learning.energy.contrast`."""
        return energy.contrast(self.network, parameters, drive, phases, weights, source_currents, windows)
