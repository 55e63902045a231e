"""From the conductances of an array to the network that relaxes: lines, weights, neuron circuits."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from emulator import couplings, packed, resistive
from emulator.cells import reading
from emulator.couplings import Coupling
from emulator.diodes import Shockley
from emulator.network import Network
from emulator.neurons import Neurons
from emulator.streams import static_normal
from emulator.ways import RULE, Ways
from emulator.wires import ladder, nodal
from firmware_specs.datasheet import Datasheet
from firmware_specs.topology import Conv, Dense, Topology


@dataclass(frozen=True)
class Wiring:
    """How the cells of one array are joined.

    Attributes:
        sheet: What the chip is.
        topology: The block on it.
        neurons: Neuron circuits of each layer; a resistive network has none.
        back: What every cell conducts from its column to its row over what it does from its row to its column,
            (planes, rows, columns) a coupling; empty where they are alike.
        ways: Who chooses how convolutions are formed.
    """

    sheet: Datasheet
    topology: Topology
    neurons: tuple[Neurons, ...]
    back: tuple[Tensor, ...] = ()
    ways: Ways = RULE

    def seen(self, coupling: int, conductance_s: Tensor, transposed: bool) -> Tensor:
        """What a coupling's lines make of its conductances, (planes, rows, columns), driven from one side."""
        backwards = transposed and self.back
        return self.effective(conductance_s * self.back[coupling] if backwards else conductance_s)

    def effective(self, conductance_s: Tensor) -> Tensor:
        """What a crossbar's lines make of its conductances, (planes, rows, columns) or (rows, columns)."""
        wires = self.sheet.wires
        if wires.ideal:
            return conductance_s
        if wires.method == "ladder":
            return ladder.transfer(conductance_s, wires)
        planes = conductance_s.double().cpu().numpy().reshape(-1, *conductance_s.shape[-2:])
        solved = torch.stack([torch.from_numpy(nodal.transfer(p, wires)) for p in planes])
        return solved.to(conductance_s).view(conductance_s.shape)

    def network(self, conductances_s: list[Tensor]) -> Network:
        """What relaxes.

        Args:
            conductances_s: Of every coupling, (planes, rows, columns).

        Raises:
            emulator.resistive.FloatingNodeError: a node of a resistive network has no path to a source.
        """
        if self.sheet.resistive:
            return self._resistive(conductances_s)
        built = self._packed(conductances_s, False)
        if self.back:
            both = zip(built, self._packed(conductances_s, True), strict=True)
            built = [couplings.OneWayCouplings(forth, back) for forth, back in both]
        if not self.sheet.cells.linear:
            built = [couplings.BentCoupling(c, self.bend) for c in built]
        return Network(self.topology, built, self.neurons)

    def _packed(self, conductances_s: list[Tensor], transposed: bool) -> list[Coupling]:
        """Couplings as the lines of one side see them."""
        pairs = enumerate(zip(self.topology.couplings, conductances_s, strict=True))
        weights, biases = self.split([self._matrix(c, self.seen(i, g, transposed)) for i, (c, g) in pairs])
        return list(packed.pack(self.topology, weights, biases, ways=self.ways))

    def _resistive(self, conductances_s: list[Tensor]) -> Network:
        """Lines end at nodes, not at virtual grounds: with `wires.method = "exact"` the nodes feel that.

        The `ladder` approximation takes a line's draw as the sum of its effective conductances. Bias lines feed
        current sources; their wires do not matter.
        """
        wires, ohm = self.sheet.wires, self.sheet.neurons.transimpedance_ohm
        weights, biases = self.split(
            [self._matrix(c, g.clone()) for c, g in zip(self.topology.couplings, conductances_s, strict=True)]
        )
        loads = None
        if not wires.ideal and wires.method == "ladder":
            weights = {i: ladder.transfer(w.T / ohm, wires).T * ohm for i, w in weights.items()}
        elif not wires.ideal:
            ports = {i: nodal.port_admittance((w.T / ohm).double().cpu().numpy(), wires) for i, w in weights.items()}
            loads, transfers = [], {}
            for index, weight in weights.items():
                rows = weight.shape[1]
                seen = torch.from_numpy(ports[index] * ohm).to(weight)
                loads.append((seen[:rows, :rows], seen[rows:, rows:]))
                transfers[index] = (-seen[rows:, :rows]).clamp(min=0)
            weights = transfers
        return resistive.build(self.topology, weights, biases, _surroundings(self.sheet), loads)

    def split(self, matrices: list[Tensor]) -> tuple[dict[int, Tensor], dict[int, Tensor | None]]:
        """Weights and biases of all couplings from their (rows, columns) matrices."""
        pairs = [_unpack(self.topology, c, m) for c, m in zip(self.topology.couplings, matrices, strict=True)]
        return {i: w for i, (w, _) in enumerate(pairs)}, {i: b for i, (_, b) in enumerate(pairs)}

    def bend(self, voltage: Tensor) -> Tensor:
        """What cells make of a line voltage, state units."""
        return reading.bent(self.sheet.cells, voltage, self.sheet.neurons.state_unit_v)

    def _matrix(self, coupling: Dense | Conv, planes: Tensor) -> Tensor:
        """Weights (rows, columns), model units: `(G+ - G-) R`, or `G R` with the bias line about mid-range."""
        ohm = self.sheet.neurons.transimpedance_ohm
        if not self.sheet.resistive:
            difference = self.sheet.cells.joined(planes).mul_(ohm)
            if coupling.bias and not self.sheet.cells.linear:
                difference[-1] *= float(self.bend(torch.ones(())))
            return difference
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


