"""Faults of the array, and wear."""

from __future__ import annotations

from pydantic import model_validator

from firmware_specs.datasheet.section import Fraction, NonNegative, Positive, Section


class Faults(Section):
    """Cells and lines that do not work; which ones is fixed for a specimen's life.

    Attributes:
        stuck_on: Share of cells stuck at `g_max_s`.
        stuck_off: Share of cells stuck at `g_min_s`.
        corrupt: Share of cells that stay at some conductance between `corrupt_low_s` and `corrupt_high_s`.
        corrupt_low_s: Lower end of where corrupt cells are, siemens.
        corrupt_high_s: Upper end, siemens.
        open_rows: Share of rows whose line is broken: no current at all.
        open_columns: The same for columns.
    """

    stuck_on: Fraction = 0.0
    stuck_off: Fraction = 0.0
    corrupt: Fraction = 0.0
    corrupt_low_s: NonNegative | None = None
    corrupt_high_s: NonNegative | None = None
    open_rows: Fraction = 0.0
    open_columns: Fraction = 0.0

    @model_validator(mode="after")
    def _shares(self) -> Faults:
        share = self.stuck_on + self.stuck_off + self.corrupt
        if share > 1:
            raise ValueError(f"stuck_on + stuck_off + corrupt = {share} is more than all cells")
        low, high = self.corrupt_low_s, self.corrupt_high_s
        if self.corrupt and (low is None or high is None or low > high):
            raise ValueError("corrupt needs corrupt_low_s <= corrupt_high_s, where such cells are")
        return self


class Endurance(Section):
    """How often a cell can be written before it stays where it is.

    Attributes:
        cycles: Median number of writes and pulses a cell survives; None: any number.
        spread: Standard deviation of its natural logarithm between cells.
    """

    cycles: Positive | None = None
    spread: NonNegative = 0.0
