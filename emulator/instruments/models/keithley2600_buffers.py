"""Reading buffers of a 2600B, as scripts see them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from emulator.instruments.refused import Refused

DEFAULT = 60_000
SETTINGS = (
    "appendmode", "collecttimestamps", "collectsourcevalues", "timestampresolution", "cachemode", "fillmode",
    "fillcount", "collectstatuses",
)  # fmt: skip
BUFFER_NAMES = " ".join(("n", "capacity", "basetimestamp", *(f"{name}=" for name in SETTINGS)))
"""As a script learns them, `=` behind those that may be set."""
FULL = Refused(4915, "Reading buffer is full")


@dataclass
class ReadingBuffer:
    """Readings with time, source value and status.

    Attributes:
        capacity: How many it holds.
        settings: What a script may set, by name.
    """

    capacity: int = DEFAULT
    settings: dict[str, Any] = field(default_factory=dict)
    readings: list[float] = field(default_factory=list)
    timestamps: list[float] = field(default_factory=list)
    sourcevalues: list[float] = field(default_factory=list)
    statuses: list[float] = field(default_factory=list)
    base_s: float = 0.0

    def clear(self) -> None:
        """Readings go, settings stay."""
        for values in (self.readings, self.timestamps, self.sourcevalues, self.statuses):
            values.clear()

    def begin(self) -> None:
        """A measurement that does not append begins with an empty buffer."""
        if not self.settings.get("appendmode", 0):
            self.clear()

    def add(self, reading: float, at_s: float, sourced: float, status: int) -> None:
        """Keeps a reading."""
        if len(self.readings) >= self.capacity:
            raise FULL
        if not self.readings:
            self.base_s = at_s
        self.readings.append(reading)
        self.timestamps.append(at_s - self.base_s)
        self.sourcevalues.append(sourced)
        self.statuses.append(float(status))

    def column(self, name: str) -> list[float]:
        """One column."""
        if name not in ("readings", "timestamps", "sourcevalues", "statuses"):
            raise Refused(-286, f"TSP Runtime error at line 1: no attribute {name!r}")
        return getattr(self, name)

    def get(self, name: str) -> Any:
        """An attribute."""
        if name == "n":
            return len(self.readings)
        if name == "capacity":
            return self.capacity
        if name == "basetimestamp":
            return self.base_s
        if name in SETTINGS:
            return self.settings.get(name, 0)
        raise Refused(-286, f"TSP Runtime error at line 1: no attribute {name!r}")

    def put(self, name: str, value: Any) -> None:
        """Sets an attribute."""
        if name not in SETTINGS:
            raise Refused(-286, f"TSP Runtime error at line 1: no attribute {name!r}")
        self.settings[name] = value
