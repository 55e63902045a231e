"""The product path of a device that multiplies and does not settle: the host relaxes, the device does every product."""

from __future__ import annotations

from pydantic import PositiveInt

from firmware_specs.datasheet.converters import Adc, SourceDac
from firmware_specs.datasheet.section import Positive, Section


class LineAdc(Adc):
    """Converts line currents, through a transimpedance amplifier; its range is given in volts behind it."""


class Product(Section):
    """Tiles of a product device.

    Attributes:
        tile_rows: Rows of one physical crossbar.
        tile_columns: Columns of one physical crossbar.
        line_dac: Volts on the driven lines.
        line_adc: Volts behind the transimpedance amplifier of a read line.
        read_ohm: That amplifier: `V = I * read_ohm`.
        reads: Conversions of a line that are averaged in one product.
        read_time_s: Time of one product of one tile.
    """

    tile_rows: PositiveInt
    tile_columns: PositiveInt
    line_dac: SourceDac
    line_adc: LineAdc
    read_ohm: Positive
    reads: PositiveInt = 1
    read_time_s: Positive
