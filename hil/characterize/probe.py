"""A region of cells of a device, and the block it belongs to, in levels of the conductance range and in volts."""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from drivers.crossbar import Crossbar
from drivers.errors import OutOfRange
from drivers.settling import Settled
from firmware_specs.codes import Capability, ConverterId, Parameter, Quantity
from firmware_specs.datasheet import Datasheet
from firmware_specs.messages import Region
from firmware_specs.topology import Dense, Layer, Topology, dense_chain

Array = NDArray[np.float64]


class Probe:
    """A dense block of `rows` x `columns` cells (twice where pairs are differential), placed and armed.

    Levels are shares of the conductance range, `(G - g_min) / (g_max - g_min)`, of shape (planes, rows, columns).

    Args:
        crossbar: The open device; its outputs are on from here until it is left.
        rows: Units of the first layer.
        columns: Units of the last layer.
        array: Which array is used; what its cells hold is lost.
        sheet: What the device is supposed to be, for sensible settings.

    Raises:
        DeviceFault: the block does not fit. OutOfRange: the layers are wired and smaller.
    """

    def __init__(
        self, crossbar: Crossbar, rows: int, columns: int, array: int = 0, sheet: Datasheet | None = None
    ) -> None:
        self.crossbar = crossbar
        self.sheet = sheet
        self.array = array
        self.topology = _topology(crossbar, rows, columns)
        crossbar.configure(array, self.topology)
        shape = self.topology.cells(self.topology.couplings[0])
        self.rows, self.columns = min(rows, shape[0]), min(columns, shape[1])
        self.shape = (crossbar.planes, self.rows, self.columns)
        crossbar.arm()

    def can(self, capability: Capability) -> bool:
        """Does the device have a capability?"""
        return self.crossbar.info.can(capability)

    @property
    def span_s(self) -> float:
        """Conductance range, siemens."""
        low, high = self.crossbar.g_range_s
        return high - low

    @property
    def read_v(self) -> float:
        """Voltage at which cells are read: the most that all limits allow."""
        return self.crossbar.session.guard.limits.record().max_read_v

    def conductance_s(self, level: Array | float) -> Array:
        """Siemens of levels."""
        return np.asarray(self.crossbar.g_range_s[0] + np.asarray(level) * self.span_s)

    def write(self, levels: Array | float) -> None:
        """Writes every cell once, (planes, rows, columns) levels or one for all."""
        target = np.broadcast_to(self.conductance_s(levels), self.shape)
        whole = [self._whole(target)] + [
            np.full((self.crossbar.planes, *self.topology.cells(c)), self.crossbar.g_range_s[0])
            for c in self.topology.couplings[1:]
        ]
        self.crossbar.program(self.array, whole)

    def read(self, reads: int) -> Array:
        """Single readings as levels, (reads, planes, rows, columns)."""
        current = self.current([self.read_v], reads)[0]
        return np.asarray((current / self.read_v - self.crossbar.g_range_s[0]) / self.span_s)

    def current(self, volts: Sequence[float], reads: int) -> Array:
        """Currents of the cells, amperes, (volts, reads, planes, rows, columns)."""
        planes = [self.crossbar.measure(self._region(p), volts, reads) for p in range(self.shape[0])]
        return np.stack(planes, axis=2)

    def pulse(self, plane: int, up: bool, count: int, amplitude_v: float, width_s: float) -> None:
        """Pulses to every cell of a plane, in one transaction."""
        self.crossbar.pulse(self._region(plane), up=up, amplitude_v=amplitude_v, width_s=width_s, count=count)

    def pulses_taken(self) -> NDArray[np.int64]:
        """Writes and pulses of every cell so far, (planes, rows, columns)."""
        call = self.crossbar.session.call
        planes = [call(lambda device, p=p: device.usage(self._region(p)).pulses) for p in range(self.shape[0])]  # type: ignore[misc]
        return np.stack(planes).astype(np.int64)

    def clock_s(self) -> float:
        """The device's clock where it has one, else this computer's."""
        if self.can(Capability.VIRTUAL_CLOCK):
            return self.crossbar.session.call(lambda device: device.clock())
        return time.time()

    def wait(self, seconds: float) -> None:
        """Lets time pass: an emulator's clock jumps, anything else is waited for."""
        if self.can(Capability.VIRTUAL_CLOCK):
            self.crossbar.session.call(lambda device: device.wait(seconds))
        else:
            time.sleep(seconds)

    def temperature_k(self) -> float:
        """Chip temperature, kelvin; NaN where it cannot say."""
        return self.crossbar.session.temperature_k() if self.can(Capability.TEMPERATURE) else float("nan")

    def set_temperature(self, kelvin: float) -> None:
        """Sets the temperature of a device that can."""
        self.crossbar.session.call(lambda device: device.set_temperature(kelvin))

    def settle(self, drive: Array, nudges: Sequence[Array] = (), reads: int = 1, time_s: float = 0.0) -> Settled:
        """Settles the block; drive and nudges in model units."""
        unit_a = self.current_unit_a
        return self.crossbar.settle(
            self.array, drive * unit_a, [n * unit_a for n in nudges], reads=reads, time_s=time_s
        )

    @property
    def current_unit_a(self) -> float:
        """Amperes of a drive of 1.0 in model units."""
        info = self.crossbar.info
        return info.parameter(Parameter.STATE_UNIT_V) / info.parameter(Parameter.TRANSIMPEDANCE_OHM)

    @property
    def state_unit_v(self) -> float:
        """Volts of a state of 1.0."""
        return self.crossbar.info.parameter(Parameter.STATE_UNIT_V)

    def lsb(self, which: ConverterId) -> float:
        """One step of a converter in model units; 0 for an ideal one, or one the device does not have."""
        converter = self.crossbar.info.converters.get(which)
        if converter is None or converter.ideal:
            return 0.0
        unit = self.state_unit_v if converter.quantity == Quantity.VOLT else self.current_unit_a
        return converter.lsb / unit

    def nudge_range(self) -> float:
        """Largest nudge of either sign, model units."""
        dac = self.crossbar.info.converter(ConverterId.NUDGE_DAC, self.crossbar.address)
        return min(-dac.low, dac.high) / self.current_unit_a

    def _region(self, plane: int) -> Region:
        return Region(self.array, 0, plane, 0, self.rows, 0, self.columns)

    def _whole(self, target: Array) -> Array:
        cells = self.topology.cells(self.topology.couplings[0])
        whole = np.full((self.shape[0], *cells), self.crossbar.g_range_s[0])
        whole[:, : self.rows, : self.columns] = target
        return whole


def _topology(crossbar: Crossbar, rows: int, columns: int) -> Topology:
    fabric = crossbar.info.fabric
    if fabric.resistive:
        if rows % 2:
            raise OutOfRange(f"rows = {rows}: source nodes come in pairs, an even number is needed")
        layers = (Layer(shape=(columns,), clamped=False),)
        source = Dense(pre=-1, post=0, bias=False)
        return Topology(substrate="resistive", source=(2, rows // 2), layers=layers, couplings=(source,))
    if fabric.layers:
        return dense_chain(list(fabric.layers), bias=False)
    return dense_chain([rows, columns], bias=False)
