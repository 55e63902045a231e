"""What the cells of a rack's crossbar have had in all sessions, pulses and energy, counted before it goes out."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from drivers.chip_ledger import ChipLedger
from drivers.errors import BudgetSpent, OutOfRange
from firmware_specs.racks import Rack

CROSSBAR = "crossbar"


class Spent:
    """The count of every cell.

    A pulse heats its cell with at most `V^2 g_max_s` or, beyond that conductance, with what the compliance lets
    through; the other cells of its row and column wait at half the voltage and are heated by a quarter of it.

    Args:
        rack: Whose crossbar.
        ledger: What its cells have had in earlier sessions, and where that goes on; None: nobody knows.

    Attributes:
        pulses: By cell, (rows, columns).
        joules: By cell, at most, (rows, columns).
    """

    def __init__(self, rack: Rack, ledger: ChipLedger | None) -> None:
        self._rack, self._ledger = rack, ledger
        size = (rack.rows, rack.columns)
        self.pulses, self.joules = np.zeros(size, np.int64), np.zeros(size)
        if ledger is not None:
            self.pulses, self.joules = ledger.had(CROSSBAR, size)

    def charge(self, row: int, column: int, count: int, volts: float, width_s: float) -> None:
        """Counts pulses of a cell before they go out.

        Raises:
            BudgetSpent: a cell has had its pulses or its energy. OutOfRange: the count cannot be kept.
        """
        limits = self._rack.limits
        after, heat = (
            int(self.pulses[row, column]) + count,
            self.joules + self._heat(row, column, volts) * count * width_s,
        )
        if after > limits.pulses_per_cell:
            raise self._over((row, column), f"{after} pulses, the bench allows {limits.pulses_per_cell}")
        if limits.energy_per_cell_j is not None and (beyond := np.argwhere(~(heat <= limits.energy_per_cell_j))).size:
            at = (int(beyond[0][0]), int(beyond[0][1]))
            raise self._over(at, f"{heat[at]:g} J, the bench allows {limits.energy_per_cell_j:g}")
        self.pulses[row, column] = after
        self.joules[:] = heat
        if self._ledger is not None:
            self._ledger.keep(CROSSBAR, self.pulses, self.joules)

    def had(self, pulses: NDArray[np.int64], joules: NDArray[np.float64]) -> None:
        """Takes over what somebody else counted; totals never fall.

        Raises:
            OutOfRange: those are no counts of this crossbar.
        """
        if pulses.shape != self.pulses.shape or joules.shape != self.joules.shape or not (joules >= 0).all():
            raise OutOfRange(
                f"counts of shape {pulses.shape} and {joules.shape}: the crossbar has {self.pulses.shape}, and no "
                "energy is below 0",
                device=self._rack.name,
                todo="They are those of another rack",
            )
        np.maximum(self.pulses, pulses, out=self.pulses)
        np.maximum(self.joules, joules, out=self.joules)

    def _heat(self, row: int, column: int, volts: float) -> NDArray[np.float64]:
        """Watts in every cell while a pulse is on one."""
        watts = np.zeros(self.joules.shape)
        watts[row, :] = watts[:, column] = self._watts(volts / 2)
        watts[row, column] = self._watts(volts)
        return watts

    def _watts(self, volts: float) -> float:
        limits = self._rack.limits
        return math.fabs(volts) * min(math.fabs(volts) * limits.g_max_s, limits.current_a)

    def _over(self, cell: tuple[int, int], what: str) -> BudgetSpent:
        text = f"cell ({cell[0]}, {cell[1]}) would have {what}"
        return BudgetSpent(text, device=self._rack.name, todo="Nothing was sent")
