"""UPDATE: the device moves its cells by the contrast of two phases (PROTOCOL.md 7.10)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, Self

import numpy as np

from firmware_specs.messages.packing import Codes, Floats, MalformedError, Reader, Writer

MAX_PHASES = 3
"""The free one and two nudged ones."""
MAX_TERMS = 4
"""Products of two phases that one update may add up, at most."""


class Term(NamedTuple):
    """Two phases that are contrasted, the free one being 0, and which way cells move by it."""

    first: int
    second: int
    up: bool = True


@dataclass(frozen=True, slots=True)
class Update:
    """Request of UPDATE.

    Attributes:
        array: Which array.
        drive: Drive DAC codes, shape (batch, units of layer 0 or source nodes).
        nudges: Nudge DAC codes of each nudged phase, each (batch, units of the last layer); at most 2.
        terms: What is contrasted, 1 to 4.
        windows_s: How long the circuits are on for each sample and term, (batch,) f4, seconds.
        time_s: Wait of one phase; 0: the usual one.
    """

    array: int
    drive: Codes
    nudges: tuple[Codes, ...]
    terms: tuple[Term, ...]
    windows_s: Floats
    time_s: float = 0.0

    def pack(self) -> bytes:
        """Payload."""
        writer = Writer().put(
            "u16 u8 u32 f64 u8", self.array, len(self.nudges), len(self.drive), self.time_s, len(self.terms)
        )
        writer.array(np.array(self.terms, np.uint8), "u1").array(self.windows_s, "f4")
        for block in (self.drive, *self.nudges):
            writer.block(block)
        return writer.done()

    @classmethod
    def parse(cls, payload: bytes) -> Self:
        """From a payload; raises `MalformedError`."""
        reader = Reader(payload)
        array, nudges, batch = reader.uint("u16"), reader.uint("u8", 0, MAX_PHASES - 1), reader.uint("u32", 1)
        time_s = _not_negative(reader, np.array(reader.number()), reader.offset - 8)
        count = reader.uint("u8", 1, MAX_TERMS)
        at = reader.offset
        rows = reader.array("u1", count, 3).astype(np.int64)
        if (rows > np.array((nudges, nudges, 1))).any():
            raise MalformedError(at, f"terms name phases 0 .. {nudges} and a polarity of 0 or 1")
        at = reader.offset
        windows_s = _not_negative(reader, reader.floats("f4", batch), at)
        drive, *rest = (reader.block(batch) for _ in range(1 + nudges))
        reader.end()
        terms = tuple(Term(int(first), int(second), bool(up)) for first, second, up in rows)
        return cls(array, drive, tuple(rest), terms, windows_s, float(time_s))


@dataclass(frozen=True, slots=True)
class Updated:
    """Reply of UPDATE.

    Attributes:
        clipped: Cells, samples and terms of which the circuit came to its limit.
        ends: Cells of the array at either end of their range now.
        unsettled: Samples and phases that did not settle.
        most: Largest pulse total any of its cells has now.
    """

    clipped: int
    ends: int
    unsettled: int
    most: int

    def pack(self) -> bytes:
        """Payload."""
        return Writer().put("u64 u64 u32 u32", self.clipped, self.ends, self.unsettled, self.most).done()

    @classmethod
    def parse(cls, payload: bytes) -> Self:
        """From a payload; raises `MalformedError`."""
        reader = Reader(payload)
        updated = cls(reader.uint("u64"), reader.uint("u64"), reader.uint("u32"), reader.uint("u32"))
        reader.end()
        return updated


def _not_negative(reader: Reader, seconds: Floats, at: int) -> Floats:
    if (seconds < 0).any():
        raise MalformedError(at, f"{seconds.min()} s, expected 0 or more")
    return seconds
