"""The common form of what others measured: one row a reading, quantities in SI units."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Kind = Literal["ramps", "reads", "retention", "writes", "resets"]
Array = NDArray[np.float64]

KINDS: Mapping[str, str] = {
    "ramps": "pulse response: cells are read after pulses of one polarity",
    "reads": "repeated reads: cells that nobody touches are read again and again",
    "retention": "retention: cells are read at growing times since they were written",
    "writes": "write-verify logs: a target, and what was read after each attempt",
    "resets": "resets: a pulse of some height takes a cell somewhere, whatever it was",
}

UNITS: Mapping[str, str] = {
    "conductance": "S",
    "time": "s",
    "pulse": "1",
    "polarity": "1",
    "amplitude": "V",
    "width": "s",
    "target": "S",
    "temperature": "K",
    "cycle": "1",
}
"""Columns beside `cell`, and their units."""

NEEDED: Mapping[str, tuple[str, ...]] = {
    "ramps": ("pulse", "polarity"),
    "reads": ("time",),
    "retention": ("time",),
    "writes": ("target",),
    "resets": ("amplitude",),
}
"""Columns without which a kind says nothing, beside `conductance`."""


class ImportRefused(ValueError):
    """A table that cannot be taken; the message names file and line."""


@dataclass(frozen=True)
class Readings:
    """Readings of one kind.

    Attributes:
        kind: What was done with the cells.
        cell: Number of the cell of every reading, from 0, int64.
        columns: The other quantities, float64, each as long as `cell`; names of `UNITS`, those not measured left out.
        labels: What the source calls the cells, by number.
        source: What is known of where the table comes from, as the report is to say it.
    """

    kind: Kind
    cell: NDArray[np.int64]
    columns: Mapping[str, Array]
    labels: tuple[str, ...] = ()
    source: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        missing = [name for name in ("conductance", *NEEDED[self.kind]) if name not in self.columns]
        if missing:
            raise ImportRefused(f"{self.kind} need the column{'s' * (len(missing) > 1)} {', '.join(missing)}")
        unknown = [name for name in self.columns if name not in UNITS]
        if unknown:
            raise ImportRefused(f"unknown column {unknown[0]}; there are {', '.join(UNITS)}")
        wrong = [name for name, values in self.columns.items() if len(values) != len(self.cell)]
        if wrong or len(self.cell) == 0:
            raise ImportRefused(f"{wrong[0]}: not as long as the others" if wrong else "no reading in it")

    def __len__(self) -> int:
        return len(self.cell)

    @property
    def conductance_s(self) -> Array:
        """What was read, siemens."""
        return self.columns["conductance"]

    @property
    def cells(self) -> int:
        """How many cells."""
        return int(self.cell.max()) + 1

    def where(self, chosen: NDArray[np.bool_] | NDArray[np.int64]) -> Readings:
        """Some of the readings; cells keep their numbers."""
        columns = {name: values[chosen] for name, values in self.columns.items()}
        return Readings(self.kind, self.cell[chosen], columns, self.labels, self.source)

    def between(self, low_s: float, high_s: float) -> Readings:
        """Cells whose first reading is within limits.

        Raises:
            ImportRefused: there is none.
        """
        cells, first = np.unique(self.cell, return_index=True)
        inside = (self.conductance_s[first] >= low_s) & (self.conductance_s[first] <= high_s)
        if not inside.any():
            raise ImportRefused(f"no cell begins between {low_s:g} and {high_s:g} S")
        kept = self.where(np.isin(self.cell, cells[inside]))
        source = dict(self.source) | {"taken": f"cells that begin between {low_s:g} and {high_s:g} S"}
        return Readings(kept.kind, kept.cell, kept.columns, kept.labels, source)


def numbered(labels: list[str]) -> tuple[NDArray[np.int64], tuple[str, ...]]:
    """Numbers of the cells by their labels, in the order of first appearance."""
    known: dict[str, int] = {}
    numbers = np.array([known.setdefault(label, len(known)) for label in labels], dtype=np.int64)
    return numbers, tuple(known)
