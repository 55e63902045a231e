"""Channels of a resistive network: its sources, and the voltmeters at its nodes.

With every source at one voltage, the measured conductances say the voltage of every node that no diode holds, and
readings against it are a straight line a channel. The gain of single sources comes from driving one at a time.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from emulator.network import Stop
from firmware_specs.codes import ConverterId
from hil.backends.reference import ReferenceBench
from hil.calibrate.linearity import measure
from hil.calibrate.sweeps import READS, REPEATS
from hil.calibrate.transfer import Transfer
from hil.measuring import lines
from hil.measuring.placed import Array, PlacedBlock

POINTS = 33
HEADROOM = 0.9
FREE = 0.05
"""A node behind a diode counts where its voltage is at least this share of its largest: past the diode's knee."""
SINGLE = 128
"""Most source nodes whose gain is measured one by one: each adds its share of a node's voltage only."""
EXACT = Stop(max_iterations=5000, tolerance=1e-9)


@dataclass(frozen=True)
class Sources:
    """Gain of every source node beside that of all together, (sources,), and its standard uncertainty."""

    gain: Array
    gain_sigma: Array


@dataclass(frozen=True)
class Nodes:
    """A placed resistive block with all cells at mid-range, and their measured levels."""

    block: PlacedBlock
    levels: tuple[Array, ...]

    @classmethod
    def prepare(cls, block: PlacedBlock) -> Nodes:
        """Writes and measures the cells."""
        block.program({})
        return cls(block, tuple(block.levels(n, READS) for n in range(len(block.topology.couplings))))

    def expected(self, drive: Array) -> list[Array]:
        """States of every layer that the measured conductances say, (samples, units), for source voltages."""
        unit, parameters = self.block.weight_unit, {}
        low = self.block.crossbar.g_range_s[0] / self.block.span_s
        for number, (coupling, seen) in enumerate(zip(self.block.topology.couplings, self.levels, strict=True)):
            cells = seen[0].T
            weight = cells[:, :-1] if coupling.bias else cells
            parameters[f"weight_{number}"] = torch.from_numpy((weight + low) * unit)
            if coupling.bias:
                parameters[f"bias_{number}"] = torch.from_numpy((cells[:, -1] - 0.5) * unit)
        with ReferenceBench(EXACT) as bench:
            array = bench.place(self.block.topology)
            array.program(parameters)
            shape = (len(drive), *self.block.topology.drive_shape)
            states = array.settle(torch.from_numpy(drive).reshape(shape)).free
        return [np.asarray(s.double().flatten(1).numpy()) for s in states]

    def voltages(self) -> Array:
        """Source voltages to sweep: on the DAC's codes, within all limits and what the voltmeters read."""
        block = self.block
        most_v = [block.crossbar.session.guard.limits.record().max_source_v]
        for layer in range(len(block.topology.layers)):
            adc = block.converter(block.adc(layer))
            most_v += [-adc.low, adc.high]
        reach = HEADROOM * min(min(most_v) / block.state_unit_v, block.reach(ConverterId.DRIVE_DAC))
        return np.unique(block.on_codes(ConverterId.DRIVE_DAC, np.linspace(-reach, reach, POINTS)))

    def transfers(self) -> list[Transfer]:
        """Gain, offset and nonlinearity of the channels that read every layer."""
        block, volts = self.block, self.voltages()
        drive = np.ones((1, block.driven(0.0, 1).shape[1])) * volts[:, None]
        settled = block.settle(np.repeat(drive, REPEATS, axis=0)).states_v
        found = []
        for layer, (expected, seen_v) in enumerate(zip(self.expected(drive), settled, strict=True)):
            readings = (seen_v[0] / block.state_unit_v).reshape(len(volts), REPEATS, -1).astype(np.float64)
            inside = np.ones(expected.shape, np.bool_)
            if block.topology.layers[layer].clamped:
                inside = np.abs(expected) > FREE * np.abs(expected).max()
            found.append(_fitted(expected, readings, inside, block.lsb(block.adc(layer))))
        return found

    def sources(self, first: Transfer) -> Sources | None:
        """Gains of single sources; None where there are too many."""
        block = self.block
        count = block.driven(0.0, 1).shape[1]
        if count > SINGLE:
            return None
        volts = float(self.voltages()[-1])
        drive = np.concatenate([np.eye(count) * volts, np.zeros((1, count))])
        seen = block.states(np.repeat(drive, REPEATS, axis=0), 0).reshape(count + 1, REPEATS, -1).mean(axis=1)
        expected = self.expected(drive)[0]
        up = expected[:-1] > FREE * expected[:-1].max()
        step = np.where(up, expected[:-1] - expected[-1], 0.0)
        moved = np.where(up, (seen[:-1] - seen[-1]) / first.read_gain, 0.0)
        weight = np.maximum((step**2).sum(axis=1), 1e-30)
        gain = (moved * step).sum(axis=1) / weight
        freedom = np.maximum(up.sum(axis=1) - 1, 1)
        scatter = ((moved - gain[:, None] * step) ** 2).sum(axis=1) / freedom
        floor = 2 * first.noise**2 / REPEATS / np.mean(first.read_gain) ** 2
        return Sources(gain, np.sqrt(np.maximum(scatter, floor) / weight))


def _fitted(expected: Array, readings: Array, inside: np.ndarray, step: float) -> Transfer:
    noise = lines.repeat_noise(readings, inside)
    means, repeats = readings.mean(axis=1), readings.shape[1]
    straight = lines.fit(expected, means, inside, noise.value / np.sqrt(repeats))
    live = straight.follows
    gain, offset = np.where(live, straight.gain, 1.0), np.where(live, -straight.gain * straight.offset, 0.0)
    gain_sigma = np.where(live, straight.gain_sigma, 0.0)
    ones = np.ones(len(gain))
    plain = Transfer(
        ones, 0 * ones, 0 * ones, 0 * ones, gain, gain_sigma, offset,
        np.where(live, straight.offset_sigma * gain, 0.0), ~live, noise.value,
    )  # fmt: skip
    together = measure("drive_dac", expected, plain.states(means), inside & live, False, noise.value, repeats, step)
    return Transfer(**{**vars(plain), "dac": together})
