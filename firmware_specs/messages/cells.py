"""Writing, reading and counting cells (PROTOCOL.md 7.6)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from firmware_specs.messages.packing import Codes, MalformedError, Reader, Writer


@dataclass(frozen=True, slots=True)
class Region:
    """A rectangle of cells of one plane of one coupling."""

    array: int
    coupling: int
    plane: int
    row: int
    rows: int
    column: int
    columns: int

    KINDS = "u16 u16 u8 u32 u32 u32 u32"

    @property
    def cells(self) -> int:
        """Number of cells."""
        return self.rows * self.columns

    @property
    def slices(self) -> tuple[slice, slice]:
        """Rows and columns as slices of the plane."""
        return slice(self.row, self.row + self.rows), slice(self.column, self.column + self.columns)

    def write(self, writer: Writer) -> Writer:
        """Appends the region."""
        place = (self.row, self.rows, self.column, self.columns)
        return writer.put(self.KINDS, self.array, self.coupling, self.plane, *place)

    def pack(self) -> bytes:
        """Payload of USAGE."""
        return self.write(Writer()).done()

    @classmethod
    def read(cls, reader: Reader) -> Self:
        """From the reader's place on."""
        head = reader.uint("u16"), reader.uint("u16"), reader.uint("u8")
        row, rows, column, columns = (reader.uint("u32", lowest) for lowest in (0, 1, 0, 1))
        return cls(*head, row, rows, column, columns)

    @classmethod
    def parse(cls, payload: bytes) -> Self:
        """From a payload; raises `MalformedError`."""
        reader = Reader(payload)
        region = cls.read(reader)
        reader.end()
        return region


class Covered:
    """Regions of the patches of one request, so that no cell is named twice."""

    def __init__(self) -> None:
        self._planes: dict[tuple[int, int], list[Region]] = {}

    def add(self, region: Region) -> bool:
        """Adds a region; True where it overlaps one that is there."""
        others = self._planes.setdefault((region.coupling, region.plane), [])
        meets = any(
            a.row < region.row + region.rows
            and region.row < a.row + a.rows
            and a.column < region.column + region.columns
            and region.column < a.column + a.columns
            for a in others
        )
        others.append(region)
        return meets


@dataclass(frozen=True, slots=True)
class Patch:
    """Cells to write: all of a region, or the ones at `positions`.

    Attributes:
        region: Where; its array is the request's.
        codes: (rows, columns), or as many as `positions`.
        positions: Row-major positions in the region, rising; None: all of it.
    """

    region: Region
    codes: Codes
    positions: NDArray[np.uint32] | None = None

    def write(self, writer: Writer) -> None:
        """Appends the patch."""
        region = self.region
        writer.put("u16 u8 u8", region.coupling, region.plane, self.positions is not None)
        writer.put("u32 u32 u32 u32", region.row, region.rows, region.column, region.columns)
        if self.positions is not None:
            writer.put("u32", self.positions.size).array(self.positions, "u4")
        writer.codes(self.codes)

    @classmethod
    def read(cls, reader: Reader, array: int) -> Self:
        """From the reader's place on."""
        coupling, plane, listed = reader.uint("u16"), reader.uint("u8"), reader.flag()
        row, rows, column, columns = (reader.uint("u32", lowest) for lowest in (0, 1, 0, 1))
        region = Region(array, coupling, plane, row, rows, column, columns)
        if not listed:
            return cls(region, reader.codes(rows, columns))
        count, at = reader.uint("u32"), reader.offset
        positions: NDArray[np.uint32] = reader.array("u4", count)  # type: ignore[assignment]
        rising = positions.size < 2 or bool((positions[1:] > positions[:-1]).all())
        if not rising or (positions.size and positions[-1] >= region.cells):
            raise MalformedError(at, f"positions: expected rising numbers below {region.cells}")
        return cls(region, reader.codes(positions.size), positions)


@dataclass(frozen=True, slots=True)
class WriteCells:
    """Request of WRITE_CELLS: one programming transaction.

    Attributes:
        array: Which array.
        patches: What is written where.
        verify: Most write-verify rounds of the device; 0 writes once.
        tolerance: What counts as written, as a fraction of g_max - g_min.
    """

    array: int
    patches: tuple[Patch, ...]
    verify: int = 0
    tolerance: float = 0.0

    def pack(self) -> bytes:
        """Payload."""
        writer = Writer().put("u16 u16 f32 u16", self.array, self.verify, self.tolerance, len(self.patches))
        for patch in self.patches:
            patch.write(writer)
        return writer.done()

    @classmethod
    def parse(cls, payload: bytes) -> Self:
        """From a payload; raises `MalformedError`."""
        reader = Reader(payload)
        array, verify, tolerance = reader.uint("u16"), reader.uint("u16"), reader.number("f32")
        count, patches, covered = reader.uint("u16"), [], Covered()
        for _ in range(count):
            at = reader.offset
            patches.append(Patch.read(reader, array))
            if covered.add(patches[-1].region):
                raise MalformedError(at, "its region overlaps that of an earlier patch")
        reader.end()
        return cls(array, tuple(patches), verify, tolerance)


@dataclass(frozen=True, slots=True)
class Written:
    """Reply of WRITE_CELLS: cells written, pulses spent, cells outside the tolerance."""

    written: int
    pulses: int
    failed: int

    def pack(self) -> bytes:
        """Payload."""
        return Writer().put("u64 u64 u64", self.written, self.pulses, self.failed).done()

    @classmethod
    def parse(cls, payload: bytes) -> Self:
        """From a payload; raises `MalformedError`."""
        reader = Reader(payload)
        written = cls(reader.uint("u64"), reader.uint("u64"), reader.uint("u64"))
        reader.end()
        return written


@dataclass(frozen=True, slots=True)
class ReadCells:
    """Request of READ_CELLS."""

    region: Region
    reads: int = 1

    def pack(self) -> bytes:
        """Payload."""
        return self.region.write(Writer()).put("u16", self.reads).done()

    @classmethod
    def parse(cls, payload: bytes) -> Self:
        """From a payload; raises `MalformedError`."""
        reader = Reader(payload)
        request = cls(Region.read(reader), reader.uint("u16", 1))
        reader.end()
        return request


@dataclass(frozen=True, slots=True)
class CellCodes:
    """Reply of READ_CELLS: (rows, columns) codes, summed over the reads."""

    codes: Codes

    def pack(self) -> bytes:
        """Payload."""
        return Writer().put("u32 u32", *self.codes.shape).codes(self.codes).done()

    @classmethod
    def parse(cls, payload: bytes) -> Self:
        """From a payload; raises `MalformedError`."""
        reader = Reader(payload)
        codes = reader.codes(reader.uint("u32"), reader.uint("u32"))
        reader.end()
        return cls(codes)


@dataclass(frozen=True, slots=True)
class CellUsage:
    """Reply of USAGE: pulses (u4) and joules (f8) of every cell, shape (rows, columns)."""

    pulses: NDArray[np.uint32]
    energy_j: NDArray[np.float64]

    def pack(self) -> bytes:
        """Payload."""
        return Writer().put("u32 u32", *self.pulses.shape).array(self.pulses, "u4").array(self.energy_j, "f8").done()

    @classmethod
    def parse(cls, payload: bytes) -> Self:
        """From a payload; raises `MalformedError`."""
        reader = Reader(payload)
        shape = reader.uint("u32"), reader.uint("u32")
        usage = cls(reader.array("u4", *shape), reader.floats("f8", *shape))  # type: ignore[arg-type]
        reader.end()
        return usage
