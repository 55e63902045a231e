"""What the parts of a SCPI instrument take of it: its settings, its bench, its status."""

from __future__ import annotations

from typing import Protocol

from emulator.rack.stand import Stand
from firmware_specs.instruments.kinds import Value
from firmware_specs.scpi.status import Status


class Settings(Protocol):
    """An instrument as its parts see it; `ScpiInstrument` is one."""

    bench: Stand
    status: Status

    def get(self, name: str, *suffixes: int, channel: str = "") -> Value:
        """Present value of a setting."""
        ...

    def number(self, name: str, *suffixes: int) -> float:
        """`get`, of a numeric setting."""
        ...

    def numbers(self, name: str, *suffixes: int) -> tuple[float, ...]:
        """`get`, of a setting that is a list of numbers."""
        ...

    def keep(self, name: str, value: Value, *suffixes: int, channel: str = "") -> None:
        """Changes a setting from inside."""
