"""IEEE 488.2 blocks (SCPI.md section 2), for both ends."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

MAX_BLOCK_DIGITS = 9
LEFT_OUT = b"#!"
"""Begins what stands in a message for a block that was too long to be kept; its length follows. No block begins so."""


class BlockError(ValueError):
    """Bytes that are no block."""


def block(data: bytes) -> bytes:
    """A definite-length block: `#<n><length><bytes>`."""
    length = str(len(data)).encode()
    if len(length) > MAX_BLOCK_DIGITS:
        raise BlockError(f"{len(data)} bytes do not fit a definite-length block")
    return b"#%d%s%s" % (len(length), length, data)


def header_length(start: bytes) -> int:
    """Bytes of the header that `start` begins with, at least 2 of which are given; 2 for an indefinite block.

    Raises:
        BlockError: no `#` and digit.
    """
    if len(start) < 2 or start[:1] != b"#" or not start[1:2].isdigit():
        raise BlockError(f"{start[:16]!r} is no block header: expected '#' and a digit")
    return 2 + int(start[1:2])


def data_length(header: bytes) -> int | None:
    """Bytes that follow a complete header; None for an indefinite block (up to the END).

    Raises:
        BlockError: its length is not made of digits.
    """
    if header_length(header) == 2:
        return None
    digits = header[2:]
    if not digits.isdigit() or len(digits) != int(header[1:2]):
        raise BlockError(f"{header[:16]!r} is no block header: expected {header[1:2].decode()} digits after it")
    return int(digits)


def pack_array(values: NDArray[np.generic], *, swapped: bool) -> bytes:
    """A block of numbers in their own width, little-endian when swapped, else big-endian."""
    dtype = values.dtype.newbyteorder("<" if swapped else ">")
    return block(np.ascontiguousarray(values, dtype=dtype).tobytes())


def parse_array(data: bytes, kind: str, *, swapped: bool) -> NDArray[np.generic]:
    """Numbers of a numpy kind (`u2`, `f8`) from a block's bytes, in native order.

    Raises:
        BlockError: not a whole number of them.
    """
    dtype = np.dtype(("<" if swapped else ">") + kind)
    if len(data) % dtype.itemsize:
        raise BlockError(f"{len(data)} bytes are no whole number of {dtype.itemsize}-byte values")
    return np.frombuffer(data, dtype).astype(dtype.newbyteorder("="), copy=False)
