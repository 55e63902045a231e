"""Where there are few ramps, pieces of them stand for independent units."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hil.measuring.imports.readings import Readings

PIECE = 50
"""Readings of a piece of a ramp: several times as long as noise of published cells outlives a pulse."""

LEAST = 8
"""Pieces a ramp is cut in at least, so that both halves of them meet all levels."""

FEW = 6
"""Fewer ramps than this are cut in pieces."""


def pieces(readings: Readings) -> tuple[Readings, NDArray[np.int64]]:
    """Ramps of very few cells cut in pieces of `PIECE` readings, each as a cell of its own; and which row each was."""
    order = np.lexsort((readings.columns["pulse"], -readings.columns["polarity"], readings.cell))
    cut = readings.where(order)
    key = np.stack([cut.cell, cut.columns["polarity"], cut.columns.get("cycle", np.zeros(len(cut)))], axis=1)
    _, ramp = np.unique(key, axis=0, return_inverse=True)
    ramp = ramp.ravel()
    number = np.zeros(len(cut), dtype=np.int64)
    total = 0
    for one in dict.fromkeys(ramp.tolist()):
        rows = np.flatnonzero(ramp == one)
        parts = np.array_split(np.arange(len(rows)), count(len(rows)))
        for part in parts:
            number[rows[part]] = total
            total += 1
    return Readings("ramps", number, cut.columns, (), cut.source), order


def alternate(count: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Every other piece: neighbours are on different sides, so that no side has levels of its own."""
    return np.arange(0, count, 2), np.arange(1, count, 2)


def count(readings: int) -> int:
    """Pieces of a ramp of so many readings."""
    return max(round(readings / PIECE), min(LEAST, readings // 6), 2)
