"""What a phase looks like from outside: noise of the nodes and converters, codes, rails."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from emulator import converters, resistive
from emulator.channels import Channels, Noise
from emulator.network import Relaxed
from emulator.placed import PlacedArray
from firmware_specs.datasheet.converters import Adc, Ammeter
from firmware_specs.datasheet.neurons import Neurons

BOLTZMANN = 1.380649e-23
"""Joules per kelvin."""
AT_ONCE = 1 << 16
"""Readings that are converted together: of a few, more is spent on calls than on numbers."""


@dataclass(frozen=True)
class Reading:
    """What one phase looks like from outside.

    Attributes:
        states_v: One tensor a layer, (batch, *layer), volts on the ADCs' code grid, mean over the reads.
        settled: (batch,) bool.
        iterations: (batch,) sweeps, steps in a transient.
        residual: (batch,) largest state change in the last sweep, state units; in a transient what is left to go.
        clipped_drives: (batch,) drive and nudge values the DACs clipped.
        rail_codes: (batch,) readings at the first or last code.
        source_currents_a: (batch, *source) what a resistive network's sources deliver, where an ammeter measures it.
        time_s: What the phase took on the chip's clock, a sample.
        restless: (batch, 2) layer and unit that moved most at the end; None where every sample settled.
    """

    states_v: tuple[Tensor, ...]
    settled: Tensor
    iterations: Tensor
    residual: Tensor
    clipped_drives: Tensor
    rail_codes: Tensor
    source_currents_a: Tensor | None = None
    time_s: float = 0.0
    restless: Tensor | None = None


def thermal_sigma_v(neurons: Neurons, temperature_k: float) -> float:
    """kT/C noise of a node, `sqrt(k T / C)` volts RMS: 64 uV at 1 pF and 300 K; 0 where it is switched off."""
    if not neurons.thermal_noise or neurons.node_capacitance_f is None:
        return 0.0
    return math.sqrt(BOLTZMANN * temperature_k / neurons.node_capacitance_f)


@dataclass(frozen=True)
class Readout:
    """Reads phases of one transaction.

    Attributes:
        placed: The array.
        temperature_k: Of the chip.
        generator: Source of the reading noise.
        reads: Conversions of every state.
        time_s: What a phase took, a sample.
    """

    placed: PlacedArray
    temperature_k: float
    generator: torch.Generator
    reads: int
    time_s: float

    def __call__(self, phase: Relaxed, drive: Tensor, clipped: Tensor) -> Reading:
        """Reads one phase.

        Args:
            phase: Its true states.
            drive: As sent, model units.
            clipped: Values the DACs clipped, (batch,).
        """
        sheet, layers = self.placed.sheet, self.placed.topology.layers
        unit_v, thermal_v = sheet.neurons.state_unit_v, thermal_sigma_v(sheet.neurons, self.temperature_k)
        states, rails = [], torch.zeros_like(clipped)
        for layer, state, channels in zip(layers, phase.states, self.placed.states, strict=True):
            adc = sheet.state_adc if layer.clamped else sheet.output_adc
            sigma_v = math.hypot(adc.noise_sigma_v, thermal_v)
            reading, at_rail = self._convert(adc, state if unit_v == 1 else state * unit_v, sigma_v, channels)
            states.append(reading)
            rails = rails + at_rail
        currents, ammeter = None, sheet.nodes.ammeter
        if ammeter is not None:
            unit_a = unit_v / sheet.neurons.transimpedance_ohm
            current_a = resistive.source_currents(self.placed.network, drive, phase.states) * unit_a
            currents, at_rail = self._convert(ammeter, current_a, ammeter.noise_sigma_a, Channels())
            rails = rails + at_rail
        how = phase.settled, phase.iterations, phase.residual
        return Reading(tuple(states), *how, clipped, rails, currents, self.time_s, phase.restless)

    def _convert(self, adc: Adc | Ammeter, value: Tensor, sigma: float, channels: Channels) -> tuple[Tensor, Tensor]:
        """Mean over the reads, and the largest number of readings at a rail in any of them.

        Each read has its own draw, and they are summed one after the other; converted are as many at once as fit.
        """
        if self.reads == 1:
            return converters.convert_state(adc, value, channels, self._noise(value, sigma, 1))
        total, rails = torch.zeros_like(value), torch.zeros(len(value), dtype=torch.long, device=value.device)
        most = max(1, AT_ONCE // max(1, value.numel()))
        for done in range(0, self.reads, most):
            count = min(most, self.reads - done)
            noise = self._noise(value, sigma, count)
            seen, at_rail = converters.convert_state(adc, torch.cat([value] * count), channels, noise)
            for one in seen.view(count, *value.shape):
                total += one
            rails = torch.maximum(rails, at_rail.view(count, len(value)).amax(0))
        return total / self.reads, rails

    def _noise(self, value: Tensor, sigma: float, count: int) -> Noise | None:
        """For readings one after the other, a draw each."""
        if sigma == 0:
            return None
        drawn = [
            torch.randn(value.shape, generator=self.generator, dtype=value.dtype, device=value.device)
            for _ in range(count)
        ]
        return Noise(drawn[0] if count == 1 else torch.cat(drawn), sigma)
