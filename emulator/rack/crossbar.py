"""The bare crossbar behind a virtual rack: conductances that pulses move, wires with resistance, bad cells."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_matrix
from scipy.sparse.linalg import splu

from emulator.rack.stand import ROOM_K
from firmware_specs.racks.dut import Dut
from firmware_specs.racks.limits import RackLimits

Array = NDArray[np.float64]


class BareCrossbar:
    """Passive cells between row and column lines; each line has one pad, at row start and column top.

    Args:
        rows: Row lines.
        columns: Column lines.
        dut: What it is made of.
        limits: Range of the conductances.
    """

    def __init__(self, rows: int, columns: int, dut: Dut, limits: RackLimits) -> None:
        self.rows, self.columns, self.dut = rows, columns, dut
        self.g_min_s, self.g_max_s = limits.g_min_s, limits.g_max_s
        draw = np.random.default_rng([dut.seed, 1])
        spread = draw.uniform(self.g_min_s, self.g_max_s, (rows, columns))
        self.g_s: Array = spread if dut.initial == "spread" else np.full((rows, columns), self.g_min_s)
        lot = draw.uniform(size=(rows, columns))
        self.stuck = lot < dut.stuck
        self.dead = (lot >= dut.stuck) & (lot < dut.stuck + dut.open)
        self.g_s[self.stuck] = draw.uniform(self.g_min_s, self.g_max_s, (rows, columns))[self.stuck]
        self.g_s[self.dead] = 0.0
        self._pulses = np.random.default_rng([dut.seed, 2])
        self._kelvin = ROOM_K
        self._admittance: Array | None = None
        self._internal: Array | None = None

    def write(self, g_s: Array) -> None:
        """Sets conductances directly, as a test does; bad cells keep theirs."""
        self.g_s = np.where(self.stuck | self.dead, self.g_s, np.asarray(g_s, dtype=np.float64))
        self._admittance = None

    def warm(self, kelvin: float) -> bool:
        """Takes the cells to a temperature; True where that changes them."""
        changed = abs(kelvin - self._kelvin) > 1e-3
        if changed:
            self._kelvin, self._admittance = kelvin, None
        return changed

    def admittance(self) -> Array:
        """Port matrix: currents into the pads for pad voltages, rows first, (rows + columns) squared, siemens."""
        if self._admittance is None:
            factor = max(0.0, 1 + self.dut.temperature_coefficient_per_k * (self._kelvin - ROOM_K))
            present = self.g_s if factor == 1.0 else self.g_s * factor
            self._admittance = self._ideal(present) if self.dut.wire_ohm == 0 else self._wired(present)
        return self._admittance

    def cell_volts(self, pads: Array) -> Array:
        """Voltage across every cell, row minus column, for pad voltages."""
        if self.dut.wire_ohm == 0:
            return pads[: self.rows, None] - pads[None, self.rows :]
        self.admittance()
        assert self._internal is not None  # noqa: S101 - made with the admittance
        nodes = (self._internal @ pads).reshape(2, self.rows, self.columns)
        return nodes[0] - nodes[1]

    def expose(self, pads: Array, seconds: float) -> tuple[float, bool]:
        """Lets pad voltages act for a time; returns the largest cell voltage, and whether a cell changed.

        A cell moves the fraction `1 - (1 - step)^(V_over * t / 100 us)` of what is left to the end of its range,
        upwards where the row is positive, and keeps its conductance below the threshold.
        """
        volts = self.cell_volts(pads)
        over = np.abs(volts) - self.dut.threshold_v
        moving = (over > 0) & ~self.stuck & ~self.dead
        changes = seconds > 0 and bool(moving.any())
        if changes:
            exponent = np.where(moving, over, 0.0) * (seconds / 1e-4) * -math.log1p(-min(self.dut.pulse_step, 0.999))
            noise = np.clip(1 + self.dut.pulse_noise * self._pulses.standard_normal(volts.shape), 0.0, 2.0)
            fraction = np.clip((1 - np.exp(-exponent)) * noise, 0.0, 1.0)
            end = np.where(volts > 0, self.g_max_s, self.g_min_s)
            self.g_s = np.where(moving, self.g_s + fraction * (end - self.g_s), self.g_s)
            self._admittance = None
        return float(np.abs(volts).max()), changes

    def _ideal(self, g_s: Array) -> Array:
        y = np.zeros((self.rows + self.columns,) * 2)
        y[: self.rows, self.rows :] = -g_s
        y[self.rows :, : self.rows] = -g_s.T
        np.fill_diagonal(y, np.concatenate([g_s.sum(1), g_s.sum(0)]))
        return y

    def _wired(self, g_s: Array) -> Array:
        """Schur complement of the full ladder network onto its pads."""
        rows, columns, g_wire = self.rows, self.columns, 1 / self.dut.wire_ohm
        cells = rows * columns
        grid = np.arange(cells).reshape(rows, columns)
        pads = 2 * cells + np.arange(rows + columns)
        edges = [
            (grid.ravel(), (grid + cells).ravel(), np.maximum(g_s, 1e-15).ravel()),
            (grid[:, :-1].ravel(), grid[:, 1:].ravel(), np.full(rows * (columns - 1), g_wire)),
            ((grid + cells)[:-1].ravel(), (grid + cells)[1:].ravel(), np.full((rows - 1) * columns, g_wire)),
            (grid[:, 0], pads[:rows], np.full(rows, g_wire)),
            (grid[0] + cells, pads[rows:], np.full(columns, g_wire)),
        ]
        a = np.concatenate([e[0] for e in edges])
        b = np.concatenate([e[1] for e in edges])
        g = np.concatenate([e[2] for e in edges])
        size = 2 * cells + rows + columns
        i, j, v = np.concatenate([a, b, a, b]), np.concatenate([a, b, b, a]), np.concatenate([g, g, -g, -g])
        full = coo_matrix((v, (i, j)), shape=(size, size)).tocsc()
        inside, ports = slice(0, 2 * cells), slice(2 * cells, size)
        coupling = full[inside, ports].toarray()
        self._internal = -splu(full[inside, inside]).solve(coupling)
        admittance: Array = full[ports, ports].toarray() + full[ports, inside] @ self._internal
        return (admittance + admittance.T) / 2
