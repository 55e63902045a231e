"""Converter codes and back, in numpy; formulas in PROTOCOL.md 7.1.

Up to 16 bits the arithmetic is done in the values' own floating-point type, as the emulator does it in torch, so that
the same numbers come out of every door to the last bit. Wider codes need 64-bit floating point.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from firmware_specs.messages import Codes, Converter, code_dtype

Floats = NDArray[np.floating[Any]]
NATIVE_BITS = 16


def to_codes(converter: Converter, values: Floats) -> tuple[Codes, NDArray[np.int64]]:
    """Codes of values, (batch, units), and how many values of each sample the range clipped, (batch,).

    `code = clip(round((x - low) * max / (high - low)), 0, max)`, ties to even.
    """
    clipped = ((values < converter.low) | (values > converter.high)).reshape(len(values), -1).sum(1)
    wide = values if converter.bits <= NATIVE_BITS else values.astype(np.float64)
    scale = converter.max_code / (converter.high - converter.low)
    code = (np.clip(wide, converter.low, converter.high) - converter.low) * scale
    np.rint(code, out=code)
    np.clip(code, 0, converter.max_code, out=code)
    return code.astype(code_dtype(converter.max_code)), clipped


def from_codes(converter: Converter, codes: Codes, reads: int, dtype: np.dtype[Any]) -> Floats:
    """Values of codes that are sums over `reads` conversions; the mean where there are several."""
    wide = dtype if converter.bits <= NATIVE_BITS and reads == 1 else np.dtype(np.float64)
    values = codes.astype(wide)
    if reads > 1:
        values /= reads
    values *= converter.lsb
    values += converter.low
    return values.astype(dtype, copy=False)


def rail_codes(converter: Converter, codes: Codes, reads: int) -> NDArray[np.int64]:
    """Readings of each sample at the first or last code: (..., units) gives (...,)."""
    return ((codes == 0) | (codes == converter.max_code * reads)).sum(-1)


def reach(converter: Converter, codes: Codes) -> Floats:
    """The two values that bound what these codes send, for the limit check."""
    ends = np.array([codes.min(), codes.max()], dtype=np.float64) * converter.lsb + converter.low
    return np.clip(ends, converter.low, converter.high)
