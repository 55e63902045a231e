"""Flight recorder and replay: what went over the wire, with monotonic time stamps, and a transport that repeats it.

A recording is a text file, one transfer a line: `SECONDS > HEX` (host to device), `SECONDS < HEX` (device to host),
`SECONDS ! TEXT` (an error); the first line names the device.
"""

from __future__ import annotations

import os
from collections import deque
from pathlib import Path
from time import monotonic
from typing import Literal, NamedTuple

from drivers.errors import DeviceError, LinkTimeout, ProtocolViolation
from drivers.sign_of_life import is_credit
from drivers.transport import ReadBuffer, Transport
from firmware_specs import platform
from firmware_specs.documents import DocumentError, read_text
from firmware_specs.printable import printable

MOST_TEXT = 4096
"""Characters of an error that are kept."""
Way = Literal[">", "<", "!"]
HEADER = "# recording of "
MOST_BYTES = 1 << 26
"""Of a recording that is read; a recorder keeps a megabyte of traffic."""


class Entry(NamedTuple):
    """One transfer: monotonic seconds, direction, bytes (of an error: its text, UTF-8)."""

    at_s: float
    way: Way
    data: bytes


class FlightRecorder:
    """Keeps the last traffic in memory.

    Args:
        max_bytes: Older entries are dropped beyond this much payload.
    """

    def __init__(self, max_bytes: int = 1 << 20) -> None:
        self._entries: deque[tuple[float, Way, bytes]] = deque()
        self._max_bytes = max_bytes
        self._held = 0

    def note(self, way: Way, data: bytes) -> None:
        """Adds one entry, now."""
        self._entries.append((monotonic(), way, data))
        self._held += len(data) + 64
        if self._held > self._max_bytes:
            self._trim()

    @property
    def entries(self) -> tuple[Entry, ...]:
        """What is held, oldest first."""
        return tuple(Entry(*entry) for entry in self._entries)

    def save(self, path: Path, device: str) -> None:
        """Writes the recording, replacing the file at once or not at all."""
        lines = [f"{HEADER}{device}"]
        for entry in self.entries:
            body = printable(entry.data, MOST_TEXT) if entry.way == "!" else entry.data.hex()
            lines.append(f"{entry.at_s:.6f} {entry.way} {body}")
        scratch = path.with_name(f".{path.name}.{os.getpid()}")
        scratch.unlink(missing_ok=True)
        with scratch.open("x", encoding="utf-8") as file:  # never through a link that somebody put there
            file.write("\n".join(lines) + "\n")
        platform.replace(scratch, path)

    def _trim(self) -> None:
        while self._held > self._max_bytes and len(self._entries) > 1:
            self._held -= len(self._entries.popleft()[2]) + 64


class Recorded:
    """A transport whose traffic goes into a flight recorder.

    Args:
        wire: The transport that does the work.
        recorder: Where the traffic goes; a new one if not given.
    """

    def __init__(self, wire: Transport, recorder: FlightRecorder | None = None) -> None:
        self._wire = wire
        self.address = wire.address
        self.recorder = FlightRecorder() if recorder is None else recorder

    def write(self, data: bytes, deadline: float) -> None:
        """Notes and sends."""
        self.recorder.note(">", data)
        try:
            self._wire.write(data, deadline)
        except DeviceError as error:
            raise self._noted(error)  # noqa: B904 - the very error

    def read_exact(self, count: int, deadline: float) -> bytes:
        """Reads and notes."""
        try:
            data = self._wire.read_exact(count, deadline)
        except DeviceError as error:
            raise self._noted(error)  # noqa: B904 - the very error
        self.recorder.note("<", data)
        return data

    def read_until(self, delimiter: bytes, limit: int, deadline: float) -> bytes:
        """Reads and notes."""
        try:
            data = self._wire.read_until(delimiter, limit, deadline)
        except DeviceError as error:
            raise self._noted(error)  # noqa: B904
        self.recorder.note("<", data)
        return data

    def read_piece(self, delimiter: bytes, limit: int, deadline: float) -> bytes:
        """Reads and notes."""
        try:
            data = self._wire.read_piece(delimiter, limit, deadline)
        except DeviceError as error:
            raise self._noted(error)  # noqa: B904
        self.recorder.note("<", data)
        return data

    def read_some(self, deadline: float) -> bytes:
        """Reads and notes."""
        try:
            data = self._wire.read_some(deadline)
        except DeviceError as error:
            raise self._noted(error)  # noqa: B904
        self.recorder.note("<", data)
        return data

    def _noted(self, error: DeviceError) -> DeviceError:
        self.recorder.note("!", str(error).encode())
        return error

    def waiting(self) -> bytes:
        """Takes and notes."""
        if data := self._wire.waiting():
            self.recorder.note("<", data)
        return data

    def drain(self, quiet_s: float, deadline: float) -> int:
        """Drains and notes how much."""
        dropped = self._wire.drain(quiet_s, deadline)
        self.recorder.note("!", f"{dropped} bytes thrown away to re-synchronize".encode())
        return dropped

    def close(self) -> None:
        """Closes the wire; the recording stays."""
        self._wire.close()


