"""Sweeps of a 2600B that wait for `*TRG` and then go on beside the messages: `status.operation.sweeping` tells.

The laboratory's time stands still between messages, so a sweep that was started is seen under way by the first look
at its status, and is carried out then; whatever else a message asks comes after it.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import zip_longest
from typing import Protocol

BITS = {"smua": 2, "smub": 4}
"""Of `status.operation.sweeping.condition` (comment in keithley2600 2.1)."""


class Sweeping(Protocol):
    """A channel with its sweep set up."""

    path: str

    def steps(self) -> Iterator[None]:
        """Sets a level, then reads, for every point."""
        ...


class Overlapped:
    """The sweeps of one box.

    Attributes:
        armed: Those that wait for the trigger, by their channel.
        under_way: Those that it has started.
    """

    def __init__(self) -> None:
        self.armed: dict[str, Sweeping] = {}
        self.under_way: dict[str, Sweeping] = {}

    def arm(self, smu: Sweeping) -> None:
        """A channel waits from now on."""
        self.armed[smu.path] = smu

    def trigger(self) -> bool:
        """`*TRG` came; True where a sweep waited for it."""
        started, self.armed = self.armed, {}
        self.under_way |= started
        return bool(started)

    def forget(self, path: str) -> None:
        """A channel waits no more."""
        self.armed.pop(path, None)
        self.under_way.pop(path, None)

    def condition(self) -> int:
        """Which channels sweep; they are at their ends after that."""
        bits = sum(BITS[path] for path in self.under_way)
        self.finish()
        return bits

    def finish(self) -> None:
        """Carries out what is under way, all channels point by point."""
        started, self.under_way = self.under_way, {}
        for _ in zip_longest(*(smu.steps() for smu in started.values())):
            pass
