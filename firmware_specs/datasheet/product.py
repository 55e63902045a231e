"""The product path of a device that multiplies and does not settle: the host relaxes, the device does every product."""

from __future__ import annotations

from pydantic import PositiveInt

from firmware_specs.datasheet.converters import Ammeter, SourceDac
from firmware_specs.datasheet.section import Positive, Section


class Product(Section):
    """Tiles of a product device, each one crossbar pair (G+ and G-) with converters on all its lines.

    A coupling larger than a tile is cut into tiles; the host adds what their read lines give.

    Attributes:
        tile_rows: Row lines of a tile.
        tile_columns: Column lines of a tile.
        tiles: Tiles on the bench; a coupling takes as many as it is cut into.
        line_dac: Volts on the driven lines.
        line_adc: Currents of the read lines, each plane converted by itself.
        reads: Conversions averaged in one product.
        read_time_s: Time of one product of one tile.
    """

    tile_rows: PositiveInt
    tile_columns: PositiveInt
    tiles: PositiveInt = 1
    line_dac: SourceDac
    line_adc: Ammeter
    reads: PositiveInt = 1
    read_time_s: Positive

    def cut(self, rows: int, columns: int) -> tuple[int, int]:
        """Tiles along the rows and along the columns of a coupling."""
        return -(-rows // self.tile_rows), -(-columns // self.tile_columns)
