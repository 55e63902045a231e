"""What chips did over their lives: the counts that every session of a driver adds to, whatever opened it."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

from drivers import deed_file
from drivers.chip_ledger import ChipLedger, ledger_folder
from drivers.errors import OutOfRange
from firmware_specs.datasheet import load
from firmware_specs.datasheet.energy import Energy
from firmware_specs.deeds import Deeds
from hil.watching.ledger import joules

__all__ = ["Life", "figures", "ledger_folder", "lives"]


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
        since: When the count began, seconds since 1970; None where that is not known.
        damaged: Why a file of it does not read; empty where all do.
    """

    name: str
    total: Deeds
    doubtful: int = 0
    most_pulses: int | None = None
    most_energy_j: float | None = None
    cells_j: float | None = None
    since: float | None = None
    damaged: str = ""

    def joules(self, figures: Energy) -> dict[str, float | None]:
        """By part, by a datasheet's figures; None where one is missing."""
        acts = self.total.pulses_up + self.total.pulses_down + self.total.written
        cells_j = None if acts and not self.cells_j else self.cells_j
        return {"pulses and writes, in the cells": cells_j, **joules(self.total, figures)}

    def worn_at(self, endurance: float | None) -> float | None:
        """When the busiest cell reaches an endurance at the mean rate of its life, seconds since 1970; None: not
        known."""
        seconds = 0.0 if self.since is None else time.time() - self.since
        if endurance is None or not self.most_pulses or seconds <= 0:
            return None
        return time.time() + (endurance - self.most_pulses) * seconds / self.most_pulses

    def document(self, figures: Energy, endurance: float | None = None) -> dict[str, Any]:
        """As JSON values, joules by a datasheet's figures, wear by its endurance."""
        return {
            "counts": self.total.document(), "doubtful_requests": self.doubtful, "joules": self.joules(figures),
            "most_pulses_of_a_cell": self.most_pulses, "most_energy_of_a_cell_j": self.most_energy_j,
            "since": self.since, "endurance": endurance, "endurance_reached_at": self.worn_at(endurance),
            "damaged": self.damaged or None,
        }  # fmt: skip


def figures(datasheet: str | None) -> tuple[Energy, float | None]:
    """Energy and endurance as a datasheet has them, by its shipped name or file; none where it is None."""
    if datasheet is None:
        return Energy(), None
    sheet = load(datasheet)
    return sheet.energy, sheet.endurance.cycles


def lives(part: str | None = None) -> list[Life]:
    """Chips that were ever opened from here, or those with some text in their name."""
    folder, found = ledger_folder(), []
    for path in sorted(folder.glob("*.deeds")) if folder.is_dir() else []:
        name = path.stem.rpartition("-")[0]
        if part is not None and part.lower().replace(" ", "-") not in name.lower():
            continue
        try:
            total, doubtful = deed_file.read(path)
            with deed_file.DeedFile(path, read_only=True) as file:
                since = file.since
            cells = path.with_suffix(".safetensors")
            most, most_j, cells_j = ChipLedger.of_file(cells).sums if cells.is_file() else (None, None, None)
            found.append(Life(name, total, doubtful, most, most_j, cells_j, since))
        except (OSError, deed_file.DamagedDeeds, OutOfRange) as error:
            found.append(Life(name, Deeds(), damaged=str(error)))
    return found