def _known(sheet: Datasheet, topology: Topology, array: int, layer: int) -> bool:
    """Does the datasheet know the units of this layer one by one?"""
    of, couplings = sheet.specimen, topology.couplings
    there = bool(of.gain or of.offset_v) and of.array == array and of.coupling < len(couplings)
    return there and couplings[of.coupling].pre == layer


def neurons(
    sheet: Datasheet, topology: Topology, seed: int, array: int, index: int, device: torch.device, dtype: torch.dtype
) -> Neurons:
    """Neuron circuits of a layer: `s = clamp(slope (1 - leak) (1 + e) (z - o))`, e and o fixed for life."""
    layer, spec = topology.layers[index], sheet.neurons
    low = 0.0 if layer.clamped else spec.linear_low_v / spec.state_unit_v
    high = spec.rail if layer.clamped else spec.linear_high_v / spec.state_unit_v
    slope = (layer.slope if layer.clamped else 1.0) * (1 - spec.leak)
    known = _known(sheet, topology, array, index)
    if spec.gain_mismatch_sigma == 0 and spec.offset_mismatch_sigma_v == 0 and not known:
        return Neurons(gain=slope, low=low, high=high)
    error = static_normal(layer.shape, device, seed, "neuron gain", array, index) * spec.gain_mismatch_sigma
    offset = static_normal(layer.shape, device, seed, "neuron offset", array, index)
    scale = spec.offset_mismatch_sigma_v / spec.state_unit_v
    if known:
        of = sheet.specimen
        if len(of.gain) == error.numel():
            error = torch.tensor(of.gain, dtype=torch.float64, device=device).view(layer.shape)
        if len(of.offset_v) == error.numel():
            offset = torch.tensor(of.offset_v, dtype=torch.float64, device=device).view(layer.shape)
            scale = 1 / spec.state_unit_v
    gain = slope * (1 + error)
    shift = -gain * offset * scale
    # as the maps lie that they meet
    gain, shift = (couplings.channels_last(each.to(dtype).unsqueeze(0)).squeeze(0) for each in (gain, shift))
    return Neurons(gain, shift, low, high)


def backwards(
    sheet: Datasheet, topology: Topology, seed: int, array: int, device: torch.device, dtype: torch.dtype
) -> tuple[Tensor, ...]:
    """Ratio of what cells conduct from column to row and from row to column, fixed for life; empty where it is 1."""
    cells = sheet.cells
    if cells.reciprocal:
        return ()
    drawn = [
        static_normal((cells.planes, *topology.cells(c)), device, seed, "nonreciprocity", array, index)
        for index, c in enumerate(topology.couplings)
    ]
    return tuple((cells.backward_gain * (1 + cells.nonreciprocity * d)).clamp_(min=0).to(dtype) for d in drawn)
