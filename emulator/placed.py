"""One configured array: its cells, the weights they realize, and its neuron circuits with their mismatch."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from emulator import couplings, network
from emulator.streams import static_normal
from firmware_specs.datasheet import Datasheet
from firmware_specs.topology import Conv, Dense, Topology


@dataclass
class PlacedArray:
    """State of one array.

    Attributes:
        topology: The block on it.
        conductances_s: Present conductances, one tensor a coupling, (planes, rows, columns), siemens.
        network: What relaxes; rebuilt by `rewire` whenever conductances change.
    """

    topology: Topology
    conductances_s: list[Tensor]
    network: network.Network
    transimpedance_ohm: float

    @classmethod
    def build(
        cls, sheet: Datasheet, topology: Topology, seed: int, array: int, device: torch.device, dtype: torch.dtype
    ) -> PlacedArray:
        """A blank array with the mismatch of this specimen."""
        lowest = [
            torch.full((2, *topology.cells(c)), sheet.cells.g_min_s, dtype=dtype, device=device)
            for c in topology.couplings
        ]
        neurons = tuple(_neurons(sheet, topology, seed, array, i, device, dtype) for i in range(len(topology.layers)))
        blank = network.Network(topology, (), neurons)
        placed = cls(topology, lowest, blank, sheet.neurons.transimpedance_ohm)
        placed.rewire()
        return placed

    def rewire(self) -> None:
        """Rebuilds the couplings from the present conductances, `w = (G+ - G-) * R`."""
        weights: dict[int, Tensor] = {}
        biases: dict[int, Tensor | None] = {}
        for index, (coupling, pair) in enumerate(zip(self.topology.couplings, self.conductances_s, strict=True)):
            matrix = (pair[0] - pair[1]).mul_(self.transimpedance_ohm)
            weights[index], biases[index] = _unpack(self.topology, coupling, matrix)
        built = couplings.build(self.topology, weights, biases)
        self.network = network.Network(self.topology, built, self.network.neurons)


def _unpack(topology: Topology, coupling: Dense | Conv, matrix: Tensor) -> tuple[Tensor, Tensor | None]:
    """Weight and bias of a coupling from its (rows, columns) matrix; the bias line is the last row."""
    weight, bias = (matrix[:-1], matrix[-1].contiguous()) if coupling.bias else (matrix, None)
    weight = weight.T.contiguous()
    if isinstance(coupling, Conv):
        weight = weight.view(-1, topology.shape(coupling.pre)[0], coupling.kernel, coupling.kernel)
    return weight, bias


def _neurons(
    sheet: Datasheet, topology: Topology, seed: int, array: int, index: int, device: torch.device, dtype: torch.dtype
) -> network.Neurons:
    """Neuron circuits of a layer: `s = clamp(slope (1 + e) (z - o))`, e and o fixed for the specimen's life."""
    layer, spec = topology.layers[index], sheet.neurons
    low = 0.0 if layer.clamped else spec.linear_low_v / spec.state_unit_v
    high = 1.0 if layer.clamped else spec.linear_high_v / spec.state_unit_v
    slope = layer.slope if layer.clamped else 1.0
    if spec.gain_mismatch_sigma == 0 and spec.offset_mismatch_sigma_v == 0:
        return network.Neurons(gain=slope, low=low, high=high)
    error = static_normal(layer.shape, device, seed, "neuron gain", array, index) * spec.gain_mismatch_sigma
    offset = static_normal(layer.shape, device, seed, "neuron offset", array, index)
    gain = slope * (1 + error)
    shift = -gain * offset * (spec.offset_mismatch_sigma_v / spec.state_unit_v)
    return network.Neurons(gain.to(dtype), shift.to(dtype), low, high)
