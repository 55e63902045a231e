"""A real device that multiplies: couplings cut into tiles, one array of the device a tile; the host relaxes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from emulator.products import Multiplied
from firmware_specs.topology import Topology, dense_chain
from hil.backends.relaxing import Relaxation
from hil.backends.seam import Nudge, Parameters, Programmed, Ranges, Settled, States
from hil.mapping import Mapping

if TYPE_CHECKING:
    from hil.backends.device import DeviceBench

PROBES = 64
"""Equal products whose spread is the device's noise."""


class DeviceProductArray:
    """A block on the tiles of a device.

    Args:
        bench: The open device.
        first: First array to use; `arrays` are taken.
        topology: The block.

    Raises:
        PlacementError: the block is not dense.
    """

    def __init__(self, bench: DeviceBench, first: int, topology: Topology) -> None:
        self.topology = topology
        self.verify = False
        self.unverified = 0
        self._bench, self._mapping = bench, Mapping(bench.datasheet)
        product = bench.datasheet.product
        assert product is not None  # noqa: S101 - the bench looks first
        self._relaxation = Relaxation(bench.datasheet, topology, self)
        self._weights: dict[str, Tensor] = {}
        self._noise_a: float | None = None
        self._product = product
        self._tiles: list[NDArray[np.int64]] = []
        for coupling in topology.couplings:
            down, across = product.cut(*topology.cells(coupling))
            self._tiles.append(np.arange(first, first + down * across).reshape(down, across))
            first += down * across
        for number, grid in enumerate(self._tiles):
            for index, (rows, columns) in self._spans(number):
                size = [rows.stop - rows.start, columns.stop - columns.start]
                bench.crossbar.configure(int(grid[index]), dense_chain(size, bias=False))

    @property
    def arrays(self) -> int:
        """Arrays taken."""
        return sum(grid.size for grid in self._tiles)

    @property
    def products(self) -> int:
        """Products so far: one sample through one coupling."""
        return self._relaxation.products

    @property
    def nudge_limit(self) -> float:
        """How far nudges are scaled up, model units."""
        return self._mapping.nudge_limit

    @property
    def nudge_step(self) -> float:
        """0: the nudge is the host's."""
        return 0.0

    @property
    def ranges(self) -> Ranges:
        """Range of the cells."""
        return self._mapping.ranges

    def program(self, parameters: Parameters) -> Programmed:
        """Writes the cells whose code changes, tile by tile."""
        wanted, clipped = self._mapping.conductances_s(self.topology, parameters)
        self._bench.arm()
        self._weights = {name: value.detach().clone() for name, value in parameters.items()}
        self._relaxation.programmed(self._weights)
        cells = written = 0
        for coupling, target in enumerate(wanted):
            values = target.cpu().numpy()
            for index, (rows, columns) in self._spans(coupling):
                tile = np.ascontiguousarray(values[:, rows, columns])
                done = self._bench.crossbar.program(int(self._tiles[coupling][index]), [tile])
                cells, written = cells + done.cells, written + done.written
        return Programmed(cells, written, clipped)

    def settle(
        self, drive: Tensor, nudges: Sequence[Nudge] = (), start: States | None = None, reads: int = 1
    ) -> Settled:
        """Relaxes on the device's products; the first settle looks at its noise."""
        self._bench.arm()
        if self._noise_a is None:
            self._noise_a = self._measured_noise_a()
            adc = self._product.line_adc.model_copy(update={"noise_sigma_a": self._noise_a})
            product = self._product.model_copy(update={"line_adc": adc, "reads": 1})
            sheet = self._bench.datasheet.model_copy(update={"product": product})
            self._relaxation = Relaxation(sheet, self.topology, self)
            self._relaxation.programmed(self._weights)
        return self._relaxation.settle(drive, nudges, start, reads)

    def multiply(self, coupling: int, volts: Tensor, transposed: bool) -> Multiplied:
        """Every tile and plane, then sums and differences."""
        rows, columns = self.topology.cells(self.topology.couplings[coupling])
        driven = volts.detach().cpu().double().numpy()
        amps = np.zeros((len(driven), rows if transposed else columns))
        clipped, rails = np.zeros(len(driven), np.int64), np.zeros(len(driven), np.int64)
        for index, (down, across) in self._spans(coupling):
            lines, read = (across, down) if transposed else (down, across)
            array = int(self._tiles[coupling][index])
            for plane, sign in ((0, 1.0), (1, -1.0)):
                got, beyond, at_rail = self._bench.crossbar.product(
                    array, 0, driven[:, lines], plane, transposed=transposed, reads=self._product.reads
                )
                amps[:, read] += sign * got
                clipped, rails = np.maximum(clipped, beyond), rails + at_rail
        return Multiplied(torch.from_numpy(amps).to(volts), torch.from_numpy(clipped), torch.from_numpy(rails))

    def _measured_noise_a(self) -> float:
        """Standard deviation of one averaged reading of a plane: equal products, the same lines again and again."""
        rows, _ = self._spans(0)[0][1]
        volts = np.full((PROBES, rows.stop - rows.start), self._bench.datasheet.neurons.state_unit_v / 2)
        amps = self._bench.crossbar.product(int(self._tiles[0][0, 0]), 0, volts, 0, reads=self._product.reads)[0]
        return float(amps.std(0, ddof=1).max())

    def _spans(self, coupling: int) -> list[tuple[tuple[int, int], tuple[slice, slice]]]:
        """Rows and columns of every tile of a coupling."""
        rows, columns = self.topology.cells(self.topology.couplings[coupling])
        height, width = self._product.tile_rows, self._product.tile_columns
        down, across = self._product.cut(rows, columns)
        return [
            ((i, j), (slice(i * height, min((i + 1) * height, rows)), slice(j * width, min((j + 1) * width, columns))))
            for i in range(down)
            for j in range(across)
        ]
