"""Keithley 707B/708B switch matrix (TSP). PyMeasure has no driver for it."""

from __future__ import annotations

import re
from collections.abc import Sequence

from drivers import answers
from drivers.errors import ProtocolViolation
from drivers.instruments.boxes import BenchInstrument, tsp_errors
from drivers.instruments.dialogue import Dialogue
from drivers.instruments.tsp import LAST_RESORT, greet
from firmware_specs.racks.facts import Facts

BREAK_BEFORE_MAKE = 1
RULE, CLOSED = "print(channel.connectrule)", 'print(channel.getclose("allslots"))'
_CHANNEL = re.compile(r"\d[A-Za-z0-9]{1,5}")


class Keithley707B(BenchInstrument):
    """A `SwitchMatrix`; channels are slot, row letter, two-digit column: `2A01`."""

    WAKING = (LAST_RESORT[0],)

    def __init__(self, dialogue: Dialogue, name: str, line_hz: float = 50.0, facts: Facts | None = None) -> None:
        super().__init__(dialogue, name, line_hz, facts, tsp_errors)
        self._met = True  # False from the first question until a reset went well

    def reset(self) -> None:
        """All relays open, break before make, error queue empty."""
        self._met = False
        greet(self.dialogue, self.name, ["channel", "errorqueue"])
        self.dialogue.write("*RST")
        self.dialogue.write("reset()")
        self.dialogue.write("errorqueue.clear()")
        self.dialogue.barrier()
        self.open_all()
        self.dialogue.write(f"channel.connectrule={BREAK_BEFORE_MAKE}")
        rule = answers.number(self.dialogue.ask(RULE), RULE, self.name)
        if rule != BREAK_BEFORE_MAKE:
            raise ProtocolViolation(
                f"the connect rule reads back {rule:g}, 1 (break before make) was set", device=self.name
            )
        self._met = True

    def close_channels(self, channels: Sequence[str]) -> None:
        """Closes relays and waits for them."""
        if channels:
            self.dialogue.write(f'channel.close("{",".join(channels)}")')
            self.dialogue.barrier()

    def open_channels(self, channels: Sequence[str]) -> None:
        """Opens relays and waits for them."""
        if channels:
            self.dialogue.write(f'channel.open("{",".join(channels)}")')
            self.dialogue.barrier()

    def closed(self) -> frozenset[str]:
        """Closed channels; the box writes `;` between them and `nil` for none."""
        answer = self.dialogue.ask(CLOSED)
        if answer == "nil":
            return frozenset()
        found = [channel.strip() for channel in answer.strip("; ").split(";")]
        if not all(_CHANNEL.fullmatch(channel) for channel in found):
            raise answers.nonsense(answer, CLOSED, self.name, "channels like 2A01, with ; between, or nil, expected")
        return frozenset(found)

    def open_all(self) -> None:
        """Opens everything, read back."""
        self.dialogue.write('channel.open("allslots")')
        self.dialogue.barrier()
        if still := self.closed():
            raise ProtocolViolation(f"relays {', '.join(sorted(still))} did not open", device=self.name)

    def _off_lines(self) -> list[str]:
        off = ['channel.open("allslots")']
        return off if self._met else [LAST_RESORT[0], *off, LAST_RESORT[1]]
