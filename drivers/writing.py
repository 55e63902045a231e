"""Which cells a programming step has to write, and how they travel."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from firmware_specs.messages import Patch, Region, WriteCells, code_dtype

OVERHEAD = 64
"""Bytes of a request and of one patch besides codes and positions, at most."""


@dataclass(frozen=True)
class Programmed:
    """What programming did: cells of the array, cells written, pulses they took, cells outside the tolerance."""

    cells: int
    written: int
    pulses: int
    failed: int


@dataclass(frozen=True)
class Change:
    """Cells of one plane that change.

    Attributes:
        coupling: Which coupling.
        plane: Which plane.
        shape: Rows and columns of the plane.
        positions: Row-major positions of the cells, rising.
        codes: What they become.
    """

    coupling: int
    plane: int
    shape: tuple[int, int]
    positions: NDArray[np.int64]
    codes: NDArray[np.int64]

    def patch(self, array: int, max_code: int) -> Patch:
        """As the protocols carry it: a whole plane without positions."""
        rows, columns = self.shape
        region = Region(array, self.coupling, self.plane, 0, rows, 0, columns)
        codes = self.codes.astype(code_dtype(max_code))
        if codes.size == rows * columns:
            return Patch(region, codes.reshape(rows, columns))
        return Patch(region, codes, self.positions.astype(np.uint32))


def changed_cells(known: Sequence[NDArray[np.int64]], wanted: Sequence[NDArray[np.int64]]) -> list[Change]:
    """Planes with cells whose code differs, that is, whose target moved by more than half a code.

    Args:
        known: Codes last written, (planes, rows, columns) a coupling; -1 where not known.
        wanted: Codes to reach, the same shapes.
    """
    changes = []
    for coupling, (old, new) in enumerate(zip(known, wanted, strict=True)):
        for plane in range(len(new)):
            target = new[plane].reshape(-1)
            positions = np.flatnonzero(old[plane].reshape(-1) != target)
            if positions.size:
                shape = (new.shape[1], new.shape[2])
                changes.append(Change(coupling, plane, shape, positions, target[positions]))
    return changes


def cell_bytes(max_code: int) -> int:
    """Bytes of a cell's code and position."""
    return code_dtype(max_code).itemsize + 4


def write_requests(
    array: int,
    changes: Sequence[Change],
    max_code: int,
    max_bytes: int,
    most_cells: int,
    verify: int,
    tolerance: float,
) -> Iterator[tuple[WriteCells, list[Change]]]:
    """One request for all changes where the device takes it, else as few as possible, and the changes each holds.

    One cell fits: the caller has made sure.
    """
    each = cell_bytes(max_code)
    part: list[Change] = []
    room, cells = max_bytes - OVERHEAD, most_cells
    for change in changes:
        start = 0
        while start < change.positions.size:
            take = min(change.positions.size - start, max(0, room - OVERHEAD) // each, cells)
            if take <= 0:
                yield WriteCells(array, tuple(c.patch(array, max_code) for c in part), verify, tolerance), part
                part, room, cells = [], max_bytes - OVERHEAD, most_cells
                continue
            piece = slice(start, start + take)
            part.append(
                Change(change.coupling, change.plane, change.shape, change.positions[piece], change.codes[piece])
            )
            room -= OVERHEAD + take * each
            cells -= take
            start += take
    if part:
        yield WriteCells(array, tuple(c.patch(array, max_code) for c in part), verify, tolerance), part
