"""Readings as instruments send them: numbers in text, blocks of reals."""

from __future__ import annotations

import struct
from collections.abc import Sequence


def reals(values: Sequence[float], *, double: bool, swapped: bool, definite: bool) -> bytes:
    """A block of reals (IEEE 488.2, 8.7.9 and 8.7.10): with its length, or open to the end of the message."""
    payload = struct.pack(f"{'<' if swapped else '>'}{len(values)}{'d' if double else 'f'}", *map(_fits, values))
    if not definite:
        return b"#0" + payload
    length = str(len(payload)).encode()
    return b"#" + str(len(length)).encode() + length + payload


def _fits(value: float) -> float:
    """9.9E37 and its like fit a single; what does not is written as they are."""
    return max(min(value, 9.91e37), -9.91e37)
