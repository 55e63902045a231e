"""What a virtual device saw and did, with time stamps: the device's side of the story for people and tests."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import NamedTuple

from firmware_specs.printable import printable


class Event(NamedTuple):
    """One line of the journal.

    Attributes:
        time_s: Monotonic clock of the device.
        kind: `outputs`, `setpoint`, `request`, `refused`, `link` or `fault`.
        door: Where it came from; empty for the device itself.
        text: What happened, for people.
        values: Numbers of a set-point: largest current, voltage, pulse count and so on, in SI units.
    """

    time_s: float
    kind: str
    door: str
    text: str
    values: dict[str, float]

    def __str__(self) -> str:
        numbers = " ".join(f"{name}={value:g}" for name, value in self.values.items())
        return f"{self.time_s:.6f} {self.kind:8} {self.door or '-':10} {printable(self.text)} {numbers}".rstrip()


class Journal:
    """Keeps the newest events and hands each to a sink.

    Args:
        clock: Monotonic seconds.
        sink: Called with every event, for a log.
        kept: How many stay in memory.
    """

    def __init__(
        self, clock: Callable[[], float], sink: Callable[[Event], None] | None = None, kept: int = 10_000
    ) -> None:
        self.events: deque[Event] = deque(maxlen=kept)
        self._clock = clock
        self._sink = sink

    def note(self, kind: str, text: str, door: str = "", **values: float) -> None:
        """Adds an event."""
        event = Event(self._clock(), kind, door, text, values)
        self.events.append(event)
        if self._sink is not None:
            self._sink(event)

    def of(self, kind: str) -> list[Event]:
        """Events of one kind, oldest first."""
        return [event for event in self.events if event.kind == kind]
