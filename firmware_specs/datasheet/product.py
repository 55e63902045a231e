"""The product path of a device that multiplies and does not settle: the host relaxes, the device does every product."""

from __future__ import annotations

from pydantic import PositiveInt

from firmware_specs.datasheet.converters import Ammeter, SourceDac
from firmware_specs.datasheet.section import Positive, Section


class Product(Section):
    """Converters of a product device; each of its arrays is a tile, one crossbar pair (G+ and G-).

    `fabric` says how large a tile is and how many there are. A coupling larger than a tile is cut into tiles; the host
    adds what their read lines give.

    Attributes:
        line_dac: Volts on the driven lines.
        line_adc: Currents of the read lines, each plane converted by itself.
        reads: Conversions averaged in one product.
        read_time_s: Time of one product of one tile, with all its reads.
    """

    line_dac: SourceDac
    line_adc: Ammeter
    reads: PositiveInt = 1
    read_time_s: Positive
