"""Resistive networks as what `network.relax` relaxes: a node's voltage is its current over its conductance.

`v = clip((sum_j g_ij v_j + I_i) / (sum_j g_ij), lo_i, hi_i)` is the exact minimum of the co-content in one node, and
nodes of one layer share no conductance, so a layer is one exact block step (Scellier, arXiv 2402.11674, section 4).

With bidirectional amplifiers (gain A: output A v, input draws i_out / A; Kendall et al. 2020, arXiv 2006.01981) a
layer's state is its amplifiers' output `s = A v`, and `s / A` is the node.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from emulator.couplings import Coupling, DenseCoupling, Shared
from emulator.currents import States
from emulator.network import Network
from emulator.nodes import Nodes, Surroundings
from firmware_specs.topology import Dense, Topology

Loads = tuple[Tensor, Tensor]
"""Admittances of a crossbar's row ports, (rows, rows), and of its column ports, (columns, columns), others at 0 V."""


class FloatingNodeError(ValueError):
    """Nodes without a path to a source.

    Args:
        nodes: Layer and unit of each, the first one first.
    """

    def __init__(self, nodes: Sequence[tuple[int, int]]) -> None:
        self.nodes = tuple(nodes)
        named = ", ".join(f"layer {layer} node {unit}" for layer, unit in self.nodes[:5])
        more = f" and {len(self.nodes) - 5} more" if len(self.nodes) > 5 else ""
        super().__init__(
            f"no path to a source: {named}{more}; give each a conductance above 0 "
            "(g_min_s above 0, or a leak to ground, rules this out)"
        )


@dataclass(frozen=True)
class Sources(DenseCoupling):
    """The crossbar at the sources.

    Attributes:
        loading: Current out of every source a volt at every source, all else at 0 V, (sources, sources), where wires
            make sources feel each other; None: the sum of each source's conductances.
    """

    loading: Tensor | None = None

    def delivered(self, drive: Tensor, node: Tensor) -> Tensor:
        """Current every source delivers, (batch, *source), for source and node voltages."""
        own = drive * self.weight.sum(0).view(self.pre) if self.loading is None else self._own(drive, self.loading)
        return own - self.down(node, None)

    def _own(self, drive: Tensor, loading: Tensor) -> Tensor:
        return (drive.flatten(1) @ loading).view_as(drive)


@dataclass(frozen=True)
class Amplified(Coupling):
    """A coupling whose current towards the earlier layer comes back through amplifiers.

    Attributes:
        coupling: The crossbar.
        backward: 1 / (A_pre A_post): the later layer's state is an amplifier's output, and so is the earlier one's.
    """

    coupling: Coupling
    backward: float

    def up(self, state: Tensor) -> tuple[Tensor, Shared]:
        """Current into the later layer's nodes."""
        return self.coupling.up(state)

    def down(self, state: Tensor, shared: Shared) -> Tensor:
        """Current into the earlier layer's nodes."""
        return self.coupling.down(state, shared) * self.backward


def build(
    topology: Topology,
    weights: dict[int, Tensor],
    biases: dict[int, Tensor | None],
    surroundings: Surroundings = Surroundings(),  # noqa: B008 - immutable
    loads: Sequence[Loads] | None = None,
) -> Network:
    """A network from conductances and current sources, any consistent units.

    Args:
        topology: A resistive chain.
        weights: Conductances >= 0 of each coupling, (units_post, units_pre).
        biases: Current into each node, (units_post,), or None.
        surroundings: Leak, rails and diodes.
        loads: What the lines of each crossbar draw, where wires have resistance; the weights are then the transfer
            admittances between row and column ports. Otherwise a line draws the sum of its conductances.

    Raises:
        FloatingNodeError: a node has no path to a source or to ground.
        ValueError: a conductance is negative.
    """
    for index, weight in weights.items():
        if bool(weight.amin() < 0):
            raise ValueError(f"weight_{index}: {int((weight < 0).sum())} conductances are negative; project them first")
    gains = [layer.gain for layer in topology.layers]
    inflow = [weights[layer].sum(1) for layer in range(len(topology.layers))]
    if surroundings.leak == 0:
        _check_grounded(topology, weights, inflow)
    nodes = tuple(
        Nodes.of(spec, *_loading(weights, inflow, loads, layer), surroundings)
        for layer, spec in enumerate(topology.layers)
    )
    shapes = [(topology.shape(c.pre), topology.shape(c.post)) for c in topology.couplings]
    source = Sources(weights[0], biases.get(0), *shapes[0], loading=None if loads is None else loads[0][0])
    between = [
        _amplified(DenseCoupling(weights[i], biases.get(i), *shapes[i]), gains[i - 1] * gains[i])
        for i in range(1, len(shapes))
    ]
    return Network(_without_source(topology), between, nodes, source=source)


def source_currents(network: Network, drive: Tensor, states: States) -> Tensor:
    """Current every source delivers, `sum_j g_kj (u_k - v_j)`, (batch, *source)."""
    source, first = network.source, network.neurons[0]
    if not isinstance(source, Sources) or not isinstance(first, Nodes):
        raise TypeError("only a resistive network has source nodes")
    return source.delivered(drive, states[0] / first.gain)


def _loading(
    weights: Mapping[int, Tensor], inflow: Sequence[Tensor], loads: Sequence[Loads] | None, layer: int
) -> tuple[Tensor, Tensor | None]:
    """Conductance at each node of a layer, and between its nodes where wires bring that about."""
    more = layer + 1 in weights
    if loads is None:
        return (inflow[layer] + weights[layer + 1].sum(0) if more else inflow[layer]), None
    matrix = loads[layer][1] + loads[layer + 1][0] if more else loads[layer][1]
    return matrix.diagonal().clone(), torch.diag(matrix.diagonal()) - matrix


def _amplified(crossbar: DenseCoupling, gain: float) -> Coupling:
    return crossbar if gain == 1.0 else Amplified(crossbar, 1 / gain)


@lru_cache(maxsize=64)
def _without_source(topology: Topology) -> Topology:
    """The layers and the couplings among them; what the sources send is constant during a phase."""
    inner = tuple(Dense(pre=c.pre, post=c.post, bias=c.bias) for c in topology.couplings if c.pre >= 0)
    return Topology(layers=topology.layers, couplings=inner)


def _check_grounded(topology: Topology, weights: Mapping[int, Tensor], inflow: Sequence[Tensor]) -> None:
    """Every node needs a path of conductances to a source: then the co-content has one minimum.

    A node with a conductance to the layer before it is reached by induction; only the others need a search.
    """
    if all(bool(total.amin() > 0) for total in inflow):
        return
    reached = [(total > 0) if layer == 0 else torch.zeros_like(total > 0) for layer, total in enumerate(inflow)]
    for _ in range(2 * sum(layer.units for layer in topology.layers)):
        before = sum(int(r.sum()) for r in reached)
        for layer in range(1, len(reached)):
            reached[layer] |= (weights[layer][:, reached[layer - 1]] > 0).any(1)
        for layer in reversed(range(len(reached) - 1)):
            reached[layer] |= (weights[layer + 1][reached[layer + 1]] > 0).any(0)
        if sum(int(r.sum()) for r in reached) == before:
            break
    lost = [(n, int(u)) for n, r in enumerate(reached) for u in torch.nonzero(~r).flatten()]
    if lost:
        raise FloatingNodeError(lost)
