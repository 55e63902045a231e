"""How long the reply to a request is, by PROTOCOL.md section 7: for deadlines on slow wires, and against surplus."""

from __future__ import annotations

import math
from collections.abc import Mapping

from firmware_specs.codes import ConverterId, Parameter
from firmware_specs.messages import Converter, Measure, Product, ReadCells, Region, Settle, width_for
from firmware_specs.topology import Topology

HEAD = 64
"""Bytes of counts, shapes and widths, at most."""
LAYER_HEAD = 5
STATISTICS = 13
"""Bytes about one phase of one sample besides its states."""
WIDEST = 8
SNAPSHOT = 1 << 26
STATE_CONVERTERS = (ConverterId.STATE_ADC, ConverterId.OUTPUT_ADC, ConverterId.SOURCE_ADC)


class ReplySizes:
    """Sizes of replies of one device, bytes, as far as it was told and has said itself.

    Attributes:
        converters: The device's, by id.
        parameters: Its numbers.
        topologies: What its arrays hold.
    """

    def __init__(self) -> None:
        self.converters: Mapping[int, Converter] = {}
        self.parameters: Mapping[int, float] = {}
        self.topologies: dict[int, Topology] = {}

    def read_cells(self, request: ReadCells) -> int:
        """Codes of every cell."""
        return HEAD + request.region.cells * self.cell_width(request.reads)

    def cell_width(self, reads: int) -> int:
        """Bytes of a sum of so many conductance codes."""
        bits = self.parameters.get(Parameter.CELL_BITS, 0)
        return _width(2 ** int(bits) - 1 if 1 <= bits <= 32 else 0, reads)

    def measure(self, request: Measure) -> int:
        """Amperes of every cell, voltage and reading."""
        return HEAD + 8 * len(request.volts) * request.reads * request.region.cells

    def usage(self, region: Region) -> int:
        """Pulses and joules of every cell."""
        return HEAD + 12 * region.cells

    def settle(self, request: Settle) -> int:
        """States and statistics of every phase of every sample."""
        topology, phases = self.topologies.get(request.array), (1 + len(request.nudges)) * len(request.drive)
        if topology is None:
            return SNAPSHOT
        known = [self.converters[which].max_code for which in STATE_CONVERTERS if which in self.converters]
        width = _width(max(known, default=0), request.reads)
        states = sum(LAYER_HEAD + phases * width * _units(topology, layer) for layer in request.layers)
        return HEAD + phases * STATISTICS + 4 * len(request.drive) + states

    def product(self, request: Product) -> int:
        """Codes of every line of every sample."""
        topology, adc = self.topologies.get(request.array), self.converters.get(ConverterId.PRODUCT_ADC)
        if topology is None or request.coupling >= len(topology.couplings):
            return SNAPSHOT
        lines = max(topology.cells(topology.couplings[request.coupling]))
        return HEAD + len(request.inputs) * lines * _width(0 if adc is None else adc.max_code, request.reads)


def _units(topology: Topology, layer: int) -> int:
    return math.prod(topology.shape(layer)) if layer < len(topology.layers) else 0


def _width(largest: int, reads: int) -> int:
    return width_for(largest * reads) if 0 < largest * reads < 1 << 64 else WIDEST
