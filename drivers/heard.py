"""What came since something was asked: for messages that tell a dead wire from one that says something else."""

from __future__ import annotations

from drivers.device_kind import crowded
from drivers.errors import LinkTimeout
from firmware_specs.printable import printable

KEPT = 48
"""Bytes of it that are shown."""
NOTHING_CAME = (
    "Check cable, power and address; a board that starts anew when its port opens may need open_timeout_s or "
    "settle_after_open_s in the bench file"
)
OTHER_TALK = (
    "Firmware that writes a log to this port, another baud rate, or another protocol? `hil devices ADDRESS` keeps the "
    "traffic"
)


class Heard:
    """Counts bytes and frames; a few of the bytes are kept.

    Attributes:
        count: Bytes.
        damaged: Frames that were no frames.
        sound: Frames that were.
    """

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """Something new is asked."""
        self.count = self.damaged = self.sound = 0
        self._begin = b""

    def take(self, chunk: bytes) -> None:
        """Bytes came."""
        if self.count < KEPT:
            self._begin += chunk[:KEPT]
        self.count += len(chunk)

    def __str__(self) -> str:
        if not self.count:
            return "nothing came"
        frames = f"{self.sound} sound frames and {self.damaged} damaged ones"
        return f"{self.count} bytes came with {frames}, beginning with {printable(self._begin[:KEPT], KEPT)!r}"

    def timeout(self, asked: str, device: str, cause: LinkTimeout, known: bool = False) -> LinkTimeout:
        """The error that says what was asked and what came instead.

        Args:
            asked: What had no answer.
            device: Of whom.
            cause: How the wire said so.
            known: Has the device answered anything in this session? Then it is there, and was.
        """
        if self.count:
            todo = "The link is re-synchronized before it is used again" if known else OTHER_TALK
        else:
            todo = NOTHING_CAME + crowded(device)
        return LinkTimeout(f"{asked}: {self}", device=device, last=cause.last, todo=todo)
