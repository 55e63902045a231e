"""Channels of a resistive network: its sources, and the voltmeters at its nodes.

With every source at one voltage, the measured conductances say the voltage of every node that no diode holds, and
readings against it are a straight line a channel. The gain of single sources comes from driving one at a time.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from emulator.network import Stop
from firmware_specs.codes import ConverterId
from hil.counterparts.reference import ReferenceBench
from hil.measuring import lines
from hil.measuring.calibrate.linearity import measure
from hil.measuring.calibrate.sweeps import READS, REPEATS
from hil.measuring.calibrate.transfer import Transfer
from hil.measuring.placed import Array, PlacedBlock

POINTS = 33
HEADROOM = 0.9
FREE = 0.05
"""A node behind a diode counts where its voltage is at least this share of its largest: past the diode's knee."""
WEAK = 0.002
"""Level of cells that are to be all but cut off: at 0 a node might have no path to a source."""
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
    """A placed resistive block with its cells written for one layer, and their measured levels.

    Nodes whose diode conducts are not quite at 0 V: they are joined to the others by the weakest conductances only.
    """

    block: PlacedBlock
    levels: tuple[Array, ...]

    @classmethod
    def prepare(cls, block: PlacedBlock, layer: int, sign: int) -> Nodes:
        """Writes and measures the cells for voltages of one sign at a layer; what lies behind it is all but cut off."""
        wanted: dict[int, Array | float] = {}
        for number, coupling in enumerate(block.topology.couplings):
            levels = np.full(block.cells(number), block.resting_level)
            if number > layer:
                levels[:, : block.topology.layers[number - 1].units] = WEAK
            elif coupling.pre >= 0 and block.topology.layers[coupling.pre].clamped:
                before = block.topology.layers[coupling.pre]
                held = slice(before.excitatory, before.units) if sign > 0 else slice(before.excitatory)
                levels[:, held] = WEAK
            wanted[number] = levels
        block.program(wanted)
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

    def sweep(self, layer: int, sign: int) -> tuple[Array, Array, NDArray[np.bool_]]:
        """All sources at voltages of one sign: expected states, readings, and the nodes that no diode holds."""
        block, spec = self.block, self.block.topology.layers[layer]
        volts = self.voltages()
        volts = volts[sign * volts > 0]
        drive = block.driven(1.0, len(volts)) * volts[:, None]
        seen = block.states(np.repeat(drive, REPEATS, axis=0), layer).reshape(len(volts), REPEATS, -1)
        expected = self.expected(drive)[layer]
        free: NDArray[np.bool_] = np.ones(expected.shape, np.bool_)
        if spec.clamped:
            free = sign * expected > FREE * np.abs(expected).max()
        return expected, seen, free

    def sources(self, first: Transfer) -> Sources | None:
        """Gains of single sources; None where there are too many."""
        block = self.block
        count = block.driven(0.0, 1).shape[1]
        if count > SINGLE:
            return None
        most = self.voltages()
        base, high = float(most[3 * len(most) // 4]), float(most[-1])  # in between, no diode conducts
        drive = np.full((count + 1, count), base)
        np.fill_diagonal(drive, high)
        seen = block.states(np.repeat(drive, REPEATS, axis=0), 0).reshape(count + 1, REPEATS, -1).mean(axis=1)
        expected = self.expected(drive)[0]
        up = np.broadcast_to(expected[-1] > FREE * expected[-1].max(), (count, expected.shape[1]))
        step = np.where(up, expected[:-1] - expected[-1], 0.0)
        moved = np.where(up, (seen[:-1] - seen[-1]) / first.read_gain, 0.0)
        weight = np.maximum((step**2).sum(axis=1), 1e-30)
        gain = (moved * step).sum(axis=1) / weight
        freedom = np.maximum(up.sum(axis=1) - 1, 1)
        scatter = ((moved - gain[:, None] * step) ** 2).sum(axis=1) / freedom
        floor = 2 * first.noise**2 / REPEATS / np.mean(first.read_gain) ** 2
        read = self.block.crossbar.g_lsb_s / self.block.span_s / np.sqrt(12 * np.maximum(up.sum(axis=1), 1)) / 0.5
        return Sources(gain, np.sqrt(np.maximum(scatter, floor) / weight + read**2))


def transfers(block: PlacedBlock) -> list[Transfer]:
    """Gain, offset and nonlinearity of the channels that read every layer."""
    found = []
    # a conductance is read on its codes: that error does not average out over readings without noise
    systematic = block.crossbar.g_lsb_s / block.span_s / np.sqrt(12) / block.resting_level
    for layer in range(len(block.topology.layers)):
        both = [Nodes.prepare(block, layer, sign).sweep(layer, sign) for sign in (-1, 1)]
        expected, readings, free = (np.concatenate(parts) for parts in zip(*both, strict=True))
        found.append(_fitted(expected, readings, free, block.lsb(block.adc(layer)), systematic))
    return found


def _fitted(
    expected: Array, readings: Array, inside: NDArray[np.bool_], step: float, systematic: float
) -> Transfer:  # fmt: skip
    """A line for either sign, which had conductances of its own: one offset, the mean of two gains."""
    noise = lines.repeat_noise(readings, inside)
    means, repeats = readings.mean(axis=1), readings.shape[1]
    signs = [lines.fit(expected, means, inside & there, noise.value / np.sqrt(repeats)) for there in
             (expected > 0, expected < 0)]  # fmt: skip
    gain, gain_sigma = _together([s.gain for s in signs], [s.gain_sigma for s in signs])
    offset, offset_sigma = _together(
        [-s.gain * s.offset for s in signs], [np.abs(s.gain) * s.offset_sigma for s in signs]
    )
    live = np.isfinite(gain)
    ones = np.ones(len(gain))
    plain = Transfer(
        ones, 0 * ones, 0 * ones, 0 * ones, np.where(live, gain, 1.0),
        np.where(live, np.hypot(gain_sigma, systematic), 0.0), np.where(live, offset, 0.0),
        np.where(live, offset_sigma, 0.0), ~live, noise.value,
    )  # fmt: skip
    together = measure("drive_dac", expected, plain.states(means), inside & live, False, noise.value, repeats, step)
    return replace(plain, dac=together)


def _together(values: list[Array], sigmas: list[Array]) -> tuple[Array, Array]:
    """Weighted mean of what there is of each unit; NaN where there is nothing."""
    weight = np.stack(
        [np.where(np.isfinite(v), 1 / np.maximum(s, 1e-12) ** 2, 0.0) for v, s in zip(values, sigmas, strict=True)]
    )
    total = weight.sum(axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        return (np.nan_to_num(np.stack(values)) * weight).sum(axis=0) / total, total**-0.5
