"""A graph of resistors with sources: the voltages at rest minimize the dissipated power (Millar 1951).

`E = 1/2 sum_edges g (v_i - v_j)^2`, source nodes held at the drive; the last nodes are read and nudged by currents.
Conductances are the parameters and cannot be negative.
"""

from dataclasses import dataclass

import torch

from hil import Energy, register


@register("energies", "resistor_graph")
@dataclass(frozen=True, kw_only=True)
class ResistorGraph(Energy):
    """A random graph: sources, inner nodes, outputs.

    Attributes:
        inner: Inner nodes.
        outputs: Nodes that are read.
        density: Share of the pairs that a resistor connects.
        seed: Which graph.
    """

    inner: int = 12
    outputs: int = 3
    density: float = 0.5
    seed: int = 0

    @property
    def layers(self):
        return ((self.inner,), (self.outputs,))

    def edges(self):
        """Pairs of nodes (2, edges), sources first."""
        nodes, draw = self.drive_shape[0] + self.inner + self.outputs, torch.Generator().manual_seed(self.seed)
        chosen = torch.rand(nodes, nodes, generator=draw) < self.density
        return torch.triu(chosen, 1).nonzero().T

    def initial(self):
        return {"conductance": torch.rand(self.edges().shape[1]) + 0.1}

    def bounds(self, parameter):
        return 0.0, float("inf")

    def energy(self, parameters, drive, states):
        voltages, (a, b) = torch.cat([drive, *states], 1), self.edges()
        ground = 1e-3 * (voltages**2).sum(1)  # a node that no resistor reaches has an equilibrium, too
        return ((voltages[:, a] - voltages[:, b]) ** 2 @ parameters["conductance"] + ground) / 2
