"""A block on a device that only multiplies: couplings cut into tiles, every product the device's, the host relaxes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from emulator.products import Multiplied
from firmware_specs.datasheet import Datasheet
from firmware_specs.messages import Train
from firmware_specs.topology import Topology
from hil.counterparts import pulse_plan
from hil.counterparts.cell_array import PulsedCells, Wear
from hil.counterparts.coincidence_plan import placed
from hil.counterparts.mapping import Mapping
from hil.counterparts.product_heat import ProductHeat
from hil.counterparts.relaxing import Relaxation
from hil.counterparts.seam import Nudge, Parameters, PlacementError, Programmed, Settled, States

PROBES = 64
"""Equal products whose spread is the device's noise."""
REFRESH_READS = 4
"""Readings of every cell that a refresh of pulsed pairs averages."""

EVERY = slice(None)
"""All rows."""

Grid = NDArray[np.int64]
"""Arrays, one a tile, (down, across)."""


class Tiles(Protocol):
    """What a device does with its tiles; an array is a tile."""

    def configure(self, array: int, rows: int, columns: int) -> None:
        """Takes a tile, or a part of one."""
        ...

    def write(self, array: int, target_s: Tensor, where: Tensor | None = None, again: bool = False) -> int:
        """Writes the cells, (2, rows, columns), whose code changes, or all `again`; returns how many."""
        ...

    def read(self, array: int, reads: int, rows: slice = EVERY) -> Tensor:
        """Conductances as read, (2, rows, columns), siemens; of all rows unless some are asked for."""
        ...

    def usage(self, array: int) -> Tensor:
        """Pulses every cell has taken by the device's count, (2, rows, columns); zeros where it does not count."""
        ...

    def pulse(self, array: int, train: pulse_plan.Train) -> None:
        """Nominal pulses on one plane."""
        ...

    def coincide(self, array: int, trains: Sequence[Train]) -> None:
        """Nominal pulses on rows and columns."""
        ...

    def multiply(self, grid: Grid, volts: Tensor, transposed: bool) -> Multiplied:
        """Products of a matrix that lies on a grid of tiles."""
        ...

    def now_s(self) -> float:
        """The clock its conductances drift by."""
        ...


@dataclass(frozen=True)
class Cut:
    """One coupling on its tiles."""

    grid: Grid
    rows: int
    columns: int
    height: int
    width: int

    def places(self) -> Iterator[tuple[int, slice, slice]]:
        """Array, rows and columns of every tile."""
        for (down, across), array in np.ndenumerate(self.grid):
            top, left = down * self.height, across * self.width
            yield (
                int(array),
                slice(top, min(top + self.height, self.rows)),
                slice(left, min(left + self.width, self.columns)),
            )


