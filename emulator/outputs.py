"""Output state of a device: SAFE, ARMED, TRIPPED, and the watchdog between them (PROTOCOL.md section 6)."""

from __future__ import annotations

from collections.abc import Callable

from firmware_specs.codes import State, Trip

Clock = Callable[[], float]


class Outputs:
    """The one place that turns outputs on and off.

    Args:
        clock: Monotonic seconds.
        changed: Called after every change of state, with the words for the journal.
    """

    def __init__(self, clock: Clock, changed: Callable[[str], None]) -> None:
        self.state = State.SAFE
        self.trip_cause = Trip.NONE
        self.watchdog_s = 0.0
        self.owner = ""
        self._clock = clock
        self._changed = changed
        self._fed_at = clock()

    @property
    def on(self) -> bool:
        """Are outputs on?"""
        return self.state is State.ARMED

    @property
    def silent_s(self) -> float:
        """Since the last sign of life of the owner, seconds."""
        return self._clock() - self._fed_at

    @property
    def remaining_s(self) -> float:
        """Until the watchdog trips; 0 unless armed."""
        return max(0.0, self._fed_at + self.watchdog_s - self._clock()) if self.on and self.watchdog_s else 0.0

    def arm(self, owner: str) -> None:
        """SAFE to ARMED; nothing changes when armed already."""
        if self.state is State.SAFE:
            self.state, self.owner, self._fed_at = State.ARMED, owner, self._clock()
            self._changed(f"outputs on, armed by {owner}, watchdog {self.watchdog_s:g} s")

    def disarm(self, why: str) -> None:
        """ARMED to SAFE; a trip stays."""
        if self.on:
            self.state, self.owner = State.SAFE, ""
            self._changed(f"outputs off: {why}")

    def trip(self, cause: Trip) -> bool:
        """ARMED to TRIPPED, latched; False when outputs were off anyway."""
        if not self.on:
            return False
        self.state, self.trip_cause, self.owner = State.TRIPPED, cause, ""
        self._changed(f"outputs off: tripped, {cause.name}")
        return True

    def clear(self) -> None:
        """TRIPPED to SAFE."""
        if self.state is State.TRIPPED:
            self.state, self.trip_cause = State.SAFE, Trip.NONE
            self._changed("trip cleared")

    def set_watchdog(self, seconds: float) -> None:
        """Sets and restarts the watchdog."""
        self.watchdog_s = seconds
        self._fed_at = self._clock()

    def feed(self, door: str) -> None:
        """Traffic came through a door; only its owner's counts, and not when it is too late."""
        if self.on and door == self.owner and not self.run_out():
            self._fed_at = self._clock()

    def worked(self, door: str) -> None:
        """A request of a door was executed: the time it took is not held against its owner (6.3)."""
        if self.on and door == self.owner:
            self._fed_at = self._clock()

    def run_out(self) -> bool:
        """Has the watchdog run out?"""
        return self.on and self.watchdog_s > 0 and self.silent_s >= self.watchdog_s
