"""Takes line and contact resistance out of a measured conductance map, by solving the ladder network it was read in."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
ROUNDS = 30


def remove_wires(raw_s: Array, wire_ohm: float, contact_ohm: float) -> Array:
    """Cell conductances whose ladder network has the measured transfer conductances.

    Args:
        raw_s: (rows, columns), change of a column's current by a row's voltage, all other lines held.
        wire_ohm: Resistance from cell to cell along a line, and from the pad to the first cell.
        contact_ohm: Resistance in series with every pad.

    Returns:
        (rows, columns), siemens; the input where both resistances are 0. Fixed point `g <- g * measured / predicted`.
    """
    if wire_ohm == 0 and contact_ohm == 0:
        return raw_s
    cells = np.maximum(raw_s, 1e-12)
    for _ in range(ROUNDS):
        predicted = transfer(cells, wire_ohm, contact_ohm)
        ratio = np.maximum(raw_s, 1e-12) / np.maximum(predicted, 1e-15)
        cells = cells * ratio
        if np.abs(ratio - 1).max() < 1e-9:
            break
    return cells


def transfer(cells_s: Array, wire_ohm: float, contact_ohm: float) -> Array:
    """Column current per row voltage, (rows, columns), of cells behind wires and contacts, every pad held.

    Dense nodal analysis: a node on each side of every cell; pads are sources behind `contact + wire`.
    """
    rows, columns = cells_s.shape
    count = rows * columns
    wire_s, pad_s = 1 / max(wire_ohm, 1e-9), 1 / (contact_ohm + wire_ohm)
    laplacian = np.zeros((2 * count, 2 * count))
    upper = np.arange(count).reshape(rows, columns)
    lower = upper + count
    _join(laplacian, upper.ravel(), lower.ravel(), cells_s.ravel())
    _join(laplacian, upper[:, :-1].ravel(), upper[:, 1:].ravel(), np.full(rows * (columns - 1), wire_s))
    _join(laplacian, lower[:-1].ravel(), lower[1:].ravel(), np.full((rows - 1) * columns, wire_s))
    row_pads, column_pads = upper[:, 0], lower[0]
    laplacian[row_pads, row_pads] += pad_s
    laplacian[column_pads, column_pads] += pad_s
    drive = np.zeros((2 * count, rows))
    drive[row_pads, np.arange(rows)] = pad_s
    volts = np.linalg.solve(laplacian, drive)
    return pad_s * volts[column_pads].T


def _join(laplacian: Array, one: NDArray[np.int64], other: NDArray[np.int64], g_s: Array) -> None:
    laplacian[one, one] += g_s
    laplacian[other, other] += g_s
    laplacian[one, other] -= g_s
    laplacian[other, one] -= g_s