class TiledArray(PulsedCells):
    """A block on the tiles of a device.

    Args:
        sheet: The device.
        tiles: Its tiles.
        first: First array to use; `arrays` are taken.
        topology: The block.

    Raises:
        PlacementError: the block is not dense, or there are not tiles enough.
    """

    nudges_every_layer = True

    def __init__(self, sheet: Datasheet, tiles: Tiles, first: int, topology: Topology) -> None:
        super().__init__(sheet, topology)
        self._mapping = Mapping(sheet)  # its neurons are the host's, whatever their rails
        self.noise_a: float | None = None
        self.written_at_s = 0.0
        self._tiles = tiles
        self.ranges = replace(self._mapping.ranges, nudge_step=0.0)  # the nudge is the host's
        self._relaxation = Relaxation(sheet, topology, self)
        self._targets: list[Tensor] | None = None
        self._cuts: list[Cut] = []
        fabric, start = sheet.fabric, first
        for coupling in topology.couplings:
            rows, columns = topology.cells(coupling)
            down, across = fabric.cut(rows, columns)
            grid = np.arange(first, first + down * across).reshape(down, across)
            self._cuts.append(Cut(grid, rows, columns, fabric.max_rows, fabric.max_columns))
            first += down * across
        self.arrays = first - start
        self.heat = ProductHeat(sheet, [(cut.rows, cut.columns) for cut in self._cuts])
        if first > fabric.arrays:
            raise PlacementError(
                f"{sheet.identity.model} has {fabric.arrays} tiles of {fabric.max_rows} x {fabric.max_columns}; "
                f"with this block {first} would be needed"
            )
        for cut in self._cuts:
            for array, rows_here, columns_here in cut.places():
                tiles.configure(array, rows_here.stop - rows_here.start, columns_here.stop - columns_here.start)

    @property
    def products(self) -> int:
        """Products so far: one sample through one coupling."""
        return self._relaxation.products

    def program(self, parameters: Parameters) -> Programmed:
        """Writes the cells whose code changes, tile by tile."""
        targets, clipped = self._mapping.conductances_s(self.topology, parameters)
        return self._written(targets, parameters, clipped)

    def prepare(self, parameters: Parameters) -> Programmed:
        """Writes pairs of cells about mid-range, from where pulses move them."""
        targets, clipped = self._mapping.conductances_s(self.topology, parameters)
        done = self._written(self._balanced(targets), parameters, clipped)
        self._targets = None
        return done

    def weights(self, coupling: int, rows: slice, reads: int, pair: int | None = None) -> Tensor:
        """Reads the tiles that have the rows; a tile is one pair."""
        cut = self._cuts[coupling]
        begin, end, _ = rows.indices(cut.rows)
        seen = torch.zeros(2, end - begin, cut.columns, dtype=torch.float64)
        for array, down, across in cut.places():
            top, bottom = max(begin, down.start), min(end, down.stop)
            if top < bottom:
                part = self._tiles.read(array, reads, slice(top - down.start, bottom - down.start))
                seen[:, top - begin : bottom - begin, across] = part.cpu().double()
        return self._mapping.weights(seen)

    def wear(self) -> Wear:
        """By the device's counters, tile by tile."""
        counts = [self._tiles.usage(array) for cut in self._cuts for array, _, _ in cut.places()]
        weights = sum(cut.rows * cut.columns for cut in self._cuts)
        return Wear(weights, sum(int(c.sum()) for c in counts), max(int(c.max()) for c in counts))

    def refresh(self) -> Programmed:
        """Writes all programmed cells again, or the crowded pairs of a one-sided law with what they read."""
        total = sum(2 * cut.rows * cut.columns for cut in self._cuts)
        written = 0
        self._relaxation.touched()
        for number, cut in enumerate(self._cuts):
            for array, rows, columns in cut.places():
                if self._targets is not None:
                    written += self._tiles.write(array, self._targets[number][:, rows, columns], again=True)
                elif self._sheet.pulses.one_sided:
                    seen = self._tiles.read(array, REFRESH_READS)
                    written += self._tiles.write(array, *pulse_plan.paired_again(self._sheet, seen))
        if self._targets is not None:
            self.written_at_s = self._tiles.now_s()
        return Programmed(total, written, 0)

    def drifted(self) -> float:
        """Predicted from the datasheet's law and the time since all cells were written together."""
        cells = self._sheet.cells
        middle_s = (cells.g_min_s + cells.g_max_s) / 2
        return self._sheet.drift.predicted(self._tiles.now_s() - self.written_at_s, middle_s, cells.g_max_s)

    def _train(self, coupling: int, train: pulse_plan.Train) -> None:
        self._relaxation.touched()
        for array, rows, columns in self._cuts[coupling].places():
            part = train.counts[rows, columns]
            if bool(part.any()):
                self._tiles.pulse(array, pulse_plan.Train(train.plane, train.up, part, 0))

    def _coincide(self, trains: Sequence[Train]) -> None:
        self._relaxation.touched()
        for number, cut in enumerate(self._cuts):
            mine = [train for train in trains if train.region.coupling == number]
            for array, rows, columns in cut.places() if mine else ():
                self._tiles.coincide(array, [placed(train, array, rows, columns) for train in mine])

    def settle(
        self, drive: Tensor, nudges: Sequence[Nudge] = (), start: States | None = None, reads: int = 1
    ) -> Settled:
        """Relaxes on the device's products; the first settle looks at their noise."""
        if self.noise_a is None:
            self.noise_a = self._measured_noise_a()
        return self._relaxation.settle(drive, nudges, start, reads, self.noise_a)

    def multiply(self, coupling: int, volts: Tensor, transposed: bool) -> Multiplied:
        """The device's, on the tiles of a coupling."""
        self.heat.multiplied(coupling, volts, transposed)
        return self._tiles.multiply(self._cuts[coupling].grid, volts.double(), transposed)

    def held(self) -> Tensor:
        """What the host keeps of the block: how long ago its cells were written, and the noise seen, amperes."""
        noise = float("nan") if self.noise_a is None else self.noise_a
        return torch.tensor([self._tiles.now_s() - self.written_at_s, noise], dtype=torch.float64)

    def hold(self, state: Tensor) -> None:
        """Takes `held` back."""
        age_s, noise = state.tolist()
        self.written_at_s = self._tiles.now_s() - age_s
        self.noise_a = None if noise != noise else noise

    def _written(self, targets: list[Tensor], parameters: Parameters, clipped: int) -> Programmed:
        self._relaxation.programmed(parameters)
        self._relaxation.touched()
        cells = written = 0
        for cut, target in zip(self._cuts, targets, strict=True):
            cells += target.numel()
            for array, rows, columns in cut.places():
                written += self._tiles.write(array, target[:, rows, columns])
        if self._targets is None:
            self.written_at_s = self._tiles.now_s()
        self._targets = targets
        self.heat.written(targets)
        return Programmed(cells, written, clipped)

    def _measured_noise_a(self) -> float:
        """Standard deviation of one plane's reading: equal products of one tile, the same lines again and again."""
        cut = self._cuts[0]
        volts = torch.full((PROBES, min(cut.rows, cut.height)), self._sheet.neurons.state_unit_v / 2)
        amps = self._tiles.multiply(cut.grid[:1, :1], volts.double(), False).amps
        self.heat.read(0, volts.double(), cut.width)
        return float(amps.std(0).max()) / 2**0.5


def place(sheet: Datasheet, tiles: Tiles, taken: Sequence[TiledArray], topology: Topology) -> TiledArray:
    """Gives a block the next free tiles.

    Raises:
        PlacementError: with the count, where there are not enough; or the block is not dense.
    """
    return TiledArray(sheet, tiles, sum(array.arrays for array in taken), topology)


def report(sheet: Datasheet, arrays: Sequence[TiledArray]) -> dict[str, float]:
    """Tiles in use, matrix products of one sample with one coupling so far, and the time their tiles took."""
    assert sheet.product is not None  # noqa: S101 - its blocks are tiled
    products = sum(array.products for array in arrays)
    tiles = sum(array.arrays for array in arrays)
    return {"tiles": tiles, "products": products, "product_seconds": products * sheet.product.read_time_s}
