"""The byte seam: what a link needs of a wire, and the read buffer that its implementations share.

A deadline is a point on `time.monotonic()`'s clock. One deadline covers a whole transaction (open, write, read,
retry), so it is handed down and never renewed on the way.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Protocol, TypeVar

from drivers.device_kind import crowded
from drivers.errors import CorruptFrame, LinkTimeout

T = TypeVar("T")


class Transport(Protocol):
    """A wire to one device. Not thread-safe: the link above holds one lock over write and read.

    Attributes:
        address: The device, as error messages name it.
    """

    address: str

    def write(self, data: bytes, deadline: float) -> None:
        """Sends all of `data`; raises `LinkTimeout` or `LinkLost`."""

    def read_exact(self, count: int, deadline: float) -> bytes:
        """Exactly `count` bytes, whatever their values; raises `LinkTimeout` or `LinkLost`."""

    def read_until(self, delimiter: bytes, limit: int, deadline: float) -> bytes:
        """Bytes up to and with `delimiter` (one byte); raises `CorruptFrame` past `limit` bytes without one."""

    def read_piece(self, delimiter: bytes, limit: int, deadline: float) -> bytes:
        """Bytes up to and with `delimiter` where it comes within `limit` bytes, else `limit` bytes or what is here."""

    def read_some(self, deadline: float) -> bytes:
        """What is here, at least one byte: waits for it until the deadline."""

    def waiting(self) -> bytes:
        """Takes what is here already and nobody has read, without waiting; b"" mostly.

        A bus that marks messages drops what nobody has read with the next question (IEEE 488.2): nothing waits there.
        """

    def drain(self, quiet_s: float, deadline: float) -> int:
        """Throws away what arrives until nothing did for `quiet_s`; returns how many bytes that were."""

    def close(self) -> None:
        """Closes the wire; calling it again does nothing."""


MOST_AHEAD = 1 << 20
"""Bytes taken in while something is sent: a device that talks more than that is not listened to before its turn."""


class ReadBuffer:
    """Own buffer over a source of chunks, so that no library reads byte by byte.

    A deadline holds for a device that keeps talking, too: when it has passed, what is here already is taken, once.

    Args:
        fill: Waits until the deadline for at least one byte and returns all that is there; b"" when none came.
        address: Named in errors.
    """

    def __init__(self, fill: Callable[[float], bytes], address: str) -> None:
        self._fill = fill
        self._address = address
        self._data = bytearray()

    def exact(self, count: int, deadline: float) -> bytes:
        """Exactly `count` bytes."""
        late = False
        while len(self._data) < count:
            late = self._more(deadline, f"{count} bytes", late)
        return self._take(count)

    def until(self, delimiter: bytes, limit: int, deadline: float) -> bytes:
        """Bytes up to and with the delimiter."""
        searched, late = 0, False
        while (end := self._data.find(delimiter, searched)) < 0 and len(self._data) <= limit:
            searched = len(self._data)
            late = self._more(deadline, f"a delimiter 0x{delimiter.hex()}", late)
        if end < 0 or end >= limit:
            junk = self._take(len(self._data) if end < 0 else end + 1)
            raise CorruptFrame(
                f"{len(junk)} bytes came without a delimiter 0x{delimiter.hex()} in the first {limit}",
                device=self._address,
                last=junk,
            )
        return self._take(end + 1)

    def piece(self, delimiter: bytes, limit: int, deadline: float) -> bytes:
        """Bytes up to and with the delimiter where it is here, else what is here, at most `limit`."""
        if not self._data:
            self._more(deadline, "an answer")
        end = self._data.find(delimiter, 0, limit)
        return self._take(end + 1 if end >= 0 else min(limit, len(self._data)))

    def some(self, deadline: float) -> bytes:
        """What is here, at least one byte."""
        if self._data:
            return self._take(len(self._data))
        return self._fill(deadline) or self._nothing("an answer")

    def waiting(self) -> bytes:
        """What is here and was not asked for."""
        return self._take(len(self._data)) if self._data else b""

    @property
    def full(self) -> bool:
        """More was read on the side than anybody asked for."""
        return len(self._data) >= MOST_AHEAD

    def push(self, chunk: bytes) -> None:
        """Takes in bytes that were read on the side."""
        self._data += chunk

    def clear(self) -> None:
        """Forgets what is here."""
        self._data.clear()

    def drain(self, quiet_s: float, deadline: float) -> int:
        """Throws away what arrives until it is quiet or the deadline has passed."""
        dropped = len(self._data)
        self._data.clear()
        while chunk := self._fill(min(deadline, time.monotonic() + quiet_s)):
            dropped += len(chunk)
            if time.monotonic() >= deadline:
                break
        return dropped

    def _take(self, count: int) -> bytes:
        if count == len(self._data):
            taken = bytes(self._data)
            self._data.clear()
            return taken
        with memoryview(self._data) as view:
            taken = bytes(view[:count])
        del self._data[:count]
        return taken

    def _more(self, deadline: float, wanted: str, late: bool = False) -> bool:
        """Takes more in; was that after the deadline? Then it was the last time."""
        if late:
            self._nothing(wanted)
        self._data += self._fill(deadline) or self._nothing(wanted)
        return time.monotonic() >= deadline

    def _nothing(self, wanted: str) -> bytes:
        came = len(self._data)
        todo = f"Check power, cable and address, of a serial port the baud, too{crowded(self._address)}"
        raise LinkTimeout(
            f"waited for {wanted}, {f'{came} bytes' if came else 'nothing'} came before the deadline",
            device=self._address,
            last=bytes(self._data[-64:]),
            todo="" if came else todo,
        )


def within(deadline: float, action: Callable[[], T], undo: Callable[[T], None], what: str, address: str) -> T:
    """Runs a call that may hang for ever (opening a port can) and gives up at the deadline.

    The call is left to a daemon thread; if it comes to an end after all, `undo` gets its result.

    Raises:
        LinkTimeout: it did not end in time. Whatever the call itself raises is passed on.
    """
    outcome: list[T] = []
    failure: list[BaseException] = []
    settled = threading.Lock()
    abandoned = threading.Event()

    def work() -> None:
        try:
            result = action()
        except BaseException as error:
            failure.append(error)
            return
        with settled:
            outcome.append(result)
            late = abandoned.is_set()
        if late:
            undo(result)

    worker = threading.Thread(target=work, daemon=True, name=f"{what} {address}")
    worker.start()
    worker.join(max(0.0, deadline - time.monotonic()))
    with settled:
        if outcome:
            return outcome[0]
        abandoned.set()
    if failure:
        raise failure[0]
    raise LinkTimeout(f"{what} did not end before the deadline", device=address, todo="Unplug and replug the device")


def doubled(seconds: float, times: int) -> float:
    """Seconds, doubled so many times; not beyond all bounds."""
    return seconds * 2.0 ** min(times, 30)


def back_off(attempts: int, deadline: float) -> None:
    """A wire that cannot wait (loopback) times out at once: the first retry is immediate, later ones are paced."""
    if attempts:
        time.sleep(max(0.0, min(doubled(0.0005, attempts), 0.05, deadline - time.monotonic())))
