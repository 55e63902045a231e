"""How many links a virtual instrument holds, and how much they may hold of it: a flood costs the flood's own links.

Descriptors and memory are the machine's. When either runs short one link is hung up: one that never got an answer
before one that did, the one that was silent longest before others, and never the one that has the outputs.
"""

from __future__ import annotations

from typing import Protocol

MOST_LINKS = 200
MOST_HELD = 1 << 28
"""Bytes of half messages and of replies nobody fetches, all links together."""
NOTABLE = 1 << 20


class Guest(Protocol):
    """A link that may be hung up."""

    @property
    def answered(self) -> bool:
        """Has it ever got an answer?"""

    @property
    def owns(self) -> bool:
        """Has it the outputs?"""

    @property
    def held(self) -> int:
        """Bytes kept for it."""

    def hang_up(self) -> None:
        """Ends it."""


class Crowd:
    """The links that are open, the one that was silent longest first."""

    def __init__(self) -> None:
        self._guests: dict[Guest, None] = {}

    def __len__(self) -> int:
        return len(self._guests)

    def come(self, guest: Guest) -> None:
        """A new link."""
        self._guests[guest] = None

    def heard(self, guest: Guest) -> None:
        """A link has spoken."""
        if guest in self._guests:
            del self._guests[guest]
            self._guests[guest] = None
            if guest.held > NOTABLE:
                self._weigh()

    def go(self, guest: Guest) -> None:
        """A link has ended."""
        self._guests.pop(guest, None)

    def make_room(self) -> bool:
        """Hangs up one link; False where there is none that may be."""
        able = [guest for guest in self._guests if not guest.owns]
        for guest in [*(g for g in able if not g.answered), *able][:1]:
            guest.hang_up()
            return True
        return False

    def _weigh(self) -> None:
        while sum(guest.held for guest in self._guests) > MOST_HELD:
            largest = max((g for g in self._guests if not g.owns), key=lambda g: g.held, default=None)
            if largest is None:
                return
            largest.hang_up()
