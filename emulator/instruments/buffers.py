"""Reading buffers: readings with source value, time and status, up to a size; full ones overwrite or stop."""

from __future__ import annotations

import datetime
import math
from dataclasses import dataclass, field

EPOCH, EPOCH_S = datetime.datetime(2026, 1, 1), 1_767_225_600
"""When a virtual bench was switched on, as a date and in seconds: time stamps are its seconds after that."""


@dataclass(frozen=True)
class Entry:
    """One reading in a buffer.

    Attributes:
        value: What was measured.
        unit: Its unit.
        sourced: What was sourced, as read back or set.
        source_unit: Its unit.
        at_s: When, seconds of the bench.
        status: Status word of the reading.
        source_status: Status word of the source.
    """

    value: float
    unit: str
    sourced: float
    source_unit: str
    at_s: float
    status: int = 0
    source_status: int = 0


@dataclass
class Buffer:
    """Readings of one kind.

    Attributes:
        size: How many it holds.
        once: True where a full one takes no more; otherwise the oldest goes.
    """

    size: int
    once: bool = False
    entries: list[Entry] = field(default_factory=list)

    @property
    def full(self) -> bool:
        """Are there as many readings as it holds?"""
        return len(self.entries) >= self.size

    def add(self, entry: Entry) -> bool:
        """Keeps a reading; False where a full one takes no more."""
        if self.full:
            if self.once:
                return False
            del self.entries[: len(self.entries) - self.size + 1]
        self.entries.append(entry)
        return True

    def resize(self, size: int) -> None:
        """Another size; what it held is gone."""
        self.size = size
        self.entries.clear()

    def statistic(self, which: str, values: list[float] | None = None) -> float:
        """Mean, maximum, minimum, standard deviation or span of the readings; 0 of none."""
        found = [entry.value for entry in self.entries] if values is None else values
        if not found:
            return 0.0
        mean = math.fsum(found) / len(found)
        match which:
            case "max":
                return max(found)
            case "min":
                return min(found)
            case "span":
                return max(found) - min(found)
            case "sd":
                return math.sqrt(math.fsum((v - mean) ** 2 for v in found) / max(1, len(found) - 1))
        return mean


ELEMENTS = (
    "READing", "SOURce", "RELative", "STATus", "SOURSTATus", "UNIT", "SOURUNIT", "TSTamp", "DATE", "TIME", "SEConds",
    "FRACtional", "FORMatted", "SOURFORMatted", "EXTRa", "CHANnel",
)  # fmt: skip
NUMERIC = ("READing", "SOURce", "RELative", "STATus", "SOURSTATus", "SEConds", "FRACtional")


def element(name: str, entry: Entry, first_s: float, reading: str) -> float | str:
    """What a buffer says of a reading.

    Args:
        name: One of `ELEMENTS`.
        entry: The reading.
        first_s: When the first reading of the buffer was taken.
        reading: Format of numbers.
    """
    match name:
        case "READing":
            return entry.value
        case "SOURce":
            return entry.sourced
        case "RELative":
            return entry.at_s - first_s
        case "STATus":
            return entry.status
        case "SOURSTATus":
            return entry.source_status
        case "UNIT":
            return entry.unit
        case "SOURUNIT":
            return entry.source_unit
        case "SEConds":
            return float(math.floor(entry.at_s))
        case "FRACtional":
            return entry.at_s % 1
        case "FORMatted":
            return f"{reading.format(entry.value)} {entry.unit}"
        case "SOURFORMatted":
            return f"{reading.format(entry.sourced)} {entry.source_unit}"
        case "EXTRa":
            return 0.0
        case "CHANnel":
            return "0"
    return (EPOCH + datetime.timedelta(seconds=entry.at_s)).strftime(STAMPS[name])


STAMPS = {"TSTamp": "%m/%d/%Y %H:%M:%S.%f", "DATE": "%m/%d/%Y", "TIME": "%H:%M:%S"}
