"""The tiles of a real product device: one array of the driver a tile."""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from emulator.products import BOTH, Multiplied
from firmware_specs.chains import dense_chain
from firmware_specs.codes import Capability
from firmware_specs.messages import Region
from firmware_specs.messages import Train as LineTrain
from hil.counterparts.device_array import verified
from hil.counterparts.opened import Opened
from hil.counterparts.pulse_plan import Train
from hil.counterparts.tiled import EVERY, Grid

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]


class DeviceTiles:
    """Tiles behind the Crossbar driver.

    Args:
        bench: The open device.

    Attributes:
        verify: Arrays whose cells are read back after the next write: all of them after a resume.
        unverified: Cells that stayed off their target then.
    """

    def __init__(self, bench: Opened) -> None:
        self.verify: set[int] = set()
        self.unverified = 0
        self._bench = bench
        self._shapes: dict[int, tuple[int, int]] = {}

    def configure(self, array: int, rows: int, columns: int) -> None:
        """Takes a tile, or a part of one."""
        self._bench.crossbar.configure(array, dense_chain([rows, columns], bias=False))
        self._shapes[array] = (rows, columns)

    def write(self, array: int, target_s: Tensor, where: Tensor | None = None, again: bool = False) -> int:
        """Writes the cells whose code changes; after a resume all of them, read back before the next step."""
        target, crossbar = np.ascontiguousarray(target_s.cpu().numpy()), self._bench.crossbar
        self._bench.arm()
        if again:
            crossbar.forget(array, 0, np.ones(target.shape, dtype=np.bool_))
        only = None if where is None else [where.cpu().numpy()]
        done = crossbar.program(array, [target], only=only)
        if array in self.verify:
            self.unverified += verified(crossbar, array, [target])
            self.verify.remove(array)
        return done.written

    def read(self, array: int, reads: int, rows: slice = EVERY) -> Tensor:
        """Conductances as read, (2, rows, columns), siemens."""
        return torch.from_numpy(self._bench.crossbar.read_conductances(array, 0, reads, rows))

    def usage(self, array: int) -> Tensor:
        """By the device's counters, where it has any."""
        crossbar, (rows, columns) = self._bench.crossbar, self._shapes[array]
        if not crossbar.info.can(Capability.USAGE):
            return torch.zeros(2, rows, columns, dtype=torch.int64)
        planes = [crossbar.usage(Region(array, 0, plane, 0, rows, 0, columns))[0] for plane in BOTH]
        return torch.from_numpy(np.stack(planes))

    def pulse(self, array: int, train: Train) -> None:
        """Nominal pulses on one plane."""
        law, counts = self._bench.datasheet.pulses, train.counts.cpu().numpy().astype(np.uint16)
        region = Region(array, 0, train.plane, 0, counts.shape[0], 0, counts.shape[1])
        self._bench.arm()
        self._bench.crossbar.pulse(region, up=train.up, amplitude_v=law.amplitude_v, width_s=law.width_s, count=counts)

    def coincide(self, array: int, trains: Sequence[LineTrain]) -> None:
        """Nominal pulses on rows and columns, one request a tile."""
        law = self._bench.datasheet.pulses
        self._bench.arm()
        self._bench.crossbar.coincide(array, trains, amplitude_v=law.amplitude_v, width_s=law.width_s)

    def multiply(self, grid: Grid, volts: Tensor, transposed: bool) -> Multiplied:
        """Every tile and plane, then sums and differences."""
        self._bench.arm()
        driven, outputs = volts.detach().cpu().numpy(), grid if transposed else grid.T
        found = [self._added(row.tolist(), driven, transposed) for row in outputs]
        amps = torch.from_numpy(np.concatenate([each for each, _, _ in found], 1))
        rails = torch.from_numpy(sum(at_rail for _, _, at_rail in found))
        return Multiplied(amps.to(volts), torch.from_numpy(found[0][1]).to(volts.device), rails.to(volts.device))

    def now_s(self) -> float:
        """The host's monotonic clock."""
        return time.monotonic()

    def _added(self, tiles: list[int], volts: Floats, transposed: bool) -> tuple[Floats, Counts, Counts]:
        """Readings of tiles that share read lines, added; voltages clipped, readings at the rails."""
        crossbar, product = self._bench.crossbar, self._bench.datasheet.product
        assert product is not None  # noqa: S101 - the bench looks first
        samples, start = len(volts), 0
        amps = np.zeros((samples, self._shapes[tiles[0]][0 if transposed else 1]))
        clipped, rails = np.zeros(samples, np.int64), np.zeros(samples, np.int64)
        for array in tiles:
            lines = slice(start, start + self._shapes[array][1 if transposed else 0])
            for plane in BOTH:
                got, beyond, at_rail = crossbar.product(
                    array, 0, volts[:, lines], plane, transposed=transposed, reads=product.reads
                )
                amps += -got if plane else got
                rails += at_rail
            clipped += beyond  # the same lines, whichever plane
            start = lines.stop
        return amps, clipped, rails
