"""One configured array: its cells, the weights they realize, and its neuron circuits with their mismatch."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from emulator import couplings, resistive
from emulator.diodes import Shockley
from emulator.network import Network, Neurons
from emulator.streams import static_normal
from firmware_specs.datasheet import Datasheet
from firmware_specs.topology import Conv, Dense, Topology


@dataclass
class PlacedArray:
    """State of one array.

    Attributes:
        sheet: What the chip is.
        topology: The block on it.
        conductances_s: Present conductances, one tensor a coupling, (planes, rows, columns), siemens.
        neurons: Neuron circuits of each layer; a resistive network has none.
    """

    sheet: Datasheet
    topology: Topology
    conductances_s: list[Tensor]
    neurons: tuple[Neurons, ...]
    _network: Network | None = None

    @classmethod
    def build(
        cls, sheet: Datasheet, topology: Topology, seed: int, array: int, device: torch.device, dtype: torch.dtype
    ) -> PlacedArray:
        """A blank array with the mismatch of this specimen."""
        planes = 1 if sheet.resistive else 2
        lowest = [
            torch.full((planes, *topology.cells(c)), sheet.cells.g_min_s, dtype=dtype, device=device)
            for c in topology.couplings
        ]
        layers = () if sheet.resistive else range(len(topology.layers))
        neurons = tuple(_neurons(sheet, topology, seed, array, i, device, dtype) for i in layers)
        return cls(sheet, topology, lowest, neurons)

    @property
    def network(self) -> Network:
        """What relaxes, built from the present conductances.

        Raises:
            emulator.resistive.FloatingNodeError: a node of a resistive network has no path to a source.
        """
        if self._network is None:
            self._network = self._wire()
        return self._network

    def rewire(self) -> None:
        """Call when conductances have changed."""
        self._network = None

    def _wire(self) -> Network:
        weights: dict[int, Tensor] = {}
        biases: dict[int, Tensor | None] = {}
        for index, (coupling, planes) in enumerate(zip(self.topology.couplings, self.conductances_s, strict=True)):
            matrix = self._matrix(coupling, planes)
            weights[index], biases[index] = _unpack(self.topology, coupling, matrix)
        if self.sheet.resistive:
            return resistive.build(self.topology, weights, biases, _surroundings(self.sheet))
        return Network(self.topology, couplings.build(self.topology, weights, biases), self.neurons)

    def _matrix(self, coupling: Dense | Conv, planes: Tensor) -> Tensor:
        """Weights (rows, columns), model units: `(G+ - G-) R`, or `G R` with the bias line about mid-range."""
        ohm = self.sheet.neurons.transimpedance_ohm
        if not self.sheet.resistive:
            return (planes[0] - planes[1]).mul_(ohm)
        matrix = planes[0] * ohm
        if coupling.bias:
            matrix[-1] -= (self.sheet.cells.g_min_s + self.sheet.cells.g_max_s) * (ohm / 2)
        return matrix


def _surroundings(sheet: Datasheet) -> resistive.Surroundings:
    ohm, unit_v, diodes = sheet.neurons.transimpedance_ohm, sheet.neurons.state_unit_v, sheet.nodes.diodes
    real = Shockley(diodes.saturation_a * ohm / unit_v, diodes.thermal_v / unit_v) if diodes.saturation_a else None
    low, high = sheet.neurons.linear_low_v / unit_v, sheet.neurons.linear_high_v / unit_v
    return resistive.Surroundings(sheet.nodes.leak_s * ohm, low, high, real)


def _unpack(topology: Topology, coupling: Dense | Conv, matrix: Tensor) -> tuple[Tensor, Tensor | None]:
    """Weight and bias of a coupling from its (rows, columns) matrix; the bias line is the last row."""
    weight, bias = (matrix[:-1], matrix[-1].contiguous()) if coupling.bias else (matrix, None)
    weight = weight.T.contiguous()
    if isinstance(coupling, Conv):
        weight = weight.view(-1, topology.shape(coupling.pre)[0], coupling.kernel, coupling.kernel)
    return weight, bias


def _neurons(
    sheet: Datasheet, topology: Topology, seed: int, array: int, index: int, device: torch.device, dtype: torch.dtype
) -> Neurons:
    """Neuron circuits of a layer: `s = clamp(slope (1 + e) (z - o))`, e and o fixed for the specimen's life."""
    layer, spec = topology.layers[index], sheet.neurons
    low = 0.0 if layer.clamped else spec.linear_low_v / spec.state_unit_v
    high = 1.0 if layer.clamped else spec.linear_high_v / spec.state_unit_v
    slope = layer.slope if layer.clamped else 1.0
    if spec.gain_mismatch_sigma == 0 and spec.offset_mismatch_sigma_v == 0:
        return Neurons(gain=slope, low=low, high=high)
    error = static_normal(layer.shape, device, seed, "neuron gain", array, index) * spec.gain_mismatch_sigma
    offset = static_normal(layer.shape, device, seed, "neuron offset", array, index)
    gain = slope * (1 + error)
    shift = -gain * offset * (spec.offset_mismatch_sigma_v / spec.state_unit_v)
    return Neurons(gain.to(dtype), shift.to(dtype), low, high)
