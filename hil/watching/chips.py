"""What chips did over their lives: the counts that every session of a driver adds to, whatever opened it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from drivers import deed_file
from drivers.chip_ledger import ChipLedger, ledger_folder
from drivers.errors import OutOfRange
from firmware_specs.datasheet.energy import Energy
from firmware_specs.deeds import Deeds
from hil.watching.ledger import joules

__all__ = ["Life", "ledger_folder", "lives"]


@dataclass(frozen=True)
class Life:
    """A chip's life as this computer knows it.

    Attributes:
        name: Vendor, model and serial number, as far as a file name takes them.
        total: All that sessions from here asked of it.
        doubtful: Requests that count as done though nobody knows.
        most_pulses: Pulses and writes of its busiest cell; None where nobody counted them cell by cell.
        most_energy_j: Joules of the cell that had most.
        cells_j: Joules of all pulses and writes.
        damaged: Why a file of it does not read; empty where all do.
    """

    name: str
    total: Deeds
    doubtful: int = 0
    most_pulses: int | None = None
    most_energy_j: float | None = None
    cells_j: float | None = None
    damaged: str = ""

    def joules(self, figures: Energy) -> dict[str, float | None]:
        """By part, by a datasheet's figures; None where one is missing."""
        return {"pulses and writes, in the cells": self.cells_j, **joules(self.total, figures)}

    def document(self, figures: Energy) -> dict[str, Any]:
        """As JSON values, joules by a datasheet's figures."""
        return {
            "counts": self.total.document(), "doubtful_requests": self.doubtful, "joules": self.joules(figures),
            "most_pulses_of_a_cell": self.most_pulses, "most_energy_of_a_cell_j": self.most_energy_j,
            "damaged": self.damaged or None,
        }  # fmt: skip


def lives(part: str | None = None) -> list[Life]:
    """Chips that were ever opened from here, or those with some text in their name."""
    folder, found = ledger_folder(), []
    for path in sorted(folder.glob("*.deeds")) if folder.is_dir() else []:
        name = path.stem.rpartition("-")[0]
        if part is not None and part.lower().replace(" ", "-") not in name.lower():
            continue
        try:
            total, doubtful = deed_file.read(path)
            cells = path.with_suffix(".safetensors")
            sums = ChipLedger.of_file(cells).sums if cells.is_file() else (None, None, None)
            found.append(Life(name, total, doubtful, *sums))
        except (OSError, deed_file.DamagedDeeds, OutOfRange) as error:
            found.append(Life(name, Deeds(), damaged=str(error)))
    return found
