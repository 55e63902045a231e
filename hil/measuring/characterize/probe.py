"""A region of cells of a device: written, read, pulsed and worn, in levels of the conductance range."""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from drivers.crossbar import Crossbar
from drivers.errors import OutOfRange
from firmware_specs.chains import dense_chain
from firmware_specs.codes import Capability
from firmware_specs.datasheet import Datasheet
from firmware_specs.messages import Region
from firmware_specs.topology import Dense, Layer, Topology
from hil.measuring.characterize.health import GOOD, STUCK_HIGH, Codes, partners
from hil.measuring.placed import PlacedBlock

Array = NDArray[np.float64]
HELD = -1.0
"""Drive that holds a unit at its lower rail."""


class Probe(PlacedBlock):
    """A dense block whose first `rows` x `columns` cells (twice where pairs are differential) are measured.

    Levels are of shape (planes, rows, columns).

    Attributes:
        health: What the first look found of the region's cells; None before it.
        seen: Level of every cell at that look, mean over what was written; None before it.

    Args:
        crossbar: The open device; its outputs are on from here until it is left.
        rows: Units of the first layer.
        columns: Units of the last layer.
        array: Which array is used; what its cells hold is lost.
        sheet: What the device is supposed to be, for sensible settings.
        present: A block that is on the array and stays; a dense one of the region is placed where it is None.

        place: False leaves the device alone until `place` is called.

    Raises:
        DeviceFault: the block does not fit. OutOfRange: the layers are wired and smaller.
    """

    def __init__(
        self,
        crossbar: Crossbar,
        rows: int,
        columns: int,
        array: int = 0,
        sheet: Datasheet | None = None,
        present: Topology | None = None,
        place: bool = True,
    ) -> None:
        super().__init__(
            crossbar, array, _topology(crossbar, rows, columns) if present is None else present, place=place
        )
        self.sheet = sheet
        self.health: Codes | None = None
        self.seen: Array | None = None
        _, all_rows, all_columns = self.cells(0)
        self.rows, self.columns = min(rows, all_rows), min(columns, all_columns)
        self.shape = (crossbar.planes, self.rows, self.columns)

    def write(self, levels: Array | float) -> None:
        """Writes every cell of the region once, (planes, rows, columns) levels or one for all; others rest."""
        whole = np.full(self.cells(0), self.resting_level)
        whole[:, : self.rows, : self.columns] = levels
        self.program({0: whole})

    def read(self, reads: int) -> Array:
        """Single readings as levels, (reads, planes, rows, columns)."""
        current = self.current([self.read_v], reads)[0]
        return np.asarray((current / self.read_v - self.crossbar.g_range_s[0]) / self.span_s)

    def balanced(self, levels: Array | float) -> Array | float:
        """Levels with which a pair has the wanted difference although one of its cells is stuck high.

        Args:
            levels: Wanted ones, (planes, rows, columns) or one for all.
        """
        if self.health is None or self.seen is None or self.resistive or self.shape[0] < 2:
            return levels
        whole = np.array(np.broadcast_to(levels, self.shape), dtype=np.float64)
        balancing = self._balancing()
        for plane, pairs in enumerate(balancing):
            opposite = plane ^ 1
            wanted = whole[plane] - whole[opposite]
            whole[opposite] = np.where(pairs, np.clip(self.seen[plane] - wanted, 0.0, 1.0), whole[opposite])
        return whole

    def _balancing(self) -> NDArray[np.bool_]:
        """Cells that are stuck high and have a partner that works, (planes, rows, columns)."""
        if self.health is None or self.shape[0] < 2:
            return np.zeros(self.shape, np.bool_)
        return np.asarray((self.health == STUCK_HIGH) & (partners(self.health) == GOOD))

    def driven(self, value: float, samples: int, balanced: bool = False) -> Array:
        """A drive that is the same for every unit, (samples, units).

        Units beside a cell that is stuck high are held at their lower rail: what they would send through it would be in
        every other unit's state.

        Args:
            value: Of units that are not held.
            samples: How many of them.
            balanced: Pairs were written so (see `balanced`): only units beside a pair that cannot be are held.
        """
        drive = super().driven(value, samples)
        if self.health is not None and not self.resistive:
            stuck = self.health == STUCK_HIGH
            if balanced and len(stuck) > 1:
                stuck = stuck & ~partners(stuck) & ~self._balancing()
            held = stuck.any(axis=(0, 2))
            drive[:, : len(held)][:, held] = HELD
        return drive

    def read_all(self, coupling: int, reads: int) -> Array:
        """Single readings of all cells of a coupling as levels, (reads, planes, rows, columns)."""
        planes, rows, columns = self.cells(coupling)
        regions = [Region(self.array, coupling, p, 0, rows, 0, columns) for p in range(planes)]
        seen_a = np.stack([self.crossbar.measure(r, [self.read_v], reads)[0] for r in regions], axis=1)
        return np.asarray((seen_a / self.read_v - self.crossbar.g_range_s[0]) / self.span_s)

    def on_grid(self, level: float) -> float:
        """The level that conductance codes have nearest to a wanted one: what is asked for is what is sent."""
        codes = round(self.span_s / self.crossbar.g_lsb_s)
        return round(level * codes) / codes

    def current(self, volts: Sequence[float], reads: int) -> Array:
        """Currents of the cells, amperes, (volts, reads, planes, rows, columns)."""
        planes = [self.crossbar.measure(self._region(p), volts, reads) for p in range(self.shape[0])]
        return np.stack(planes, axis=2)

    def pulse(self, plane: int, up: bool, count: int, amplitude_v: float, width_s: float) -> None:
        """Pulses to every cell of a plane, in one transaction."""
        self.crossbar.pulse(self._region(plane), up=up, amplitude_v=amplitude_v, width_s=width_s, count=count)

    def pulses_taken(self) -> NDArray[np.int64]:
        """Writes and pulses of every cell so far, (planes, rows, columns)."""
        return np.stack([self.crossbar.usage(self._region(plane))[0] for plane in range(self.shape[0])])

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

    def set_temperature(self, kelvin: float) -> None:
        """Sets the temperature of a device that can."""
        self.crossbar.session.set_temperature(kelvin)

    def _region(self, plane: int) -> Region:
        return Region(self.array, 0, plane, 0, self.rows, 0, self.columns)


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
