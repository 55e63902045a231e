"""Cutting a byte stream into program messages, and messages into units and parameters (SCPI.md section 1).

Sans-I/O: `Splitter` takes bytes in any portions and knows blocks and strings, so that a line feed inside a block ends
nothing.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from firmware_specs.scpi.blocks import LEFT_OUT, MAX_BLOCK_DIGITS

MAX_TEXT = 65_536
"""Bytes of one message, blocks not counted."""
_MARK = re.compile(rb"[\n#\"']")
_CLOSING = {b'"': re.compile(rb'[\n"]'), b"'": re.compile(rb"[\n']")}
_HEAD = re.compile(rb"\s*(\S*)(\s?)(.*)", re.DOTALL)
_UNIT_MARK = re.compile(rb"[;,#\"'(]")


class Overrun(ValueError):
    """A message is longer than the device takes."""


class Splitter:
    """Collects bytes up to the LF that ends a message.

    Args:
        max_block: Most block bytes of a message that are kept; `LEFT_OUT` stands for a block that goes beyond.
    """

    def __init__(self, max_block: int = 1 << 26) -> None:
        self.max_block = max_block
        self._data = bytearray()
        self._scanned = 0
        self._blocks = 0
        self._skip = 0
        self._overrun = False

    @property
    def pending(self) -> int:
        """Bytes held of a message that is not complete."""
        return len(self._data)

    def feed(self, data: bytes) -> list[bytes | Overrun]:
        """Messages that `data` completes, without their LF; an `Overrun` stands for one that was dropped."""
        self._data += data
        found: list[bytes | Overrun] = []
        while self._step(found):
            pass
        return found

    def end(self) -> list[bytes | Overrun]:
        """The link's END: what is here is a message."""
        found: list[bytes | Overrun] = []
        if self._data or self._overrun:
            self._finish(found, len(self._data))
        return found

    def clear(self) -> None:
        """Device clear: forgets what is here."""
        self._data.clear()
        self._reset()

    def _reset(self) -> None:
        self._scanned = self._blocks = self._skip = 0
        self._overrun = False

    def _step(self, found: list[bytes | Overrun]) -> bool:
        if self._skip:
            dropped = min(self._skip, len(self._data) - self._scanned)
            del self._data[self._scanned : self._scanned + dropped]
            self._skip -= dropped
            return not self._skip and len(self._data) > self._scanned
        mark = _MARK.search(self._data, self._scanned)
        if mark is None:
            self._scanned = len(self._data)
            self._drop_overlong()
            return False
        if mark[0] == b"#":
            return self._pass_block(mark.start())
        end: re.Match[bytes] | None = mark
        if mark[0] != b"\n":
            end = _CLOSING[mark[0]].search(self._data, mark.end())
        if end is None:
            self._scanned = mark.start()
            self._drop_overlong()
            return False
        if end[0] != b"\n":
            self._scanned = end.end()
            return True
        self._finish(found, end.start())
        del self._data[:1]
        return bool(self._data)

    def _pass_block(self, at: int) -> bool:
        """Goes behind the block at `at`; False when more bytes are needed for that."""
        digit = self._data[at + 1 : at + 2]
        if not digit:
            self._scanned = at
            return False
        count = int(digit) if digit.isdigit() else 0
        length = self._data[at + 2 : at + 2 + count]
        if len(length) < count and (not length or length.isdigit()):
            self._scanned = at
            return False
        if count == 0 or not length.isdigit():  # indefinite, a number like #H1F, or rubbish: text up to the LF
            self._scanned = at + 1
            return True
        size = int(length)
        end = at + 2 + count + size
        if self._blocks + size > self.max_block:
            self._data[at : at + 2] = LEFT_OUT
            self._scanned, self._skip = at + 2 + count, size
            return True
        if len(self._data) < end:
            self._scanned = at
            return False
        self._scanned, self._blocks = end, self._blocks + size
        return True

    def _drop_overlong(self) -> None:
        if len(self._data) - self._blocks > MAX_TEXT:
            self._overrun = True
        if self._overrun:
            self._data.clear()
            self._scanned = self._blocks = 0

    def _finish(self, found: list[bytes | Overrun], end: int) -> None:
        if self._overrun or end - self._blocks > MAX_TEXT:
            found.append(Overrun("message longer than the device takes"))
        else:
            found.append(bytes(memoryview(self._data)[:end]))
        del self._data[:end]
        self._reset()


class Unit(NamedTuple):
    """One unit of a message: a header and its parameters as raw bytes."""

    header: str
    query: bool
    parameters: tuple[bytes, ...] = ()


def units(message: bytes) -> list[Unit]:
    """Units of a message, their headers written in full from the root (rule 1.2), without colon and `?`.

    Raises:
        ValueError: a string, list or block in it does not end, or a header is not one.
    """
    found, path = [], ""
    for pieces in _pieces(message):
        head, _, first = _HEAD.match(pieces[0]).groups()  # type: ignore[union-attr]
        text = head.decode("ascii", errors="replace")
        parameters = (first, *pieces[1:])
        if not text and not any(p.strip() for p in parameters):
            continue
        if not re.fullmatch(r"\*?[:\w]+\??", text, re.ASCII):
            raise ValueError(f"{text[:40]!r} is no header")
        query, name = text.endswith("?"), text.rstrip("?")
        if not name.startswith("*"):
            name = name[1:] if name.startswith(":") else path + name
            path = name.rpartition(":")[0] + ":" if ":" in name else ""
        cleaned = tuple(p if p[:1] == b"#" else p.strip() for p in (q.lstrip() for q in parameters))
        found.append(Unit(name, query, () if cleaned == (b"",) else cleaned))
    return found


def _pieces(message: bytes) -> list[list[bytes]]:
    """Units as lists of their parts between commas; the first part holds the header."""
    whole: list[list[bytes]] = [[]]
    start = at = 0
    while True:
        mark = _UNIT_MARK.search(message, at)
        if mark is None:
            break
        sign, at = mark[0], mark.end()
        if sign in b",;":
            whole[-1].append(message[start : mark.start()])
            start = at
            if sign == b";":
                whole.append([])
        else:
            at = _behind(message, mark.start(), sign)
    rest = message[start:]
    whole[-1].append(rest.removesuffix(b"\r") if at < len(message) else rest)
    return whole


def _behind(message: bytes, at: int, sign: bytes) -> int:
    """Place behind the string, list or block that begins at `at`."""
    if sign == b"#":
        digit = message[at + 1 : at + 2]
        if not digit.isdigit():
            return at + 1
        if digit == b"0":
            return len(message)
        length = message[at + 2 : at + 2 + int(digit)]
        if len(length) != int(digit) or not length.isdigit():
            raise ValueError(f"{message[at : at + 2 + MAX_BLOCK_DIGITS]!r} is no block header")
        end = at + 2 + int(digit) + int(length)
        if end > len(message):
            raise ValueError(f"block of {int(length)} bytes, {len(message) - (end - int(length))} came")
        return end
    closing = b")" if sign == b"(" else sign
    end = message.find(closing, at + 1)
    if end < 0:
        raise ValueError(f"{message[at : at + 20]!r} does not end")
    return end + 1
