"""Payloads of SYNC, SYNCED, CREDIT, NAK and ERROR (PROTOCOL.md sections 3, 4.3, 5.4 and 8)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from firmware_specs.messages.packing import MalformedError, Reader, Writer

MIN_WINDOW = 2
MAX_OWNER = 128
"""Bytes of the owner in SYNC (3.1)."""


@dataclass(frozen=True, slots=True)
class Sync:
    """Opens or continues a session (3.1).

    Attributes:
        window: Frames the host can take in without reading.
        previous: Nonce of the session to continue; 0 for none.
        owner: Who asks, for people.
        lowest: Lowest protocol version the host speaks.
        highest: Highest protocol version the host speaks.
    """

    window: int
    previous: int = 0
    owner: str = ""
    lowest: int = 1
    highest: int = 1

    def pack(self) -> bytes:
        """Payload."""
        head = Writer().put("u8 u8 u16 u32", self.lowest, self.highest, self.window, self.previous)
        return head.text(self.owner).done()

    @classmethod
    def parse(cls, payload: bytes) -> Self:
        """From a payload; raises `MalformedError`."""
        reader = Reader(payload)
        lowest, highest = reader.uint("u8"), reader.uint("u8")
        window, previous = reader.uint("u16", MIN_WINDOW), reader.uint("u32")
        at, owner = reader.offset, reader.text()
        if len(owner.encode()) > MAX_OWNER:
            raise MalformedError(at, f"owner of {len(owner.encode())} bytes, at most {MAX_OWNER}")
        reader.end()
        return cls(window, previous, owner, lowest, highest)


@dataclass(frozen=True, slots=True)
class Synced:
    """The device's answer to SYNC (3.1).

    Attributes:
        version: Agreed protocol version; 0: none in common.
        continued: Sequence numbers and reply cache of `previous` go on.
        window: Frames the device can take in.
        last: Sequence number of the last executed transaction.
        boot: Changes with every power-on and reset.
        max_request: Longest request, bytes.
        max_reply: Longest reply, bytes.
        replies: Replies the cache keeps at least.
    """

    version: int
    continued: bool
    window: int
    last: int
    boot: int
    max_request: int
    max_reply: int
    replies: int

    _KINDS = "u8 u8 u16 u32 u32 u32 u32 u16"

    def pack(self) -> bytes:
        """Payload."""
        head = (self.version, self.continued, self.window, self.last, self.boot)
        return Writer().put(self._KINDS, *head, self.max_request, self.max_reply, self.replies).done()

    @classmethod
    def parse(cls, payload: bytes) -> Self:
        """From a payload; raises `MalformedError`."""
        reader = Reader(payload)
        version, continued, window = reader.uint("u8"), reader.flag(), reader.uint("u16", MIN_WINDOW)
        last, boot, request, reply = (reader.uint("u32") for _ in range(4))
        replies = reader.uint("u16")
        reader.end()
        return cls(version, continued, window, last, boot, request, reply, replies)


@dataclass(frozen=True, slots=True)
class Credit:
    """All frames of the message before `next` were taken in (4.3)."""

    next: int

    def pack(self) -> bytes:
        """Payload."""
        return Writer().put("u16", self.next).done()

    @classmethod
    def parse(cls, payload: bytes) -> Self:
        """From a payload; raises `MalformedError`."""
        reader = Reader(payload)
        credit = cls(reader.uint("u16"))
        reader.end()
        return credit


@dataclass(frozen=True, slots=True)
class Nak:
    """Everything before this frame is in; go on from here (5.4)."""

    reason: int
    sequence: int
    part: int

    def pack(self) -> bytes:
        """Payload."""
        return Writer().put("u8 u32 u16", self.reason, self.sequence, self.part).done()

    @classmethod
    def parse(cls, payload: bytes) -> Self:
        """From a payload; raises `MalformedError`."""
        reader = Reader(payload)
        nak = cls(reader.uint("u8"), reader.uint("u32"), reader.uint("u16"))
        reader.end()
        return nak


@dataclass(frozen=True, slots=True)
class Refusal:
    """Payload of an ERROR frame (8).

    Attributes:
        code: `ErrorCode`; numbers this version does not know are kept as they are.
        detail: Meaning depends on the code.
        text: In words.
    """

    code: int
    detail: int = 0
    text: str = ""

    def pack(self) -> bytes:
        """Payload."""
        return Writer().put("u16 u32", self.code, self.detail & 0xFFFFFFFF).text(self.text).done()

    @classmethod
    def parse(cls, payload: bytes) -> Self:
        """From a payload; raises `MalformedError`."""
        reader = Reader(payload)
        refusal = cls(reader.uint("u16"), reader.uint("u32"), reader.text())
        reader.end()
        return refusal
