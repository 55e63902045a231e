"""One configured array: its cells, the weights they realize, and its circuits with their mismatch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from emulator import couplings, packed, resistive
from emulator.cells import reading
from emulator.converters import Channels
from emulator.crossbar import Crossbar
from emulator.diodes import Shockley
from emulator.network import Network, Neurons
from emulator.read_noise import CellNoise
from emulator.streams import static_normal
from emulator.wires import ladder, nodal
from firmware_specs.datasheet import Datasheet
from firmware_specs.topology import Conv, Dense, Topology

STALE = 1e-3
"""Drift is computed anew when the cells' age, counted from the law's origin, has grown by this fraction."""

STALE_NOISE_S = 1e-3
"""1/f noise is computed anew when the cells' age has doubled, and grown by this at least: it grows with `ln t`."""


@dataclass(frozen=True)
class Held:
    """A free equilibrium an array rests in.

    Attributes:
        drive: As sent.
        readings: What was read of its states.
        states: The states themselves.
    """

    drive: Tensor
    readings: tuple[Tensor, ...]
    states: tuple[Tensor, ...]


class PlacedArray:
    """State of one array.

    Args:
        sheet: What the chip is.
        topology: The block on it.
        seed: The chip's.
        array: Number of the array.
        device: Torch device.
        dtype: Floating-point type of states and conductances.

    Attributes:
        crossbars: Cells of every coupling.
        neurons: Neuron circuits of each layer; a resistive network has none.
        drive: Errors of the drive DAC's channels.
        nudge: Errors of the nudge DAC's channels.
        states: Errors of the state ADCs' channels, one set a layer.
    """

    def __init__(
        self, sheet: Datasheet, topology: Topology, seed: int, array: int, device: torch.device, dtype: torch.dtype
    ) -> None:
        self.sheet, self.topology = sheet, topology
        self._device, self._dtype = device, dtype
        planes = 1 if sheet.resistive else 2
        self.crossbars = [
            Crossbar(sheet, (planes, *topology.cells(c)), (seed, "cells", array, i), device, dtype)
            for i, c in enumerate(topology.couplings)
        ]
        layers = topology.layers
        neurons = () if sheet.resistive else range(len(layers))
        self.neurons = tuple(_neurons(sheet, topology, seed, array, i, device, dtype) for i in neurons)
        place = (device, dtype, seed)
        self.drive = Channels.draw(sheet.drive_dac, topology.drive_shape, *place, "drive_dac", array)
        self.nudge = Channels.draw(sheet.nudge_dac, topology.nudge_shape, *place, "nudge_dac", array)
        adcs = [sheet.state_adc if layer.clamped else sheet.output_adc for layer in layers]
        self.states = [
            Channels.draw(adc, layer.shape, *place, "state_adc" if layer.clamped else "output_adc", array, n)
            for n, (adc, layer) in enumerate(zip(adcs, layers, strict=True))
        ]
        self._seen_at: tuple[float, float] | None = None
        self._present: list[Tensor] = []
        self._network: Network | None = None
        self._noise: CellNoise | None = None
        self._products: dict[tuple[int, int | None], tuple[Tensor, Tensor | None]] = {}
        self._held: Held | None = None

    def hold(self, drive: Tensor, readings: Sequence[Tensor], states: Sequence[Tensor]) -> None:
        """Keeps the free equilibrium the array is in, until cells change or it settles elsewhere."""
        self._held = Held(drive, tuple(readings), tuple(states))

    def resting(self, drive: Tensor, readings: Sequence[Tensor]) -> tuple[Tensor, ...] | None:
        """The very states behind earlier readings, where the array still rests in them under the same drive."""
        held = self._held
        if held is None or not torch.equal(held.drive, drive):
            return None
        # a reading that went through other units and back may be off by a rounding, another one is off by a code
        same = all(torch.allclose(a, b, rtol=1e-5, atol=1e-8) for a, b in zip(held.readings, readings, strict=True))
        return held.states if same else None

    @property
    def conductances_s(self) -> list[Tensor]:
        """Conductances as last seen, one tensor a coupling, (planes, rows, columns), siemens; see `refresh`."""
        return self._present

    def refresh(self, now_s: float, temperature_k: float) -> None:
        """Brings conductances up to the clock and the temperature, where that makes a difference."""
        if self._seen_at is not None:
            seen_s, seen_k = self._seen_at
            if temperature_k == seen_k and not self._stale(now_s, seen_s):
                return
        self._seen_at = (now_s, temperature_k)
        self._present = [c.present_s(now_s, temperature_k) for c in self.crossbars]
        self._network = self._noise = None
        self._products = {}

    def changed(self) -> None:
        """Call when cells have been written or pulsed."""
        self._seen_at = self._held = None

    @property
    def network(self) -> Network:
        """What relaxes, built from the conductances last seen.

        Raises:
            emulator.resistive.FloatingNodeError: a node of a resistive network has no path to a source.
        """
        if self._network is None:
            self._network = self._wire(self._present)
        return self._network

    @property
    def noise(self) -> CellNoise | None:
        """Read noise of a Hopfield array's cells; None without any."""
        if self._noise is None and self.sheet.read_noise.law != "none":
            ohm = self.sheet.neurons.transimpedance_ohm
            matrices = [(s**2).sum(0) * ohm**2 for s in self._sigmas()]
            plain = self.topology.model_copy(
                update={
                    "couplings": tuple(
                        c.model_copy(update={"pool": False}) if isinstance(c, Conv) else c
                        for c in self.topology.couplings
                    )
                }
            )
            spread = couplings.build(plain, *self._split(matrices))
            self._noise = CellNoise(self.topology, self.network.couplings, spread, self._bend)
        return self._noise

    def product_matrices(self, coupling: int, plane: int | None) -> tuple[Tensor, Tensor | None]:
        """Effective conductances and variances of their reading, (rows, columns), of one plane or of the difference."""
        if (coupling, plane) not in self._products:
            planes = self.effective(self._present[coupling])
            sigma = self.crossbars[coupling].noise_sigma_s(self._present[coupling], self._now_s)
            single = 0 if plane is None and len(planes) == 1 else plane
            if single is None:
                matrix, variance = planes[0] - planes[1], None if sigma is None else (sigma**2).sum(0)
            else:
                matrix, variance = planes[single], None if sigma is None else sigma[single] ** 2
            self._products[coupling, plane] = (matrix, variance)
        return self._products[coupling, plane]

    def noisy_network(self, generator: torch.Generator) -> Network:
        """A network with one realization of every cell's read noise in its conductances."""
        pairs = zip(self._present, self._sigmas(), strict=True)
        return self._wire(
            [
                (g + s * torch.randn(g.shape, generator=generator, dtype=g.dtype, device=g.device)).clamp_(min=0)
                for g, s in pairs
            ]
        )

    def state_dict(self) -> dict[str, Tensor]:
        """Cells, and when their conductances were last computed."""
        state = {
            f"{index}.{name}": value
            for index, crossbar in enumerate(self.crossbars)
            for name, value in crossbar.state_dict().items()
        }
        if self._seen_at is not None:
            state["seen_at"] = torch.tensor(self._seen_at, dtype=torch.float64)
        return state

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Restores `state_dict`.

        Raises:
            KeyError: a tensor is missing.
        """
        for index, crossbar in enumerate(self.crossbars):
            start = f"{index}."
            crossbar.load_state_dict({k.removeprefix(start): v for k, v in state.items() if k.startswith(start)})
        self.changed()
        if "seen_at" in state:
            self.refresh(*(float(v) for v in state["seen_at"]))

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

    def _stale(self, now_s: float, seen_s: float) -> bool:
        grown_s = now_s - seen_s
        youngest_s = min((seen_s - c.touched_s for c in self.crossbars), default=0.0)
        drift = self.sheet.drift
        origin_s = drift.tau_s if drift.law == "exponential" else drift.t0_s
        if drift.law != "none" and grown_s > STALE * (youngest_s + (origin_s or 0.0)):
            return True
        return self.sheet.read_noise.law == "flicker" and grown_s > youngest_s + STALE_NOISE_S

    @property
    def _now_s(self) -> float:
        return self._seen_at[0] if self._seen_at is not None else 0.0

    def _sigmas(self) -> list[Tensor]:
        sigmas = [c.noise_sigma_s(g, self._now_s) for c, g in zip(self.crossbars, self._present, strict=True)]
        return [s for s in sigmas if s is not None]

    def _wire(self, conductances_s: list[Tensor]) -> Network:
        if self.sheet.resistive:
            return self._wire_resistive(conductances_s)
        matrices = [
            self._matrix(c, self.effective(g)) for c, g in zip(self.topology.couplings, conductances_s, strict=True)
        ]
        weights, biases = self._split(matrices)
        built = packed.pack(self.topology, weights, biases)
        if not self.sheet.cells.linear:
            built = [couplings.BentCoupling(c, self._bend) for c in built]
        return Network(self.topology, built, self.neurons)

    def _wire_resistive(self, conductances_s: list[Tensor]) -> Network:
        """Lines end at nodes, not at virtual grounds: with `wires.method = "exact"` the nodes feel that.

        The `ladder` approximation takes a line's draw as the sum of its effective conductances. Bias lines feed
        current sources; their wires do not matter.
        """
        wires, ohm = self.sheet.wires, self.sheet.neurons.transimpedance_ohm
        weights, biases = self._split(
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

    def _split(self, matrices: list[Tensor]) -> tuple[dict[int, Tensor], dict[int, Tensor | None]]:
        """Weights and biases of all couplings from their (rows, columns) matrices."""
        pairs = [_unpack(self.topology, c, m) for c, m in zip(self.topology.couplings, matrices, strict=True)]
        return {i: w for i, (w, _) in enumerate(pairs)}, {i: b for i, (_, b) in enumerate(pairs)}

    def _bend(self, voltage: Tensor) -> Tensor:
        return reading.bent(self.sheet.cells, voltage, self.sheet.neurons.state_unit_v)

    def _matrix(self, coupling: Dense | Conv, planes: Tensor) -> Tensor:
        """Weights (rows, columns), model units: `(G+ - G-) R`, or `G R` with the bias line about mid-range."""
        ohm = self.sheet.neurons.transimpedance_ohm
        if not self.sheet.resistive:
            difference = (planes[0] - planes[1]).mul_(ohm)
            if coupling.bias and not self.sheet.cells.linear:
                difference[-1] *= float(self._bend(torch.ones(())))
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


def _neurons(
    sheet: Datasheet, topology: Topology, seed: int, array: int, index: int, device: torch.device, dtype: torch.dtype
) -> Neurons:
    """Neuron circuits of a layer: `s = clamp(slope (1 - leak) (1 + e) (z - o))`, e and o fixed for life."""
    layer, spec = topology.layers[index], sheet.neurons
    low = 0.0 if layer.clamped else spec.linear_low_v / spec.state_unit_v
    high = 1.0 if layer.clamped else spec.linear_high_v / spec.state_unit_v
    slope = (layer.slope if layer.clamped else 1.0) * (1 - spec.leak)
    if spec.gain_mismatch_sigma == 0 and spec.offset_mismatch_sigma_v == 0:
        return Neurons(gain=slope, low=low, high=high)
    error = static_normal(layer.shape, device, seed, "neuron gain", array, index) * spec.gain_mismatch_sigma
    offset = static_normal(layer.shape, device, seed, "neuron offset", array, index)
    gain = slope * (1 + error)
    shift = -gain * offset * (spec.offset_mismatch_sigma_v / spec.state_unit_v)
    return Neurons(gain.to(dtype), shift.to(dtype), low, high)
