"""COINCIDE: pulses on rows and columns, which move the cells where they meet (PROTOCOL.md 7.11)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from firmware_specs.messages.cells import Region
from firmware_specs.messages.packing import MalformedError, Reader, Writer

SLOTS_OF_A_TRAIN = 65_535
"""At most."""
Bits = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Train:
    """Slots in which some rows and some columns of a region are pulsed.

    Attributes:
        region: Where; its array is the request's.
        up: Towards g_max, else towards g_min.
        rows: (slots, rows), True where the row is pulsed.
        columns: (slots, columns).
    """

    region: Region
    up: bool
    rows: Bits
    columns: Bits

    @property
    def slots(self) -> int:
        """Its slots."""
        return len(self.rows)

    @property
    def counts(self) -> NDArray[np.int64]:
        """Pulses that every cell gets, (rows, columns)."""
        return np.rint(self.rows.T.astype(np.float64) @ self.columns.astype(np.float64)).astype(np.int64)

    @property
    def half_selected(self) -> NDArray[np.int64]:
        """Slots in which one line alone of a cell is pulsed, (rows, columns)."""
        by_line = self.rows.sum(0, dtype=np.int64)[:, None] + self.columns.sum(0, dtype=np.int64)
        return np.asarray(by_line - 2 * self.counts)

    @property
    def numbers(self) -> tuple[int, ...]:
        """Coupling, plane, polarity, row, rows, column, columns, slots: what stands before the bits."""
        r = self.region
        return (r.coupling, r.plane, int(self.up), r.row, r.rows, r.column, r.columns, self.slots)

    @property
    def bits(self) -> bytes:
        """Of the rows in every slot, then of the columns."""
        return _packed(self.rows) + _packed(self.columns)

    @classmethod
    def read(cls, reader: Reader, array: int, numbers: Iterable[int]) -> Self:
        """The bits of a train from the reader's place on."""
        coupling, plane, up, row, rows, column, columns, slots = numbers
        region = Region(array, coupling, plane, row, rows, column, columns)
        return cls(region, bool(up), _unpacked(reader, slots, rows), _unpacked(reader, slots, columns))


@dataclass(frozen=True, slots=True)
class Coincide:
    """Request of COINCIDE: trains in their order.

    Attributes:
        array: Which array.
        amplitude_v: What a cell sees where both of its lines are pulsed, volts, positive.
        width_s: Width of a pulse, seconds, positive.
        trains: At least one.
    """

    array: int
    amplitude_v: float
    width_s: float
    trains: tuple[Train, ...]

    @property
    def slots(self) -> int:
        """Of all trains."""
        return sum(train.slots for train in self.trains)

    @property
    def pulses(self) -> int:
        """That cells get, all trains together."""
        return sum(int(train.counts.sum()) for train in self.trains)

    def totals(self, cells: Callable[[int], tuple[int, int]]) -> dict[Region, NDArray[np.int64]]:
        """Of all trains together, by whole planes: pulses that cells get and slots in which they are half-selected.

        Args:
            cells: Rows and columns of a coupling of the array.

        Returns:
            (2, rows, columns) of every plane that has trains.
        """
        found: dict[Region, NDArray[np.int64]] = {}
        for train in self.trains:
            rows, columns = cells(train.region.coupling)
            plane = Region(self.array, train.region.coupling, train.region.plane, 0, rows, 0, columns)
            sums = found.setdefault(plane, np.zeros((2, rows, columns), np.int64))
            sums[0][train.region.slices] += train.counts
            sums[1][train.region.slices] += train.half_selected
        return found

    def pack(self) -> bytes:
        """Payload."""
        writer = Writer().put("u16 f64 f64 u16", self.array, self.amplitude_v, self.width_s, len(self.trains))
        for train in self.trains:
            writer.put("u16 u8 u8 u32 u32 u32 u32 u32", *train.numbers).raw(train.bits)
        return writer.done()

    @classmethod
    def parse(cls, payload: bytes) -> Self:
        """From a payload; raises `MalformedError`."""
        reader = Reader(payload)
        array, amplitude_v, width_s = reader.uint("u16"), reader.positive(), reader.positive()
        trains = []
        for _ in range(reader.uint("u16", 1)):
            head = reader.uint("u16"), reader.uint("u8"), int(reader.flag())
            place = tuple(reader.uint("u32", lowest) for lowest in (0, 1, 0, 1, 1))
            trains.append(Train.read(reader, array, (*head, *place)))
        reader.end()
        return cls(array, amplitude_v, width_s, tuple(trains))


def _packed(bits: Bits) -> bytes:
    return np.packbits(bits, axis=1, bitorder="little").tobytes()


def _unpacked(reader: Reader, slots: int, lines: int) -> Bits:
    at, width = reader.offset, -(-lines // 8)
    packed: NDArray[np.uint8] = reader.array("u1", slots, width)  # type: ignore[assignment]
    spare = width * 8 - lines
    if spare and (packed[:, -1] >> (8 - spare)).any():
        raise MalformedError(at, f"bits beyond the last of {lines} lines are 1")
    return np.unpackbits(packed, axis=1, count=lines, bitorder="little").astype(np.bool_)
