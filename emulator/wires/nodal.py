"""Crossbars as resistor networks, solved exactly (Kirchhoff's current law at every node, sparse LU).

Every line is a chain of nodes, one a cell. Rows are driven at their first column, columns are read at their last row;
between a line's end and its port lie `terminal_ohm` and one segment of wire. Ports are numbered rows first. What a
network does at its ports is its admittance matrix, `I = Y V`: any combination of driven, grounded and floating lines
is then a small dense solve.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from firmware_specs.datasheet.wires import Wires

Floats = NDArray[np.float64]


class FloatingLineError(ValueError):
    """Lines without a path to a source: their voltage is not defined; the message names them."""


def port_admittance(conductance_s: Floats, wires: Wires) -> Floats:
    """Admittance matrix at the ports of a crossbar.

    Args:
        conductance_s: (rows, columns), siemens, none negative.
        wires: Line resistances.

    Returns:
        (rows + columns, rows + columns), siemens; current into port p for 1 V at port q, all others at 0 V.
    """
    rows, columns = conductance_s.shape
    ports = rows + columns
    row_node, after_rows = _line_nodes(rows, columns, wires.row_ohm, wires.terminal_ohm, np.arange(rows), ports)
    column_node, total = _line_nodes(
        columns, rows, wires.column_ohm, wires.terminal_ohm, np.arange(rows, ports), after_rows
    )
    edges = [
        (row_node.ravel(), column_node.T.ravel(), conductance_s.ravel()),
        *_line_edges(row_node, wires.row_ohm, wires.terminal_ohm, np.arange(rows), first=True),
        *_line_edges(column_node, wires.column_ohm, wires.terminal_ohm, np.arange(rows, ports), first=False),
    ]
    a, b, g = (np.concatenate([edge[k] for edge in edges]) for k in range(3))
    from scipy import sparse  # chips without wires do without SciPy, half a second to import
    from scipy.sparse.linalg import splu

    laplacian = sparse.coo_matrix(
        (np.concatenate([g, g, -g, -g]), (np.concatenate([a, b, a, b]), np.concatenate([a, b, b, a]))),
        shape=(total, total),
    ).tocsc()
    outer = laplacian[:ports, :ports].toarray()
    if total == ports:
        return outer
    between = laplacian[ports:, :ports]
    inner = splu(laplacian[ports:, ports:]).solve(between.toarray())
    return outer - between.T @ inner


def transfer(conductance_s: Floats, wires: Wires) -> Floats:
    """Effective conductances, (rows, columns): current out of a grounded column for 1 V at a row, others at 0 V.

    A network of resistors is reciprocal, so the same matrix, transposed, holds with columns driven and rows read.
    """
    rows = conductance_s.shape[0]
    return -port_admittance(conductance_s, wires)[:rows, rows:]


def solve(admittance: Floats, voltages: Mapping[int, float]) -> tuple[Floats, Floats]:
    """Voltages and currents of all ports when some have sources and the others float.

    Args:
        admittance: From `port_admittance`.
        voltages: Volts of the ports that have a source.

    Returns:
        Volts and amperes into the network, one a port; no current enters a floating one.

    Raises:
        FloatingLineError: a floating port has no path to a source.
    """
    ports = len(admittance)
    fixed = np.array(sorted(voltages), dtype=int)
    floating = np.setdiff1d(np.arange(ports), fixed)
    volts = np.zeros(ports)
    volts[fixed] = [voltages[int(p)] for p in fixed]
    if floating.size:
        _refuse_islands(admittance, fixed)
        inner = admittance[np.ix_(floating, floating)]
        volts[floating] = np.linalg.solve(inner, -admittance[np.ix_(floating, fixed)] @ volts[fixed])
    return volts, admittance @ volts


def cell_current(admittance: Floats, rows: int, row: int, column: int, volts: float, unselected: str) -> float:
    """Current out of a column, at 0 V, when one row has a voltage: the cell's, and what sneaks around it.

    Args:
        admittance: From `port_admittance`.
        rows: Number of rows.
        row: The selected cell's.
        column: The selected cell's.
        volts: At the row.
        unselected: `floating`, `grounded` or `half`; lines without any conductance are held at 0 V.
    """
    chosen = {row: volts, rows + column: 0.0}
    idle = {"grounded": 0.0, "half": volts / 2}
    for port in range(len(admittance)):
        if unselected in idle:
            chosen.setdefault(port, idle[unselected])
        elif admittance[port, port] == 0:
            chosen.setdefault(port, 0.0)
    return -float(solve(admittance, chosen)[1][rows + column])


def _line_nodes(
    lines: int, cells: int, ohm: float, terminal_ohm: float, ports: NDArray[np.intp], start: int
) -> tuple[NDArray[np.intp], int]:
    """Node number of every cell of every line, (lines, cells), and the next free number."""
    if ohm:
        return np.arange(start, start + lines * cells).reshape(lines, cells), start + lines * cells
    if terminal_ohm:
        return np.repeat(np.arange(start, start + lines)[:, None], cells, 1), start + lines
    return np.repeat(ports[:, None], cells, 1), start


def _line_edges(
    nodes: NDArray[np.intp], ohm: float, terminal_ohm: float, ports: NDArray[np.intp], first: bool
) -> list[tuple[NDArray[np.intp], NDArray[np.intp], Floats]]:
    """Wires of all lines: from the port to the nearest cell, and from cell to cell."""
    if ohm == 0 and terminal_ohm == 0:
        return []
    nearest = nodes[:, 0] if first else nodes[:, -1]
    edges = [(ports, nearest, np.full(len(ports), 1 / (terminal_ohm + ohm)))]
    if ohm:
        edges.append((nodes[:, :-1].ravel(), nodes[:, 1:].ravel(), np.full(nodes[:, 1:].size, 1 / ohm)))
    return edges


def _refuse_islands(admittance: Floats, fixed: NDArray[np.intp]) -> None:
    from scipy import sparse

    _, island = sparse.csgraph.connected_components(sparse.csr_matrix(admittance != 0), directed=False)
    lost = np.flatnonzero(~np.isin(island, island[fixed]))
    if lost.size:
        names = ", ".join(str(p) for p in lost[:8]) + (" ..." if lost.size > 8 else "")
        raise FloatingLineError(f"no path to a source from line(s) {names} (rows are numbered first, then columns)")
