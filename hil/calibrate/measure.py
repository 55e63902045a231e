"""Measuring the arrays of a device: drive, bias lines and nudges swept at zero weight; cells written and read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from drivers.crossbar import Crossbar
from drivers.errors import OutOfRange
from firmware_specs.codes import Capability, ConverterId, Parameter
from firmware_specs.topology import Topology
from hil.calibrate.transfer import Transfer, fit

Array = NDArray[np.float64]
REPEATS = 32
POINTS = 33
BIAS_POINTS = 9
READS = 8
LEVELS = (0.15, 0.85, 0.4, 0.6)
RESTING = 0.05
"""State of a unit that nothing drives, at most: offsets and noise."""
FOLLOWS = 0.25
"""A cell follows what is written when its two outermost levels are at least this share of their distance apart."""


@dataclass(frozen=True)
class CellMap:
    """How the cells of one coupling are written.

    Attributes:
        sigma: Spread of achieved minus target, share of the range.
        stuck: (n, 3) plane, row and column of the cells that do not follow.
        worst: Largest error of a cell that follows, share of the range.
    """

    sigma: float
    stuck: NDArray[np.int64]
    worst: float


@dataclass(frozen=True)
class ArrayFindings:
    """One array with its block.

    Attributes:
        topology: The block.
        layers: Transfer of every layer; None where nothing reaches it (no drive, no bias line, no nudge).
        cells: Of every coupling.
    """

    topology: Topology
    layers: tuple[Transfer | None, ...]
    cells: tuple[CellMap, ...]


def measure_array(
    crossbar: Crossbar, array: int, topology: Topology, progress: Callable[[str], None] = lambda what: None
) -> ArrayFindings:
    """Measures one array; what its cells hold is lost, and they are left at zero weight.

    Raises:
        OutOfRange: a resistive network, which has no neuron circuits to calibrate.
    """
    if topology.substrate != "hopfield":
        raise OutOfRange("a resistive network has no neuron circuits to calibrate", device=crossbar.address)
    crossbar.configure(array, topology)
    crossbar.arm()
    bench = _Sweeps(crossbar, array, topology)
    progress(f"array {array}: cells")
    cells = tuple(bench.cell_map(c) for c in range(len(topology.couplings)))
    layers = []
    for layer in range(len(topology.layers)):
        progress(f"array {array}: layer {layer}")
        found = bench.layer(layer)
        layers.append(None if found is None else bench.with_loop(layer, found, cells))
    bench.write({})
    return ArrayFindings(topology, tuple(layers), cells)


@dataclass(frozen=True)
class _Sweeps:
    crossbar: Crossbar
    array: int
    topology: Topology

    @property
    def unit_a(self) -> float:
        info = self.crossbar.info
        return info.parameter(Parameter.STATE_UNIT_V) / info.parameter(Parameter.TRANSIMPEDANCE_OHM)

    @property
    def weight_unit(self) -> float:
        """Weight at the full conductance swing."""
        low, high = self.crossbar.g_range_s
        return (high - low) * self.crossbar.info.parameter(Parameter.TRANSIMPEDANCE_OHM)

    def write(self, levels: dict[int, Array]) -> None:
        """Writes levels, (planes, rows, columns), of some couplings; all others to zero weight."""
        low, high = self.crossbar.g_range_s
        targets = []
        for number, coupling in enumerate(self.topology.couplings):
            shape = (self.crossbar.planes, *self.topology.cells(coupling))
            targets.append(low + (high - low) * levels.get(number, np.zeros(shape)))
        self.crossbar.program(self.array, targets)

    def read(self, coupling: int) -> Array:
        """Measured levels, (planes, rows, columns)."""
        low, high = self.crossbar.g_range_s
        levels = (self.crossbar.read_conductances(self.array, coupling, READS) - low) / (high - low)
        return np.asarray(levels, dtype=np.float64)

    def cell_map(self, coupling: int) -> CellMap:
        """Writes every cell with several levels and reads it back."""
        shape = (self.crossbar.planes, *self.topology.cells(self.topology.couplings[coupling]))
        found = []
        for level in LEVELS:
            self.write({coupling: np.full(shape, level)})
            found.append(self.read(coupling) - level)
        errors = np.stack(found)
        moved = (errors[1] + LEVELS[1]) - (errors[0] + LEVELS[0])
        follows = moved > FOLLOWS * (LEVELS[1] - LEVELS[0])
        good = errors[:, follows]
        sigma = float(good.std()) if good.size else float("nan")
        return CellMap(sigma, np.argwhere(~follows), float(np.abs(good).max(initial=0.0)))

    def layer(self, layer: int) -> Transfer | None:
        """Transfer of one layer, by whatever reaches it: drive, bias line, nudge."""
        spec = self.topology.layers[layer]
        swept = self._by_drive() if layer == 0 else self._by_bias(layer)
        if swept is None and layer == len(self.topology.layers) - 1:
            swept = self._by_nudge()
        if swept is None:
            return None
        z, readings = swept
        return fit(z, readings, spec.slope if spec.clamped else 1.0, spec.clamped)

    def with_loop(self, layer: int, found: Transfer, cells: tuple[CellMap, ...]) -> Transfer:
        """Adds to the uncertainties what the cells do that were written as zero weight and are not quite."""
        gain2 = offset2 = 0.0
        for coupling, cell in zip(self.topology.couplings, cells, strict=True):
            if layer in (coupling.pre, coupling.post) and np.isfinite(cell.sigma):
                other = self.topology.layers[coupling.post if layer == coupling.pre else coupling.pre]
                weight2 = self.crossbar.planes * (cell.sigma * self.weight_unit) ** 2
                gain2 += (weight2 * other.units) ** 2
                offset2 += weight2 * other.units * RESTING**2
        return replace(
            found,
            gain_sigma=np.where(found.dead, 0.0, np.sqrt(found.gain_sigma**2 + gain2)),
            offset_sigma=np.where(found.dead, 0.0, np.sqrt(found.offset_sigma**2 + offset2)),
        )

    def _settle(self, drive: Array, nudge: Array | None, layer: int) -> Array:
        """States of a layer, (samples, units); with a nudge those of the nudged phase."""
        nudges = [] if nudge is None else [nudge * self.unit_a]
        settled = self.crossbar.settle(self.array, drive * self.unit_a, nudges, layers=[layer])
        volts = settled.states_v[0][-1]
        return np.asarray(volts / self.crossbar.info.parameter(Parameter.STATE_UNIT_V), dtype=np.float64)

    def _by_drive(self) -> tuple[Array, Array]:
        first = self.topology.layers[0]
        low, high = (-0.3 / first.slope, 1.3 / first.slope) if first.clamped else (-0.8, 0.8)
        dac = self.crossbar.info.converter(ConverterId.DRIVE_DAC, self.crossbar.address)
        reach = min(-dac.low, dac.high) / self.unit_a
        levels = np.clip(np.linspace(low, high, POINTS), -reach, reach)
        if not dac.ideal:  # on the DAC's own codes: what is asked for is what is sent
            step = dac.lsb / self.unit_a
            levels = np.rint((levels - dac.low / self.unit_a) / step) * step + dac.low / self.unit_a
        self.write({})
        drive = np.repeat(np.repeat(levels, REPEATS)[:, None], first.units, axis=1)
        return np.repeat(levels[:, None], first.units, axis=1), self._grouped(self._settle(drive, None, 0), POINTS)

    def _by_nudge(self) -> tuple[Array, Array]:
        last = len(self.topology.layers) - 1
        dac = self.crossbar.info.converter(ConverterId.NUDGE_DAC, self.crossbar.address)
        reach = min(-dac.low / self.unit_a, dac.high / self.unit_a, 1.0)
        levels = np.linspace(-reach, reach, POINTS)
        units = self.topology.layers[last].units
        self.write({})
        nudge = np.repeat(np.repeat(levels, REPEATS)[:, None], units, axis=1)
        rest = np.zeros((len(nudge), self.topology.layers[0].units))
        return np.repeat(levels[:, None], units, axis=1), self._grouped(self._settle(rest, nudge, last), POINTS)

    def _by_bias(self, layer: int) -> tuple[Array, Array] | None:
        """Bias lines at growing levels; their weights are measured, so that errors of writing do not matter."""
        number = next((n for n, c in enumerate(self.topology.couplings) if c.post == layer and c.bias), None)
        able = self.crossbar.planes == 2 and self.crossbar.info.can(Capability.READ)
        if number is None or not able or self.topology.couplings[number].kind != "dense":
            return None
        spec = self.topology.layers[layer]
        shape = (2, *self.topology.cells(self.topology.couplings[number]))
        span = (-0.3 / spec.slope, 1.3 / spec.slope) if spec.clamped else (-0.8, 0.8)
        inputs, states = [], []
        for z in np.clip(np.linspace(*span, BIAS_POINTS), -self.weight_unit, self.weight_unit):
            levels = np.zeros(shape)
            levels[int(z < 0), -1] = abs(z) / self.weight_unit
            self.write({number: levels})
            seen = self.read(number)
            inputs.append((seen[0, -1] - seen[1, -1]) * self.weight_unit)
            states.append(self._settle(np.zeros((REPEATS, self.topology.layers[0].units)), None, layer))
        return np.stack(inputs), np.stack(states)

    def _grouped(self, states: Array, points: int) -> Array:
        return states.reshape(points, REPEATS, -1)
