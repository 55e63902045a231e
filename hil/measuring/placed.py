"""A block placed on an array of a device: levels of the conductance range and model units in, SI units on the wire."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from drivers.crossbar import Crossbar
from drivers.errors import DeviceFault
from drivers.settling import Settled
from drivers.writing import Programmed
from firmware_specs.codes import Capability, ConverterId, ErrorCode, Parameter, Quantity
from firmware_specs.messages import Converter, Region
from firmware_specs.topology import Topology

Array = NDArray[np.float64]
PATIENCE = 3.0
"""How many times the usual wait coupled layers are given."""


def present_topology(crossbar: Crossbar, array: int) -> Topology | None:
    """The block on an array; None where there is none."""
    try:
        return crossbar.session.call(lambda device: device.topology(array))
    except DeviceFault as error:
        if error.code != ErrorCode.NOT_CONFIGURED:
            raise
        return None


def differences(levels: Array, significance: float) -> Array:
    """What the pairs of cells of a weight hold together, (...), in units of a full swing.

    Args:
        levels: (planes, ...), planes 2n and 2n + 1 of pair n; of single cells one plane, which is given back.
        significance: What a pair counts against the one before it.
    """
    if len(levels) == 1:
        return levels[0]
    pairs = levels[0::2] - levels[1::2]
    return np.tensordot(significance ** np.arange(len(pairs)), pairs, axes=1)


class PlacedBlock:
    """A block, placed and armed; what the cells of the array held is lost.

    Levels are shares of the conductance range, `(G - g_min) / (g_max - g_min)`, of shape (planes, rows, columns). The
    resting level is the one at which a coupling does nothing: 0, which is zero weight, and in a resistive network the
    middle, where bias lines send no current and every node has a path to a source.

    Args:
        crossbar: The open device; its outputs are on from here until it is left.
        array: Which array.
        topology: The block.
        place: False leaves device and outputs alone until `place` is called.

    Raises:
        DeviceFault: the block does not fit.
    """

    def __init__(self, crossbar: Crossbar, array: int, topology: Topology, *, place: bool = True) -> None:
        self.crossbar = crossbar
        self.array = array
        self.topology = topology.in_rails()
        if place:
            self.place()

    def place(self) -> None:
        """Puts the block on the array and outputs on; where it is there already, its cells keep what they hold."""
        self.crossbar.configure(self.array, self.topology)
        self.crossbar.arm()

    def can(self, capability: Capability) -> bool:
        """Does the device have a capability?"""
        return self.crossbar.info.can(capability)

    @property
    def resistive(self) -> bool:
        """Is it a network of conductances behind voltage sources?"""
        return self.topology.substrate == "resistive"

    @property
    def resting_level(self) -> float:
        """Level of cells that are to do nothing."""
        return 0.5 if self.resistive else 0.0

    @property
    def span_s(self) -> float:
        """Conductance range, siemens."""
        low, high = self.crossbar.g_range_s
        return high - low

    @property
    def weight_unit(self) -> float:
        """Weight at the full conductance swing, model units."""
        return self.span_s * self.crossbar.info.parameter(Parameter.TRANSIMPEDANCE_OHM)

    @property
    def significance(self) -> float:
        """What a pair of cells counts against the one before it; 1 where a weight has one pair."""
        return float(self.crossbar.info.parameters.get(Parameter.PAIR_SIGNIFICANCE, 1.0))

    def differences(self, levels: Array) -> Array:
        """Weights, (...), in units of a full swing, of levels, (planes, ...): see `differences`."""
        return differences(levels, self.significance)

    @property
    def settle_tolerance(self) -> float:
        """What states may still move by when a settle ends, model units; 0 where the device does not say."""
        return float(self.crossbar.info.parameters.get(Parameter.SETTLE_TOLERANCE, 0.0)) * self.bias_line

    @property
    def state_unit_v(self) -> float:
        """Volts of a state of 1.0: the upper rail of clamped neurons, so that all chips clip at 1 here."""
        unit_v = self.crossbar.info.parameter(Parameter.STATE_UNIT_V)
        return self.crossbar.info.parameters.get(Parameter.CLAMPED_HIGH_V, unit_v)

    @property
    def bias_line(self) -> float:
        """What a bias line is driven with, model units: 1 where neurons clip at one state unit."""
        return self.crossbar.info.parameter(Parameter.STATE_UNIT_V) / self.state_unit_v

    @property
    def current_unit_a(self) -> float:
        """Amperes of a current of 1.0 in model units."""
        return self.state_unit_v / self.crossbar.info.parameter(Parameter.TRANSIMPEDANCE_OHM)

    @property
    def drive_unit(self) -> float:
        """Amperes of a drive of 1.0; volts where sources are driven."""
        return self.state_unit_v if self.resistive else self.current_unit_a

    def converter(self, which: ConverterId) -> Converter:
        """One of the device's converters."""
        return self.crossbar.info.converter(which, self.crossbar.address)

    def lsb(self, which: ConverterId) -> float:
        """One step of a converter in model units; 0 for an ideal one, or one the device does not have."""
        converter = self.crossbar.info.converters.get(which)
        if converter is None or converter.ideal:
            return 0.0
        return converter.lsb / self.unit_of(converter)

    def unit_of(self, converter: Converter) -> float:
        """Volts or amperes of 1.0 in model units, as the converter counts."""
        return self.state_unit_v if converter.quantity == Quantity.VOLT else self.current_unit_a

    def adc(self, layer: int) -> ConverterId:
        """The converter that reads a layer."""
        return ConverterId.STATE_ADC if self.topology.layers[layer].clamped else ConverterId.OUTPUT_ADC

    def reach(self, which: ConverterId) -> float:
        """Largest value of either sign a DAC can send, model units."""
        dac = self.converter(which)
        return min(-dac.low, dac.high) / self.unit_of(dac)

    def on_codes(self, which: ConverterId, values: Array) -> Array:
        """The values a DAC really has nearest to the wanted ones, model units: what is asked for is what is sent."""
        reach, step = self.reach(which), self.lsb(which)
        values = np.clip(values, -reach, reach)
        if not step:
            return values
        low = self.converter(which).low / self.converter(which).lsb * step
        return np.asarray(np.rint((values - low) / step) * step + low)

    def conductance_s(self, level: Array | float) -> Array:
        """Siemens of levels."""
        return np.asarray(self.crossbar.g_range_s[0] + np.asarray(level) * self.span_s)

    def cells(self, coupling: int) -> tuple[int, int, int]:
        """Planes, rows and columns of a coupling."""
        return (self.crossbar.planes, *self.topology.cells(self.topology.couplings[coupling]))

    def program(self, levels: Mapping[int, Array | float], verify: int = 0, tolerance: float = 0.0) -> Programmed:
        """Writes levels of some couplings; all others get the resting level.

        Args:
            levels: By coupling, (planes, rows, columns) or one for all.
            verify: Rewrites of a cell that misses, at most; 0: as the device usually writes.
            tolerance: What counts as a hit, share of the range.
        """
        targets = self.targets_s(levels)
        return self.crossbar.program(self.array, targets, verify_rounds=verify, tolerance=tolerance)

    def targets_s(self, levels: Mapping[int, Array | float]) -> list[Array]:
        """Siemens of every coupling's cells for levels of some, all others at rest."""
        return [
            np.broadcast_to(self.conductance_s(levels.get(n, self.resting_level)), self.cells(n))
            for n in range(len(self.topology.couplings))
        ]

    def levels(self, coupling: int, reads: int) -> Array:
        """Mean of readings of a coupling's cells as levels, (planes, rows, columns)."""
        found_s = self.crossbar.read_conductances(self.array, coupling, reads)
        return np.asarray((found_s - self.crossbar.g_range_s[0]) / self.span_s, dtype=np.float64)

    @property
    def read_v(self) -> float:
        """Voltage at which cells are read: the most that all limits allow."""
        return self.crossbar.session.guard.limits.record().max_read_v

    def row_levels(self, coupling: int, rows: range, reads: int) -> Array:
        """Mean of readings of some rows of a coupling's cells as levels, (planes, rows, columns)."""
        planes, _, columns = self.cells(coupling)
        if not self.can(Capability.MEASURE):
            return self.levels(coupling, reads)[:, rows.start : rows.stop]
        regions = [Region(self.array, coupling, p, rows.start, len(rows), 0, columns) for p in range(planes)]
        seen_a = np.stack([self.crossbar.measure(region, [self.read_v], reads)[0].mean(axis=0) for region in regions])
        return np.asarray((seen_a / self.read_v - self.crossbar.g_range_s[0]) / self.span_s)

    def settle(
        self,
        drive: Array,
        nudges: Sequence[Array] = (),
        reads: int = 1,
        time_s: float = 0.0,
        layers: Sequence[int] | None = None,
    ) -> Settled:
        """Settles the block; drive and nudges in model units."""
        nudges_a = [n * self.current_unit_a for n in nudges]
        return self.crossbar.settle(
            self.array, drive * self.drive_unit, nudges_a, layers=layers, reads=reads, time_s=time_s
        )

    def states(self, drive: Array, layer: int, time_s: float = 0.0) -> Array:
        """States of a layer in the free phase, (samples, units), model units."""
        volts = self.settle(drive, time_s=time_s, layers=[layer]).states_v[0][0]
        return np.asarray(volts / self.state_unit_v, dtype=np.float64)

    @property
    def patient_s(self) -> float:
        """A wait for coupled layers, which take longer than one alone; 0, the usual one, where it cannot be chosen."""
        usual_s = self.crossbar.info.parameter(Parameter.SETTLE_TIME_S)
        return PATIENCE * usual_s if self.can(Capability.SETTLE_TIME) else 0.0

    def driven(self, value: float, samples: int) -> Array:
        """A drive that is the same for every unit, (samples, units)."""
        return np.full((samples, int(np.prod(self.topology.drive_shape))), value)

    def temperature_k(self) -> float:
        """Chip temperature, kelvin; NaN where it cannot say."""
        return self.crossbar.session.temperature_k() if self.can(Capability.TEMPERATURE) else float("nan")
