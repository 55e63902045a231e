"""Frames of the serial protocol, bytes in and frames out (PROTOCOL.md section 2). No clock, no socket.

`encode` makes the bytes of one frame; `Decoder` takes bytes as they come and gives frames and notes of damage, in
order, with bounded memory.
"""

from __future__ import annotations

import struct
import zlib
from typing import NamedTuple

from cobs import cobs

from firmware_specs.codes import VERSION, Kind

MAX_FRAME = 4096
"""Bytes of the longest frame, delimiter included."""
MAX_ENCODED = MAX_FRAME - 1
HEADER = struct.Struct("<BBBBIIHHH")
CRC = struct.Struct("<I")
MAX_PAYLOAD = 4056
"""Payload bytes of a full frame."""
HEADER_SIZE, CRC_SIZE = HEADER.size, CRC.size
MIN_BODY = HEADER_SIZE + CRC_SIZE
RESIDUE = 0x2144DF1C
"""CRC-32 of any bytes that end in their own CRC-32, low byte first."""
DELIMITER = b"\x00"
_KINDS = frozenset(int(kind) for kind in Kind)
_crc32, _stuff, _unstuff = zlib.crc32, cobs.encode, cobs.decode
_pack, _unpack, _pack_crc = HEADER.pack, HEADER.unpack_from, CRC.pack


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
    kind, opcode, flags, session, sequence, part, parts, payload = frame
    length = len(payload)
    if length > MAX_PAYLOAD:
        raise ValueError(f"payload of {length} bytes: a frame takes at most {MAX_PAYLOAD}")
    try:
        body = _pack(VERSION, kind, opcode, flags, session, sequence, part, parts, length) + payload
    except struct.error as error:
        raise ValueError(f"a header field of {frame[:7]} does not fit: {error}") from error
    return _stuff(body + _pack_crc(_crc32(body))) + DELIMITER


def decode(encoded: bytes) -> Frame | Damaged:
    """One frame from the bytes between two delimiters."""
    if len(encoded) > MAX_ENCODED:
        return Damaged("longer than a frame", bytes(encoded[:32]))
    try:
        body = _unstuff(encoded)
    except cobs.DecodeError as error:
        return Damaged(f"COBS: {error}", bytes(encoded[:32]))
    size = len(body)
    if size < MIN_BODY:
        return Damaged(f"{size} bytes, shorter than header and CRC ({MIN_BODY})", bytes(encoded[:32]))
    if _crc32(body) != RESIDUE:
        return Damaged("CRC-32 differs", bytes(encoded[:32]))
    version, kind, opcode, flags, session, sequence, part, parts, length = _unpack(body)
    if version != VERSION or length != size - MIN_BODY or part >= parts or kind not in _KINDS:
        return Damaged(_misfit(version, kind, part, parts, length, size - MIN_BODY), bytes(encoded[:32]))
    return Frame(kind, opcode, flags, session, sequence, part, parts, body[HEADER_SIZE:-CRC_SIZE])


def _misfit(version: int, kind: int, part: int, parts: int, length: int, payload: int) -> str:
    """Which header field of a frame with a sound CRC is wrong."""
    if version != VERSION:
        return f"protocol version {version}, expected {VERSION}"
    if length != payload:
        return f"length field {length}, payload {payload}"
    return f"frame {part} of {parts}" if part >= parts else f"unknown kind {kind}"


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
