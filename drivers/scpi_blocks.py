"""Blocks of an instrument's reply, read off the wire (SCPI.md 2): however long, and whatever their bytes are."""

from __future__ import annotations

import time

from drivers.errors import LinkTimeout, ProtocolViolation
from drivers.scpi_ends import ERRORS_END, MAX_ERRORS
from drivers.transport import Transport
from firmware_specs.scpi import BlockError, data_length, header_length

PIECE = 4096


class BlockReader:
    """Reads blocks.

    Args:
        wire: The byte seam.
    """

    def __init__(self, wire: Transport) -> None:
        self._wire = wire

    def take(self, piece: bytes, until: float, most: int) -> tuple[bytes, bytes]:
        """The bytes of the block that a piece begins with, and a piece of what follows it, at least two bytes."""
        try:
            piece = self._at_least(piece, 2, until)
            start = header_length(piece)
            piece = self._at_least(piece, start, until)
            length = data_length(piece[:start])
        except BlockError as error:
            raise ProtocolViolation(str(error), device=self._wire.address, last=piece) from error
        if length is None:
            return self._indefinite(piece[start:], until, most)
        if length > most:
            text = f"a block of {length} bytes is announced, {most} are the most that can be right"
            raise ProtocolViolation(text, device=self._wire.address, last=piece[:start])
        data, rest = self._at_least(piece[start : start + length], length, until), piece[start + length :]
        while len(rest) < 2 and not rest.endswith(b"\n"):
            rest += self._wire.read_piece(b"\n", PIECE, until)
        return data, rest

    def _indefinite(self, begun: bytes, until: float, most: int) -> tuple[bytes, bytes]:
        """A block `#0`, which goes on to the end of the message: the errors are looked for there, not in the block.

        A stream has no other end than a newline, which the block may hold: where bytes of it look like an end, it
        comes out short, and whoever knows its length refuses it.
        """
        data, line = bytearray(begun), 0
        while not (data.endswith(b"\n") and (end := ERRORS_END.search(data, max(line, len(data) - MAX_ERRORS)))):
            line = data.rfind(b"\n") + 1  # no error holds a newline
            if len(data) > most + MAX_ERRORS:
                text = f"a block of indefinite length did not end within {most} bytes"
                raise ProtocolViolation(text, device=self._wire.address, last=bytes(data[-64:]))
            if time.monotonic() >= until:
                text = f"a block of indefinite length did not end, {len(data)} bytes of it came before the deadline"
                raise LinkTimeout(text, device=self._wire.address, last=bytes(data[-64:]))
            data += self._wire.read_piece(b"\n", PIECE, until)
        return bytes(data[: end.start()]), bytes(data[end.start() :])

    def _at_least(self, piece: bytes, count: int, until: float) -> bytes:
        missing = count - len(piece)
        return piece + self._wire.read_exact(missing, until) if missing > 0 else piece
