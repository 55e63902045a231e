"""Which cells work: what the first look found is kept beside every later measurement, and what is broken left out.

Every dataset has a variable `health`, one number a cell, so that figures are the same whoever concludes them again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import xarray as xr

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]
Codes = NDArray[np.int8]

GOOD, STUCK_LOW, STUCK_HIGH, DEAD_LINE = range(4)
MEANINGS = ("good", "stuck_low", "stuck_high", "dead_line")
FOLLOWS = 0.3
"""A cell follows what is written where it moves by at least this share of what the median cell moves."""
DEAD = 0.9
"""A line is dead where this share of its cells does not follow, and at least `LEAST` of them."""
LEAST = 4
BALANCED = 0.1
"""Levels by which a stuck cell and its partner may differ: what is left is known, and belongs to the gain."""
ATTRIBUTES: dict[str, Any] = {
    "long_name": "what the first look found of each cell",
    "units": "1",
    "flag_values": list(range(4)),
    "flag_meanings": " ".join(MEANINGS),
}


def classify(low: Array, high: Array) -> Codes:
    """Health of cells from what they read after a low and a high level was written, each (planes, rows, columns).

    Lines are found on one plane at a time: planes have their own.
    """
    moved = high - low
    usual = float(np.median(moved[np.isfinite(moved)])) if np.isfinite(moved).any() else 0.0
    lost = ~(moved > FOLLOWS * max(usual, 0.0))
    stuck = np.where((low + high) / 2 > 0.5, STUCK_HIGH, STUCK_LOW)
    found = np.where(lost, stuck, GOOD).astype(np.int8)
    for plane, row in dead_lines(lost, 2):
        found[plane, row] = np.where(lost[plane, row], DEAD_LINE, found[plane, row])
    for plane, column in dead_lines(lost, 1):
        found[plane, :, column] = np.where(lost[plane, :, column], DEAD_LINE, found[plane, :, column])
    return found


def dead_lines(lost: Mask, along: int) -> list[tuple[int, int]]:
    """Plane and number of the lines whose cells are lost; `along` the axis of a line's cells, 2 for rows."""
    count = lost.sum(axis=along)
    return [(int(p), int(n)) for p, n in np.argwhere((count >= DEAD * lost.shape[along]) & (count >= LEAST))]


def of(data: xr.Dataset) -> Codes:
    """Health of the cells of a dataset, (planes, rows, columns); all good where nobody looked."""
    if "health" in data:
        return np.asarray(data["health"].to_numpy(), np.int8)
    return np.zeros(tuple(data.sizes.get(name, 1) for name in ("plane", "row", "column")), np.int8)


def good(data: xr.Dataset) -> Mask:
    """Cells that work, (planes, rows, columns)."""
    return np.asarray(of(data) == GOOD)


def looked(data: xr.Dataset) -> bool:
    """Did anybody look?"""
    return "health" in data


def good_rows(data: xr.Dataset) -> Mask:
    """Units of the first layer none of whose cells is held away from rest, (rows,)."""
    return np.asarray(~(of(data) == STUCK_HIGH).any(axis=(0, 2)))


def balanced_rows(data: xr.Dataset) -> Mask:
    """Units of the first layer without a cell stuck high that its partner, as read at `rest`, does not cancel."""
    stuck = of(data) == STUCK_HIGH
    if "rest" not in data or len(stuck) < 2:
        return good_rows(data)
    rest = data["rest"].to_numpy()[0]
    unlike = np.abs(rest - partners(rest)) > BALANCED
    return np.asarray(~(stuck & unlike).any(axis=(0, 2)))


def partners(planes: NDArray[Any]) -> NDArray[Any]:
    """What the other cell of every pair has, as `planes`, (planes, ...): planes 2n and 2n + 1 are a pair."""
    return planes[np.arange(len(planes)) ^ 1]


def left_out(data: xr.Dataset) -> str:
    """What was left out of figures of cells, in words; empty where nothing was."""
    codes = of(data)
    counts = [(int((codes == n).sum()), name.replace("_", " ")) for n, name in enumerate(MEANINGS) if n != GOOD]
    listed = ", ".join(f"{count} {name}" for count, name in counts if count)
    return f"without {int((codes != GOOD).sum())} of {codes.size} cells ({listed})" if listed else ""
