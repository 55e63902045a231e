"""What time it is on the bench: the host's own clock, or the time base of a virtual rack."""

from __future__ import annotations

import time

from drivers import answers
from drivers.instruments.boxes import BenchInstrument
from drivers.instruments.dialogue import Dialogue
from firmware_specs.racks.facts import Facts


class HostClock:
    """The host's monotonic clock; waiting is sleeping."""

    name = "host clock"

    def now_s(self) -> float:
        """Seconds since some origin."""
        return time.monotonic()

    def wait(self, seconds: float) -> None:
        """Sleeps."""
        time.sleep(seconds)


class RackClock(BenchInstrument):
    """A virtual rack's time base: `TIME?` and `WAIT`."""

    def __init__(self, dialogue: Dialogue, name: str, line_hz: float = 50.0, facts: Facts | None = None) -> None:
        super().__init__(dialogue, name, line_hz, facts, lambda _: [])

    def reset(self) -> None:
        """Nothing: time goes on."""

    def now_s(self) -> float:
        """Seconds since the rack was started."""
        return answers.number(self.dialogue.ask("TIME?"), "TIME?", self.name)

    def wait(self, seconds: float) -> None:
        """Lets the rack's time pass; the answer comes when it has."""
        self.dialogue.ask(f"WAIT {seconds:.9g}", timeout_s=seconds)
