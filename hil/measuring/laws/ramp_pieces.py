"""Where there are few ramps, pieces of them stand for independent units."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hil.measuring.imports.readings import Readings
from hil.measuring.laws.samples import Ramps

PIECE = 50
"""Readings of a piece of a ramp: several times as long as noise of published cells outlives a pulse."""

LEAST = 8
"""Pieces a ramp is cut in at least, so that both halves of them meet all levels."""

FEW = 6
"""Fewer ramps than this are cut in pieces."""


def units(ramps: Ramps) -> Ramps:
    """Pieces of the ramps, where there are few of them."""
    if len(ramps.x) >= FEW:
        return ramps
    count = _count(ramps.x.shape[1])
    pieces = [np.array_split(np.stack([x, k]), count, axis=1) for x, k in zip(ramps.x, ramps.pulses, strict=True)]
    flat = [piece for row in pieces for piece in row if np.isfinite(piece[0]).sum() > 3]
    longest = max(piece.shape[1] for piece in flat)
    x, k = np.full((len(flat), longest), np.nan), np.zeros((len(flat), longest))
    for number, piece in enumerate(flat):
        x[number, : piece.shape[1]], k[number, : piece.shape[1]] = piece
    return Ramps(x, k, np.zeros(len(flat), dtype=np.int64), ramps.up, ramps.amplitude_v, ramps.width_s)


def pieces(readings: Readings) -> Readings:
    """Ramps of very few cells cut in pieces of `PIECE` readings, each as a cell of its own."""
    order = np.lexsort((readings.columns["pulse"], -readings.columns["polarity"], readings.cell))
    cut = readings.where(order)
    key = np.stack([cut.cell, cut.columns["polarity"], cut.columns.get("cycle", np.zeros(len(cut)))], axis=1)
    _, ramp = np.unique(key, axis=0, return_inverse=True)
    ramp = ramp.ravel()
    number = np.zeros(len(cut), dtype=np.int64)
    total = 0
    for one in dict.fromkeys(ramp.tolist()):
        rows = np.flatnonzero(ramp == one)
        parts = np.array_split(np.arange(len(rows)), _count(len(rows)))
        for part in parts:
            number[rows[part]] = total
            total += 1
    return Readings("ramps", number, cut.columns, (), cut.source)


def alternate(count: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Every other piece: neighbours are on different sides, so that no side has levels of its own."""
    return np.arange(0, count, 2), np.arange(1, count, 2)


def _count(readings: int) -> int:
    """Pieces of a ramp of so many readings."""
    return max(round(readings / PIECE), min(LEAST, readings // 6), 2)
