"""What a virtual instrument stands on: terminals, relays, time. Bench and breadboard are two."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from emulator.rack.circuit import OnePort
from emulator.rack.events import Log

Relay = tuple[str, str]
ROOM_K = 296.15
"""Temperature of a bench without a stage."""


@dataclass(frozen=True)
class Fixtures:
    """What a mainframe has.

    Attributes:
        modules: Slot -> model of the card in it.
        scanned: Channel of a multiplexer -> terminal or line it reads.
        series_ohm: In series with every output.
    """

    modules: dict[int, str]
    scanned: dict[str, str]
    series_ohm: float


class Stand(Protocol):
    """A bench as instruments see it.

    Attributes:
        now_s: Virtual time.
        faults: Named faults that are on: `interlock`, `welded:CHANNEL`, `broken:CHANNEL`, `sentinel`, `identity:NAME`.
        log: What happened.
        ports: What each terminal does at present.
        closed: Closed relays.
        relays: (instrument, channel) -> the two nodes it joins.
        line_hz: Mains frequency.
        contact_ohm: Resistance of a closed relay.
        kelvin: Says how warm it is; a temperature stage puts its own here.
    """

    kelvin: Callable[[], float]
    now_s: float
    faults: set[str]
    log: Log
    ports: dict[str, OnePort]
    closed: set[Relay]
    relays: dict[Relay, tuple[str, str]]

    @property
    def line_hz(self) -> float:
        """Mains frequency."""
        ...

    @property
    def contact_ohm(self) -> float:
        """Resistance of a closed relay."""
        ...

    def fixtures(self, instrument: str) -> Fixtures:
        """What is plugged into a mainframe, and where its channels lead."""
        ...

    def advance(self, seconds: float) -> None:
        """Lets time pass."""
        ...

    def set_port(self, terminal: str, port: OnePort | None) -> None:
        """What a terminal does from now on; None disconnects it inside its instrument."""
        ...

    def switch(self, instrument: str, channel: str, close: bool) -> None:
        """Moves one relay."""
        ...

    def terminal_volts(self, terminal: str) -> float:
        """Voltage at a terminal."""
        ...

    def terminal_amps(self, terminal: str) -> float:
        """Current a terminal pushes out."""
        ...
