"""What the platforms' modules give back."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Protocol

Handler = Callable[[int, FrameType | None], None]
"""What Python calls for a signal: its number, and where the program was."""


class NoTerminal(OSError):
    """The platform has no pseudo-terminals; the message says what to take instead."""


class HasFileno(Protocol):
    """A port, a socket."""

    def fileno(self) -> int:
        """Its descriptor."""
        ...


class Wire(Protocol):
    """A port or a socket that is waited for and never blocks in a call."""

    def readable(self, timeout_s: float) -> bool:
        """Waits until something can be read; False when nothing could in time."""
        ...

    def ready(self, timeout_s: float) -> tuple[bool, bool]:
        """Waits until something can be read or written; says which."""
        ...

    def writable(self, timeout_s: float) -> bool:
        """Waits until something can be written."""
        ...

    def read(self, most: int) -> bytes:
        """What is here; b"" after the other side hung up, `BlockingIOError` where nothing is."""
        ...

    def write(self, data: memoryview) -> int:
        """Sends what goes out at once and says how much; `BlockingIOError` where nothing does."""
        ...

    def forget(self) -> None:
        """Its owner is about to close it: whatever is done with it afterwards fails."""
        ...


class Terminal(Protocol):
    """A pseudo-terminal seen from the device's side.

    Attributes:
        path: Where a client finds it.
    """

    path: Path

    def fileno(self) -> int:
        """What to wait on."""
        ...

    def read(self, most: int) -> bytes:
        """What the client sent."""
        ...

    def write(self, data: bytes | memoryview) -> int:
        """Sends what goes out at once; `BlockingIOError` where nothing does."""
        ...

    def link_from(self, link: Path) -> None:
        """Makes a symbolic link lead here, in one step also where it led elsewhere."""
        ...

    def close(self) -> None:
        """Hangs up."""
        ...
