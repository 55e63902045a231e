"""Frames of the serial protocol, bytes in and frames out (PROTOCOL.md section 2). No clock, no socket.

`encode` makes the bytes of one frame; `Decoder` takes bytes as they come and gives frames and notes of damage, in
order, with bounded memory.
"""

from __future__ import annotations

import zlib
from struct import Struct
from typing import NamedTuple

from cobs import cobs

from firmware_specs.codes import VERSION, Kind

MAX_FRAME = 4096
"""Bytes of the longest frame, delimiter included."""
MAX_ENCODED = MAX_FRAME - 1
HEADER = Struct("<BBBBIIHHH")
CRC = Struct("<I")
MAX_PAYLOAD = 4056
"""Payload bytes of a full frame."""
MIN_BODY = HEADER.size + CRC.size
DELIMITER = b"\x00"


class Frame(NamedTuple):
    """One frame, decoded.

    Attributes:
        kind: What it is (`Kind`).
        opcode: Verb of its transaction; 0 in CREDIT, NAK, SYNC and SYNCED.
        flags: Device state (`DeviceFlag`); 0 from the host.
        session: Nonce of the session.
        sequence: Number of the transaction.
        part: Number of this frame in its message, from 0.
        parts: Frames of the message.
        payload: 0 to 4,056 bytes.
    """

    kind: int
    opcode: int
    flags: int
    session: int
    sequence: int
    part: int = 0
    parts: int = 1
    payload: bytes = b""


class Damaged(NamedTuple):
    """Bytes between two delimiters that are no valid frame.

    Attributes:
        reason: What is wrong with them.
        head: Their first bytes, at most 32.
    """

    reason: str
    head: bytes


def encode(frame: Frame) -> bytes:
    """Bytes of a frame on the wire, delimiter included.

    Raises:
        ValueError: the payload is longer than a frame takes, or a field does not fit.
    """
    payload = frame.payload
    if len(payload) > MAX_PAYLOAD:
        raise ValueError(f"payload of {len(payload)} bytes: a frame takes at most {MAX_PAYLOAD}")
    try:
        head = HEADER.pack(VERSION, *frame[:7], len(payload))
    except Exception as error:  # struct.error has no base class of its own
        raise ValueError(f"a header field of {frame[:7]} does not fit: {error}") from error
    body = head + payload
    return cobs.encode(body + CRC.pack(zlib.crc32(body))) + DELIMITER


def decode(encoded: bytes) -> Frame | Damaged:
    """One frame from the bytes between two delimiters."""
    reason = "longer than a frame"
    if len(encoded) <= MAX_ENCODED:
        try:
            return _parse(cobs.decode(encoded))
        except cobs.DecodeError as error:
            reason = f"COBS: {error}"
        except ValueError as error:
            reason = str(error)
    return Damaged(reason, bytes(encoded[:32]))


def _parse(body: bytes) -> Frame:
    if len(body) < MIN_BODY:
        raise ValueError(f"{len(body)} bytes, shorter than header and CRC ({MIN_BODY})")
    if zlib.crc32(body[: -CRC.size]).to_bytes(CRC.size, "little") != body[-CRC.size :]:
        raise ValueError("CRC-32 differs")
    version, kind, opcode, flags, session, sequence, part, parts, length = HEADER.unpack_from(body)
    if version != VERSION:
        raise ValueError(f"protocol version {version}, expected {VERSION}")
    if length != len(body) - MIN_BODY:
        raise ValueError(f"length field {length}, payload {len(body) - MIN_BODY}")
    if part >= parts:
        raise ValueError(f"frame {part} of {parts}")
    if kind not in _KINDS:
        raise ValueError(f"unknown kind {kind}")
    return Frame(kind, opcode, flags, session, sequence, part, parts, body[HEADER.size : -CRC.size])


_KINDS = frozenset(int(kind) for kind in Kind)


class Decoder:
    """Takes bytes in any portions; keeps at most one frame's worth of them."""

    def __init__(self) -> None:
        self._pending = b""
        self._dropping = False

    @property
    def pending(self) -> int:
        """Bytes held of a frame that is not complete."""
        return len(self._pending)

    def feed(self, data: bytes) -> list[Frame | Damaged]:
        """Frames, and notes of damaged ones, that `data` completes, in order of arrival."""
        pieces = (self._pending + data).split(DELIMITER)
        self._pending = pieces.pop()
        if pieces and self._dropping:
            del pieces[0]
            self._dropping = False
        found = [decode(piece) for piece in pieces if piece]
        if self._dropping:
            self._pending = b""
        elif len(self._pending) > MAX_ENCODED:
            found.append(Damaged("longer than a frame, no delimiter", self._pending[:32]))
            self._pending = b""
            self._dropping = True
        return found
