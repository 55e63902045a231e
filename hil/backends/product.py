"""An emulated device that multiplies and does not settle: the host relaxes, every matrix product is the device's."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from emulator.chip import Chip
from emulator.products import Multiplied
from firmware_specs.datasheet.product import Product
from firmware_specs.topology import Topology
from hil.backends.emulator import EmulatedArray, EmulatorBench
from hil.backends.relaxing import Relaxation
from hil.backends.seam import Nudge, Parameters, PlacementError, Programmed, Settled, States


class ProductArray(EmulatedArray):
    """A block whose crossbars are tiles of an emulated product device."""

    def __init__(self, chip: Chip, index: int, topology: Topology) -> None:
        super().__init__(chip, index, topology)
        self._relaxation = Relaxation(chip.datasheet, topology, self)

    @property
    def products(self) -> int:
        """Products so far: one sample through one coupling."""
        return self._relaxation.products

    def program(self, parameters: Parameters) -> Programmed:
        """Writes the cells whose code changes."""
        self._relaxation.programmed(parameters)
        return super().program(parameters)

    def multiply(self, coupling: int, volts: Tensor, transposed: bool) -> Multiplied:
        """The chip's."""
        return self._chip.tiled_product(self._index, coupling, volts, transposed)

    def settle(
        self, drive: Tensor, nudges: Sequence[Nudge] = (), start: States | None = None, reads: int = 1
    ) -> Settled:
        """Relaxes on the chip's products."""
        return self._relaxation.settle(drive, nudges, start, reads)


class ProductBench(EmulatorBench):
    """An emulated product device: blocks take tiles in order."""

    quantized = True

    def _array(self, index: int, topology: Topology) -> ProductArray:
        sheet = self.chip.datasheet
        assert sheet.product is not None  # noqa: S101 - `open_bench` looks first
        needed = self.tiles + _tiles(sheet.product, topology)
        if needed > sheet.product.tiles:
            raise PlacementError(
                f"{sheet.identity.model} has {sheet.product.tiles} tiles of {sheet.product.tile_rows} x "
                f"{sheet.product.tile_columns}; with this block {needed} would be needed"
            )
        return ProductArray(self.chip, index, topology)

    @property
    def tiles(self) -> int:
        """Tiles in use."""
        product = self.chip.datasheet.product
        return 0 if product is None else sum(_tiles(product, array.topology) for array in self._arrays)

    def report(self) -> dict[str, float]:
        """Tiles in use, matrix products of one sample with one coupling so far, and the time their tiles took."""
        product = self.chip.datasheet.product
        assert product is not None  # noqa: S101 - `open_bench` looks first
        arrays = [array for array in self._arrays if isinstance(array, ProductArray)]
        done = sum(array.products for array in arrays)
        return {"tiles": self.tiles, "products": done, "product_seconds": done * product.read_time_s}


def _tiles(product: Product, topology: Topology) -> int:
    cuts = (product.cut(*topology.cells(coupling)) for coupling in topology.couplings)
    return sum(down * across for down, across in cuts)
