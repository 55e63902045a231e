"""Pulses that the cells of a rack's crossbar have had in all sessions, counted before they go out."""

from __future__ import annotations

import numpy as np

from drivers.chip_ledger import ChipLedger
from drivers.errors import BudgetSpent
from firmware_specs.racks import Rack

CROSSBAR = "crossbar"


class Spent:
    """The count of every cell.

    Args:
        rack: Whose crossbar.
        ledger: What its cells have had in earlier sessions, and where that goes on; None: nobody knows.
    """

    def __init__(self, rack: Rack, ledger: ChipLedger | None) -> None:
        self._rack, self._ledger = rack, ledger
        size = (rack.rows, rack.columns)
        self.pulses = np.zeros(size, np.int64) if ledger is None else ledger.had(CROSSBAR, size)[0]

    def charge(self, row: int, column: int, count: int) -> None:
        """Counts pulses of a cell before they go out.

        Raises:
            BudgetSpent: the cell has had its pulses. OutOfRange: the count cannot be kept.
        """
        after, most = int(self.pulses[row, column]) + count, self._rack.limits.pulses_per_cell
        if after > most:
            raise BudgetSpent(
                f"cell ({row}, {column}) would have {after} pulses, the bench allows {most}",
                device=self._rack.name,
                todo="Nothing was sent",
            )
        self.pulses[row, column] = after
        if self._ledger is not None:
            self._ledger.keep(CROSSBAR, self.pulses, np.zeros(self.pulses.shape))
