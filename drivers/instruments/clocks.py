"""What time it is on the bench: the host's own clock, or the time base of a virtual rack."""

from __future__ import annotations

import time

from drivers.instruments.dialogue import Dialogue


class HostClock:
    """The host's monotonic clock; waiting is sleeping."""

    name = "host clock"

    def now_s(self) -> float:
        """Seconds since some origin."""
        return time.monotonic()

    def wait(self, seconds: float) -> None:
        """Sleeps."""
        time.sleep(seconds)


class RackClock:
    """A virtual rack's time base: `TIME?` and `WAIT`.

    Args:
        dialogue: Session to it.
        name: As the rack calls it.
        line_hz: Not used.
    """

    def __init__(self, dialogue: Dialogue, name: str, line_hz: float = 50.0) -> None:
        self.name = name
        self.dialogue = dialogue

    def identity(self) -> str:
        """Answer to `*IDN?`."""
        return self.dialogue.ask("*IDN?")

    def reset(self) -> None:
        """Nothing: time goes on."""

    def errors(self) -> list[str]:
        """It has no error queue."""
        return []

    def safe(self) -> None:
        """Nothing: it drives nothing."""

    def now_s(self) -> float:
        """Seconds since the rack was started."""
        return float(self.dialogue.ask("TIME?"))

    def wait(self, seconds: float) -> None:
        """Lets the rack's time pass; the answer comes when it has."""
        self.dialogue.ask(f"WAIT {seconds:.9g}", timeout_s=seconds)

    def close(self) -> None:
        """Ends the session."""
        self.dialogue.close()
