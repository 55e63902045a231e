"""The software chip: one physics, reached through a value door and a byte door, in SI units."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from emulator import cells, converters, network, resistive
from emulator.placed import PlacedArray
from emulator.streams import Streams
from firmware_specs.datasheet import Datasheet
from firmware_specs.topology import Topology


@dataclass(frozen=True)
class Reading:
    """What one phase looks like from outside.

    Attributes:
        states_v: One tensor a layer, (batch, *layer), volts on the ADCs' code grid.
        settled: (batch,) bool.
        iterations: (batch,) sweeps.
        residual: (batch,) largest state change in the last sweep, state units.
        clipped_drives: (batch,) drive and nudge values the DACs clipped.
        rail_codes: (batch,) readings at the first or last code.
        source_currents_a: (batch, *source) what a resistive network's sources deliver, where an ammeter measures it.
    """

    states_v: tuple[Tensor, ...]
    settled: Tensor
    iterations: Tensor
    residual: Tensor
    clipped_drives: Tensor
    rail_codes: Tensor
    source_currents_a: Tensor | None = None


class Chip:
    """A chip built from a datasheet and a seed; the same seed is the same chip.

    Args:
        datasheet: What it is.
        seed: Which specimen: fixes mismatch and every noise stream.
        device: Torch device the arrays live on.
        dtype: Floating-point type of states and conductances.
    """

    def __init__(
        self,
        datasheet: Datasheet,
        seed: int = 0,
        device: str | torch.device = "cpu",
        dtype: torch.dtype = torch.float32,
    ) -> None:
        self.datasheet = datasheet
        self.seed = seed
        self.device = torch.device(device)
        self.dtype = dtype
        self.streams = Streams(seed, self.device)
        self.arrays: dict[int, PlacedArray] = {}

    def configure(self, array: int, topology: Topology) -> None:
        """Places a block on an array; its cells start at the lowest conductance.

        Raises:
            IndexError: no such array.
        """
        if not 0 <= array < self.datasheet.fabric.arrays:
            raise IndexError(f"array {array}: this chip has arrays 0 .. {self.datasheet.fabric.arrays - 1}")
        self.arrays[array] = PlacedArray.build(self.datasheet, topology, self.seed, array, self.device, self.dtype)

    def program(self, array: int, targets_s: Sequence[Tensor], masks: Sequence[Tensor] | None = None) -> None:
        """Writes the cells of an array in one transaction.

        Args:
            array: Which one.
            targets_s: One tensor a coupling, (planes, rows, columns), siemens; planes 0 and 1 are G+ and G-, a
                resistive network has one.
            masks: Where True, the cell is written, elsewhere it keeps its conductance; all cells when omitted.
        """
        placed = self.arrays[array]
        generator = self.streams.next(f"programming {array}")
        for index, target in enumerate(targets_s):
            wanted = cells.quantize(self.datasheet.cells, target.to(self.device)).to(self.dtype)
            written = cells.programming_noise(self.datasheet.cells, wanted, generator)
            if masks is not None:
                written = torch.where(masks[index].to(self.device), written, placed.conductances_s[index])
            placed.conductances_s[index] = written
        placed.rewire()

    def settle(
        self,
        array: int,
        drive: Tensor,
        nudges_a: Sequence[Tensor] = (),
        start_v: Sequence[Tensor] | None = None,
    ) -> tuple[Reading, ...]:
        """Settles freely, then once for every nudge from that equilibrium, in one transaction.

        Args:
            array: Which one.
            drive: (batch, *first layer), amperes; volts of the source nodes in a resistive network.
            nudges_a: (batch, *last layer) each, amperes.
            start_v: Measured states of an earlier free phase of the same drive; the free phase resumes from them.

        Returns:
            One reading a phase, the free one first.
        """
        placed, sheet = self.arrays[array], self.datasheet
        generator = self.streams.next(f"reading {array}")
        scale = sheet.neurons.transimpedance_ohm / sheet.neurons.state_unit_v
        sent, clipped = converters.convert_drive(sheet.drive_dac, drive.to(self.device, self.dtype))
        drive = sent / sheet.neurons.state_unit_v if sheet.resistive else sent * scale
        stop = network.Stop(sheet.settle.max_iterations, sheet.settle.tolerance)
        start = None if start_v is None else tuple(s / sheet.neurons.state_unit_v for s in start_v)
        free = network.relax(placed.network, drive, start=start, stop=stop)
        readings = [self._read(placed, free, drive, clipped, generator)]
        if nudges_a:
            count = len(nudges_a)
            nudge, clipped_nudge = converters.convert_drive(
                sheet.nudge_dac, network.join(nudges_a).to(self.device, self.dtype)
            )
            nudged = network.relax(
                placed.network,
                drive.repeat(count, *[1] * (drive.dim() - 1)),
                nudge * scale,
                start=tuple(s.repeat(count, *[1] * (s.dim() - 1)) for s in free.states),
                stop=stop,
            )
            for phase, more in zip(network.split(nudged, count), clipped_nudge.chunk(count), strict=True):
                readings.append(self._read(placed, phase, drive, clipped + more, generator))
        return tuple(readings)

    def _read(
        self, placed: PlacedArray, phase: network.Relaxed, drive: Tensor, clipped: Tensor, noise: torch.Generator
    ) -> Reading:
        unit_v = self.datasheet.neurons.state_unit_v
        states, rails = [], torch.zeros_like(clipped)
        for layer, state in zip(placed.topology.layers, phase.states, strict=True):
            adc = self.datasheet.state_adc if layer.clamped else self.datasheet.output_adc
            noisy_v = self._with_noise(state * unit_v, adc.noise_sigma_v, noise)
            reading, at_rail = converters.convert_state(adc, noisy_v)
            states.append(reading)
            rails = rails + at_rail
        currents, ammeter = None, self.datasheet.nodes.ammeter
        if ammeter is not None:
            unit_a = unit_v / self.datasheet.neurons.transimpedance_ohm
            current_a = resistive.source_currents(placed.network, drive, phase.states) * unit_a
            currents, at_rail = converters.convert_state(
                ammeter, self._with_noise(current_a, ammeter.noise_sigma_a, noise)
            )
            rails = rails + at_rail
        return Reading(tuple(states), phase.settled, phase.iterations, phase.residual, clipped, rails, currents)

    def _with_noise(self, value: Tensor, sigma: float, generator: torch.Generator) -> Tensor:
        if sigma == 0:
            return value
        noise = torch.randn(value.shape, generator=generator, dtype=self.dtype, device=self.device)
        return noise.mul_(sigma).add_(value)

    def state_dict(self) -> dict[str, Tensor]:
        """Conductances of every array and the counters of every noise stream."""
        state = {
            f"array_{array}.conductances_{index}": values
            for array, placed in self.arrays.items()
            for index, values in enumerate(placed.conductances_s)
        }
        return state | {f"counter.{name}": torch.tensor(count) for name, count in self.streams.counters.items()}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Restores `state_dict`; the same blocks must have been configured.

        Raises:
            KeyError: an array's conductances are missing.
        """
        for array, placed in self.arrays.items():
            for index in range(len(placed.conductances_s)):
                values = state[f"array_{array}.conductances_{index}"]
                placed.conductances_s[index] = values.to(self.device, self.dtype)
            placed.rewire()
        prefix = "counter."
        self.streams.counters.clear()
        self.streams.counters.update({k.removeprefix(prefix): int(v) for k, v in state.items() if k.startswith(prefix)})
