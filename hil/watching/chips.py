"""What chips did over their lives: the counts that every session of a driver adds to, whatever opened it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from drivers import deed_file
from drivers.chip_ledger import ledger_folder
from firmware_specs.deeds import Deeds

__all__ = ["Life", "ledger_folder", "lives"]


@dataclass(frozen=True)
class Life:
    """A chip's life as this computer knows it.

    Attributes:
        name: Vendor, model and serial number, as far as a file name takes them.
        total: All that sessions from here asked of it.
        doubtful: Requests that count as done though nobody knows.
        damaged: Why its file does not read; empty where it does.
    """

    name: str
    total: Deeds
    doubtful: int = 0
    damaged: str = ""

    def document(self) -> dict[str, Any]:
        """As JSON values."""
        return {"counts": self.total.document(), "doubtful_requests": self.doubtful, "damaged": self.damaged or None}


def lives(part: str | None = None) -> list[Life]:
    """Chips that were ever opened from here, or those with some text in their name."""
    folder, found = ledger_folder(), []
    for path in sorted(folder.glob("*.deeds")) if folder.is_dir() else []:
        name = path.stem.rpartition("-")[0]
        if part is not None and part.lower().replace(" ", "-") not in name.lower():
            continue
        try:
            total, doubtful = deed_file.read(path)
            found.append(Life(name, total, doubtful))
        except (OSError, deed_file.DamagedDeeds) as error:
            found.append(Life(name, Deeds(), damaged=str(error)))
    return found
