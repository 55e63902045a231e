"""Pulsing and measuring cells (PROTOCOL.md 7.6, PULSE and MEASURE)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from firmware_specs.messages.cells import Region
from firmware_specs.messages.packing import Floats, Reader, Writer

PULSES_A_CELL = 65_535
"""Of one request, at most."""
PULSES_AT_ONCE = 1 << 20
"""Of all cells of one request, at most."""


@dataclass(frozen=True, slots=True)
class Pulse:
    """Request of PULSE.

    Attributes:
        region: Which cells.
        up: Towards g_max, else towards g_min.
        amplitude_v: Height, volts, positive.
        width_s: Width, seconds, positive.
        count: Pulses for each cell, or a u2 array (rows, columns).
    """

    region: Region
    up: bool
    amplitude_v: float
    width_s: float
    count: int | NDArray[np.uint16]

    @property
    def pulses(self) -> int:
        """Of all cells together."""
        return self.count * self.region.cells if isinstance(self.count, int) else int(self.count.sum())

    def pack(self) -> bytes:
        """Payload."""
        writer = self.region.write(Writer()).put("u8 f64 f64", self.up, self.amplitude_v, self.width_s)
        if isinstance(self.count, int):
            return writer.put("u8 u32", 0, self.count).done()
        return writer.put("u8", 1).array(self.count, "u2").done()

    @classmethod
    def parse(cls, payload: bytes) -> Self:
        """From a payload; raises `MalformedError`."""
        reader = Reader(payload)
        region, up = Region.read(reader), reader.flag()
        amplitude_v, width_s = reader.positive(), reader.positive()
        count: int | NDArray[np.uint16]
        count = reader.array("u2", region.rows, region.columns) if reader.flag() else reader.uint("u32")  # type: ignore[assignment]
        reader.end()
        return cls(region, up, amplitude_v, width_s, count)


@dataclass(frozen=True, slots=True)
class Pulsed:
    """Reply of PULSE: pulses delivered, and the largest total of any of these cells."""

    delivered: int
    most: int

    def pack(self) -> bytes:
        """Payload."""
        return Writer().put("u64 u32", self.delivered, self.most).done()

    @classmethod
    def parse(cls, payload: bytes) -> Self:
        """From a payload; raises `MalformedError`."""
        reader = Reader(payload)
        pulsed = cls(reader.uint("u64"), reader.uint("u32"))
        reader.end()
        return pulsed


@dataclass(frozen=True, slots=True)
class Measure:
    """Request of MEASURE: currents of every cell of a region at each of these voltages."""

    region: Region
    volts: Floats
    reads: int = 1

    def pack(self) -> bytes:
        """Payload."""
        writer = self.region.write(Writer()).put("u16 u16", self.reads, len(self.volts))
        return writer.array(np.asarray(self.volts), "f8").done()

    @classmethod
    def parse(cls, payload: bytes) -> Self:
        """From a payload; raises `MalformedError`."""
        reader = Reader(payload)
        region, reads = Region.read(reader), reader.uint("u16", 1)
        request = cls(region, reader.floats("f8", reader.uint("u16", 1)), reads)
        reader.end()
        return request


@dataclass(frozen=True, slots=True)
class Currents:
    """Reply of MEASURE: amperes; the host reshapes to (volts, reads, rows, columns)."""

    amperes: Floats

    def pack(self) -> bytes:
        """Payload."""
        return Writer().put("u32", self.amperes.size).array(self.amperes, "f8").done()

    @classmethod
    def parse(cls, payload: bytes) -> Self:
        """From a payload; raises `MalformedError`."""
        reader = Reader(payload)
        currents = cls(reader.floats("f8", reader.uint("u32")))
        reader.end()
        return currents
