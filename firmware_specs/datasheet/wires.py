"""Wires of the crossbar."""

from __future__ import annotations

from typing import Literal

from firmware_specs.datasheet.section import NonNegative, Section


class Wires(Section):
    """Resistance of the lines, and what holds a cell that is not addressed.

    Attributes:
        row_ohm: Resistance of a row's wire between neighbouring cells.
        column_ohm: The same of a column's.
        terminal_ohm: Resistance between a line's end and its driver or summing node.
        method: How a settle accounts for it. `ladder`: fast, exact where only rows or only columns have resistance;
            `exact`: a nodal solve whenever conductances change, for arrays of at most `EXACT_CELLS` cells.
        unselected: Lines of a passive array while one cell is measured: `isolated` (a selector in every cell, no
            sneak paths), `floating`, `grounded`, or `half` (at half the read voltage).
    """

    row_ohm: NonNegative = 0.0
    column_ohm: NonNegative = 0.0
    terminal_ohm: NonNegative = 0.0
    method: Literal["ladder", "exact"] = "ladder"
    unselected: Literal["isolated", "floating", "grounded", "half"] = "isolated"

    @property
    def ideal(self) -> bool:
        """True where lines have no resistance."""
        return self.row_ohm == 0 and self.column_ohm == 0 and self.terminal_ohm == 0


EXACT_CELLS = 16384
"""Largest array, rows times columns, that is solved exactly."""
