"""An emulated device that multiplies and does not settle, in process: all tiles of a product are computed at once."""

from __future__ import annotations

import math
from collections.abc import Mapping as MappingABC
from collections.abc import Sequence

import torch
from torch import Tensor

from drivers.portions import together
from emulator import cells
from emulator.chip import Chip
from emulator.products import Multiplied
from firmware_specs.chains import dense_chain
from firmware_specs.deeds import NOTHING, Deeds
from firmware_specs.messages import Train as LineTrain
from firmware_specs.topology import Topology
from hil.counterparts import tiled
from hil.counterparts.emulator import EmulatorBench
from hil.counterparts.pulse_plan import Train
from hil.counterparts.tiled import EVERY, Grid, TiledArray


class EmulatedTiles:
    """The tiles of an emulated product device.

    Attributes:
        targets_s: What was last written into each tile; NaN where a cell was pulsed since.
    """

    def __init__(self, chip: Chip) -> None:
        self.chip = chip
        self.targets_s: dict[int, Tensor] = {}
        product = chip.datasheet.product
        self._portion = None if product is None else together(product.read_time_s)  # noise as behind a door

    def configure(self, array: int, rows: int, columns: int) -> None:
        """Takes a tile, or a part of one."""
        self.chip.configure(array, dense_chain([rows, columns], bias=False))

    def write(self, array: int, target_s: Tensor, where: Tensor | None = None, again: bool = False) -> int:
        """Writes the cells whose code changes, as a driver would."""
        target_s = cells.quantize(self.chip.datasheet.cells, target_s)
        known = self.targets_s.get(array, torch.full_like(target_s, math.nan))
        if where is not None:
            target_s = torch.where(where, target_s, known)
        mask = torch.ones_like(target_s, dtype=torch.bool) if again else (target_s != known) & ~target_s.isnan()
        if bool(mask.any()):
            self.chip.program(array, [target_s.nan_to_num()], [mask])
            self.targets_s[array] = target_s
        return int(mask.sum())

    def read(self, array: int, reads: int, rows: slice = EVERY) -> Tensor:
        """Conductances as read, (2, rows, columns), siemens."""
        return self.chip.read(array, 0, (slice(None), rows, slice(None)), reads)

    def usage(self, array: int) -> Tensor:
        """By the chip's counters."""
        return self.chip.usage(array, 0)[0]

    def pulse(self, array: int, train: Train) -> None:
        """Nominal pulses on one plane; what these cells hold is not known then."""
        if array in self.targets_s:
            known = self.targets_s[array].clone()
            known[train.plane][train.counts > 0] = math.nan
            self.targets_s[array] = known
        self.chip.pulse(array, 0, (train.plane, slice(None), slice(None)), train.counts, train.up)

    def coincide(self, array: int, trains: Sequence[LineTrain]) -> None:
        """Nominal pulses on rows and columns; what the cells they meet at hold is not known then."""
        if array in self.targets_s:
            known = self.targets_s[array].clone()
            for train in trains:
                known[train.region.plane][torch.from_numpy(train.counts) > 0] = math.nan
            self.targets_s[array] = known
        self.chip.coincide(array, trains)

    def multiply(self, grid: Grid, volts: Tensor, transposed: bool) -> Multiplied:
        """Products of a matrix that lies on a grid of tiles."""
        return self.chip.tiled_product(grid.tolist(), volts, transposed, self._portion)

    def now_s(self) -> float:
        """The chip's clock."""
        return self.chip.conditions.clock_s


class ProductBench(EmulatorBench):
    """An emulated product device: blocks take tiles in order."""

    quantized = True

    def __init__(self, chip: Chip, address: str) -> None:
        super().__init__(chip, address)
        self._tiles = EmulatedTiles(chip)
        self._tiled: list[TiledArray] = []

    def place(self, topology: Topology) -> TiledArray:
        """Gives a block the next free tiles."""
        self._tiled.append(tiled.place(self.chip.datasheet, self._tiles, self._tiled, topology))
        return self._tiled[-1]

    def _heat(self) -> Deeds:
        return sum((array.heat.take() for array in self._tiled), start=NOTHING)

    def _written(self, array: int) -> list[Tensor] | None:
        return [self._tiles.targets_s[array]] if array in self._tiles.targets_s else None

    def report(self) -> dict[str, float]:
        """Tiles in use, products so far, and the time their tiles took."""
        return tiled.report(self.chip.datasheet, self._tiled)

    def state_dict(self) -> dict[str, Tensor]:
        """The chip's state, the last written targets, and what was seen of the noise."""
        state = self.chip.state_dict()
        state |= {f"target_{array}": target for array, target in self._tiles.targets_s.items()}
        for number, block in enumerate(self._tiled):
            noise = float("nan") if block.noise_a is None else block.noise_a
            state[f"block_{number}"] = torch.tensor([block.written_at_s, noise], dtype=torch.float64)
        return state

    def load_state_dict(self, state: MappingABC[str, Tensor]) -> None:
        """Restores `state_dict` on the same placed blocks."""
        self.chip.load_state_dict(state)
        start, where = "target_", self.chip.device
        self._tiles.targets_s = {
            int(k.removeprefix(start)): v.to(where) for k, v in state.items() if k.startswith(start)
        }
        for number, block in enumerate(self._tiled):
            block.written_at_s, noise = (float(v) for v in state[f"block_{number}"])
            block.noise_a = None if noise != noise else noise
