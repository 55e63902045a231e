"""What happened on the virtual rack, from the devices' side: set-points, relays, outputs, readings, mishaps."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

Kind = Literal[
    "level", "limit", "range", "output", "close", "open", "reading", "pulse", "stress", "damage", "command", "error"
]  # fmt: skip


@dataclass(frozen=True)
class Event:
    """One thing that happened.

    Attributes:
        at_s: Virtual time.
        kind: What: a `close` or `open` carries the volts or amperes the contact had to switch, a `stress` the largest
            voltage across a cell, a `damage` what was broken.
        subject: Terminal, relay or instrument.
        value: Number that belongs to it.
        text: Words, where a number is not enough.
    """

    at_s: float
    kind: Kind
    subject: str
    value: float = 0.0
    text: str = ""


class Log:
    """Events in order; the last `limit` of the chatty kinds are kept, all others.

    Args:
        now: Virtual time.
        commands: Keep command lines too.

    Attributes:
        events: What happened.
    """

    def __init__(self, now: Callable[[], float], commands: bool = False) -> None:
        self._now = now
        self.commands = commands
        self.events: list[Event] = []

    def add(self, kind: Kind, subject: str, value: float = 0.0, text: str = "") -> None:
        """Notes one event, now."""
        if kind != "command" or self.commands:
            self.events.append(Event(self._now(), kind, subject, value, text))

    def of(self, *kinds: Kind) -> list[Event]:
        """Events of some kinds, in order."""
        return [event for event in self.events if event.kind in kinds]