class Replay:
    """Repeats a recorded dialogue: every write must be the recorded one, and is answered as it was.

    Only CREDITs are not compared: hosts send them by the clock, too, and a recording has none.

    Args:
        entries: The dialogue; errors in it are passed over.
        address: Named in errors.

    Raises:
        ProtocolViolation: from `write` where the dialogue differs, from `close` where part of it was not used.
    """

    def __init__(self, entries: tuple[Entry, ...], address: str = "replay") -> None:
        self.address = address
        self._rest = deque(entry for entry in entries if entry.way != "!" and entry.data and not _by_the_clock(entry))
        self._written = bytearray()
        self._buffer = ReadBuffer(self._fill, address)

    @classmethod
    def load(cls, path: Path) -> Replay:
        """Reads a recording that `FlightRecorder.save` wrote.

        Raises:
            ProtocolViolation: it is none, with the line that is wrong.
        """
        try:
            lines = read_text(path, MOST_BYTES).removesuffix("\n").replace("\r\n", "\n").split("\n")
        except (OSError, DocumentError) as error:
            raise ProtocolViolation(f"{path} is not readable: {error}") from error
        if not lines[0].startswith(HEADER):
            raise ProtocolViolation(f"{path} is not a recording: its first line must begin with {HEADER!r}")
        return cls(tuple(_entry(path, number, line) for number, line in enumerate(lines[1:], 2)), f"replay:{path}")

    def write(self, data: bytes, deadline: float) -> None:
        """Compares with the recorded bytes, however they were split."""
        if is_credit(data):
            return
        self._written += data
        while self._written and self._rest and self._rest[0].way == ">":
            expected = self._rest[0].data
            if not expected.startswith(self._written[: len(expected)]):
                raise ProtocolViolation(
                    f"wrote {self._written.hex(' ')}, the recording has {expected.hex(' ')}", device=self.address
                )
            if len(self._written) < len(expected):
                return
            del self._written[: len(expected)]
            self._rest.popleft()
        if self._written:
            raise ProtocolViolation("wrote where the recording has no write", device=self.address, last=bytes(data))

    def read_exact(self, count: int, deadline: float) -> bytes:
        """Exactly `count` recorded bytes."""
        return self._buffer.exact(count, deadline)

    def read_until(self, delimiter: bytes, limit: int, deadline: float) -> bytes:
        """Recorded bytes up to and with the delimiter."""
        return self._buffer.until(delimiter, limit, deadline)

    def read_piece(self, delimiter: bytes, limit: int, deadline: float) -> bytes:
        """Recorded bytes up to and with the delimiter, or what is here."""
        return self._buffer.piece(delimiter, limit, deadline)

    def read_some(self, deadline: float) -> bytes:
        """The next recorded bytes."""
        return self._buffer.some(deadline)

    def waiting(self) -> bytes:
        """What was read ahead: a recording has no clock, the rest comes when it is read."""
        return self._buffer.waiting()

    def drain(self, quiet_s: float, deadline: float) -> int:
        """Throws away what was read ahead."""
        self._buffer.clear()
        return 0

    def close(self) -> None:
        """Ends the replay; all of it must have been used."""
        if self._rest:
            left = len(self._rest)
            self._rest.clear()
            raise ProtocolViolation(f"{left} recorded transfers were not repeated", device=self.address)

    def _fill(self, deadline: float) -> bytes:
        if not self._rest or self._rest[0].way != "<":
            raise LinkTimeout("the recording has no answer here", device=self.address)
        return self._rest.popleft().data


def _by_the_clock(entry: Entry) -> bool:
    return entry.way == ">" and is_credit(entry.data)


def _entry(path: Path, number: int, line: str) -> Entry:
    try:
        at_s, way, body = line.split(" ", 2)
        if way == "!":
            return Entry(float(at_s), "!", body.encode())
        if way == ">":
            return Entry(float(at_s), ">", bytes.fromhex(body))
        if way == "<":
            return Entry(float(at_s), "<", bytes.fromhex(body))
        raise ValueError(f"direction {way[:20]!r}")
    except ValueError as error:
        said = printable(str(error), 100)
        raise ProtocolViolation(f"{path}, line {number}: not `SECONDS > HEX`: {said}") from error
