"""One configured array: its cells, what they are now, and its converter channels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from emulator import couplings
from emulator.channels import Channels
from emulator.crossbar import Crossbar
from emulator.network import Network
from emulator.read_noise import CellNoise
from emulator.streams import Streams
from emulator.ways import RULE, Ways
from emulator.wiring import Wiring, backwards, neurons
from firmware_specs.datasheet import Datasheet
from firmware_specs.topology import Conv, Topology

STALE = 1e-3
"""Drift is computed anew when the cells' age, counted from the law's origin, has grown by this fraction; traps of
telegraph noise when this fraction of the time has passed in which they forget their state."""

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
        ways: Who chooses how convolutions are formed.

    Attributes:
        array: Its number.
        crossbars: Cells of every coupling.
        wiring: How the cells are joined.
        drive: Errors of the drive DAC's channels.
        nudge: Errors of the nudge DAC's channels.
        states: Errors of the state ADCs' channels, one set a layer.
        line_dacs: On a tile of a product device, those of the lines driven in a product, and in a transposed one.
        line_adcs: The same of the lines read.
        generation: Counts how often the conductances were brought up to date.
    """

    def __init__(
        self,
        sheet: Datasheet,
        topology: Topology,
        seed: int,
        array: int,
        device: torch.device,
        dtype: torch.dtype,
        ways: Ways = RULE,
    ) -> None:
        self.sheet, self.topology, self.array = sheet, topology, array
        self._device, self._dtype = device, dtype
        self.crossbars = [
            Crossbar(sheet, (sheet.cells.planes, *topology.cells(c)), (seed, "cells", array, i), device, dtype)
            for i, c in enumerate(topology.couplings)
        ]
        layers = topology.layers
        circuits = () if sheet.resistive else range(len(layers))
        self.wiring = Wiring(
            sheet,
            topology,
            tuple(neurons(sheet, topology, seed, array, i, device, dtype) for i in circuits),
            backwards(sheet, topology, seed, array, device, dtype),
            ways,
        )
        place = (device, dtype, seed)
        self.drive = Channels.draw(sheet.drive_dac, topology.drive_shape, *place, "drive_dac", array)
        self.nudge = Channels.draw(sheet.nudge_dac, topology.nudge_shape, *place, "nudge_dac", array)
        adcs = [sheet.state_adc if layer.clamped else sheet.output_adc for layer in layers]
        self.states = [
            Channels.draw(adc, layer.shape, *place, "state_adc" if layer.clamped else "output_adc", array, n)
            for n, (adc, layer) in enumerate(zip(adcs, layers, strict=True))
        ]
        self.line_dacs: dict[bool, Channels] = {}
        self.line_adcs: dict[bool, Channels] = {}
        if sheet.product is not None:
            rows, columns = topology.cells(topology.couplings[0])
            for back, driven, read in ((False, rows, columns), (True, columns, rows)):
                wide = (device, torch.float64, seed)
                self.line_dacs[back] = Channels.draw(sheet.product.line_dac, (driven,), *wide, "line_dac", array, back)
                self.line_adcs[back] = Channels.draw(
                    sheet.product.line_adc, (2, 1, read), *wide, "line_adc", array, back
                )
        self._seen_at: tuple[float, float] | None = None
        self._present: list[Tensor] = []
        self._network: Network | None = None
        self._noise: CellNoise | None = None
        self._products: dict[tuple[int, int | None, bool], tuple[Tensor, Tensor | None]] = {}
        self._held: Held | None = None
        self._fluctuated_s = self._wandered_s = 0.0
        self.generation = 0

    def __getstate__(self) -> dict[str, object]:
        """Of a copy: networks are built again from the cells when they are needed."""
        return self.__dict__ | {"_network": None, "_noise": None}

    def hold(self, drive: Tensor, readings: Sequence[Tensor], states: Sequence[Tensor]) -> None:
        """Keeps the free equilibrium the array is in, until cells change or it settles elsewhere."""
        self._held = Held(drive, tuple(readings), tuple(states))

    def resting(self, drive: Tensor, readings: Sequence[Tensor]) -> tuple[Tensor, ...] | None:
        """The very states behind earlier readings, where the array still rests in them under the same drive."""
        held = self._held
        if held is None or not torch.equal(held.drive, drive):
            return None
        # a reading that went through other units and back may be off by a rounding, another one is off by a code
        pairs = zip(held.readings, readings, strict=True)
        same = all(torch.equal(a, b) or torch.allclose(a, b.to(a), rtol=1e-5, atol=1e-8) for a, b in pairs)
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
        self.generation += 1

    def fluctuate(self, clock_s: float, streams: Streams) -> None:
        """Lets traps fill and empty up to the clock, where enough time has passed for some to."""
        elapsed_s = clock_s - self._fluctuated_s
        law = self.sheet.telegraph
        if law.amplitude == 0 or elapsed_s <= STALE * law.time_s:
            return
        generator = streams.next(f"telegraph {self.array}")
        for crossbar in self.crossbars:
            crossbar.fluctuate(elapsed_s, generator)
        self._fluctuated_s = clock_s
        self.changed()

    def wander(self, aged_s: float, streams: Streams) -> None:
        """Lets random walks go on up to the ageing clock, where enough time has passed for a difference."""
        grown_s, drift = aged_s - self._wandered_s, self.sheet.drift
        if drift.law != "walk" or grown_s <= 0:
            return
        youngest_s = max(min((self._wandered_s - c.touched_s for c in self.crossbars), default=0.0), 0.0)
        if grown_s <= STALE * (youngest_s + (drift.t0_s or 0.0)):
            return
        generator = streams.next(f"walk {self.array}")
        for crossbar in self.crossbars:
            crossbar.wander(self._wandered_s, aged_s, generator)
        self._wandered_s = aged_s
        self.changed()

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
            self._network = self.wiring.network(self._present)
        return self._network

    def compiled(self) -> bool:
        """Whether sweeps are one compiled function on one thread, whatever the cells hold."""
        convolved = any(isinstance(c, Conv) for c in self.topology.couplings)
        if convolved or self.sheet.resistive or self.sheet.settle.mode == "transient":
            return False
        chain = self.wiring.network([torch.zeros_like(c.written_s) for c in self.crossbars]).chain
        return chain is not None and chain.compiled

    @property
    def noise(self) -> CellNoise | None:
        """Read noise of a Hopfield array's cells; None without any."""
        if self._noise is None and self.sheet.read_noise.law != "none":
            ohm = self.sheet.neurons.transimpedance_ohm
            matrices = [self.sheet.cells.joined_variance(s**2) * ohm**2 for s in self._sigmas()]
            plain = self.topology.model_copy(
                update={
                    "couplings": tuple(
                        c.model_copy(update={"pool": False}) if isinstance(c, Conv) else c
                        for c in self.topology.couplings
                    )
                }
            )
            spread = couplings.build(plain, *self.wiring.split(matrices))
            self._noise = CellNoise(self.topology, self.network.couplings, spread, self.wiring.bend)
        return self._noise

    def product_matrices(self, coupling: int, plane: int | None, transposed: bool) -> tuple[Tensor, Tensor | None]:
        """Effective conductances and variances of their reading, (rows, columns), of one plane or of the difference."""
        key = (coupling, plane, transposed and bool(self.wiring.back))
        if key not in self._products:
            planes = self.wiring.seen(coupling, self._present[coupling], transposed)
            sigma = self.cell_noise_s(coupling)
            single = 0 if plane is None and len(planes) == 1 else plane
            if single is None:
                cells = self.sheet.cells
                matrix, variance = cells.joined(planes), None if sigma is None else cells.joined_variance(sigma**2)
            else:
                matrix, variance = planes[single], None if sigma is None else sigma[single] ** 2
            self._products[key] = (matrix, variance)
        return self._products[key]

    def cell_noise_s(self, coupling: int) -> Tensor | None:
        """Standard deviation of reading each cell of a coupling, (planes, rows, columns); None without read noise."""
        return self.crossbars[coupling].noise_sigma_s(self._present[coupling], self._now_s)

    def noisy_network(self, generator: torch.Generator) -> Network:
        """A network with one realization of every cell's read noise in its conductances."""
        pairs = zip(self._present, self._sigmas(), strict=True)
        return self.wiring.network(
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
        if self.sheet.telegraph.amplitude:
            state["fluctuated_at"] = torch.tensor(self._fluctuated_s, dtype=torch.float64)
        if self.sheet.drift.law == "walk":
            state["wandered_at"] = torch.tensor(self._wandered_s, dtype=torch.float64)
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
        if "fluctuated_at" in state:
            self._fluctuated_s = float(state["fluctuated_at"])
        if "wandered_at" in state:
            self._wandered_s = float(state["wandered_at"])
        if "seen_at" in state:
            self.refresh(*(float(v) for v in state["seen_at"]))

    def _stale(self, now_s: float, seen_s: float) -> bool:
        grown_s = now_s - seen_s
        youngest_s = min((seen_s - c.touched_s for c in self.crossbars), default=0.0)
        drift = self.sheet.drift
        origin_s = drift.tau_s if drift.law == "exponential" else drift.t0_s
        if drift.law != "none" and grown_s > STALE * (youngest_s + (origin_s or 0.0)):
            return True
        return self.sheet.read_noise.aged and grown_s > youngest_s + STALE_NOISE_S

    @property
    def _now_s(self) -> float:
        return self._seen_at[0] if self._seen_at is not None else 0.0

    def _sigmas(self) -> list[Tensor]:
        sigmas = [c.noise_sigma_s(g, self._now_s) for c, g in zip(self.crossbars, self._present, strict=True)]
        return [s for s in sigmas if s is not None]
