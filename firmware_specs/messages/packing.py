"""Reading and writing payload fields (notation of PROTOCOL.md). Whatever does not parse raises `MalformedError`."""

from __future__ import annotations

import math
from functools import cache
from struct import Struct

import numpy as np
from numpy.typing import NDArray

MAX_TEXT = 1024
_LETTERS = dict(zip(("u8", "u16", "u32", "u64", "i8", "f32", "f64"), "BHIQbfd", strict=True))
_NUMBERS = {name: Struct("<" + code) for name, code in _LETTERS.items()}
WIDTHS = (1, 2, 4, 8)

Codes = NDArray[np.unsignedinteger]
"""Converter or conductance codes, dtype u1, u2, u4 or u8."""
Floats = NDArray[np.floating]


class MalformedError(ValueError):
    """A payload that does not parse.

    Attributes:
        offset: Byte in the payload where it went wrong.
    """

    def __init__(self, offset: int, problem: str) -> None:
        super().__init__(f"byte {offset}: {problem}")
        self.offset = offset


@cache
def _row(kinds: str) -> Struct:
    """Several numbers in a row, `u16 f64`."""
    return Struct("<" + "".join(_LETTERS[kind] for kind in kinds.split()))


def width_for(largest: int) -> int:
    """Bytes of a code whose largest value is `largest` (7.6): the smallest of 1, 2, 4, 8 that holds it."""
    for width in WIDTHS:
        if largest < 1 << 8 * width:
            return width
    raise ValueError(f"a code of {largest} needs more than 8 bytes")


def code_dtype(largest: int) -> np.dtype[np.unsignedinteger]:
    """Numpy type of codes up to `largest`."""
    return np.dtype(f"<u{width_for(largest)}")


class Writer:
    """Collects fields."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def put(self, kinds: str, *values: float) -> Writer:
        """Numbers, `kinds` naming the type of each: `put("u16 f64", 3, 0.5)`."""
        self._parts.append(_row(kinds).pack(*values))
        return self

    def text(self, value: str) -> Writer:
        """A `text`, cut to 1,024 bytes."""
        data = value.encode()[:MAX_TEXT].decode(errors="ignore").encode()
        return self.put("u16", len(data)).raw(data)

    def raw(self, data: bytes) -> Writer:
        """Bytes as they are."""
        self._parts.append(data)
        return self

    def array(self, values: NDArray[np.generic], kind: str) -> Writer:
        """Numbers of one numpy kind (`u4`, `f8`), row-major, without a count."""
        return self.raw(np.ascontiguousarray(values, dtype="<" + kind).tobytes())

    def codes(self, values: Codes) -> Writer:
        """`u8 width` and the codes, in the width of the array's dtype."""
        return self.put("u8", values.dtype.itemsize).array(values, f"u{values.dtype.itemsize}")

    def block(self, values: Codes) -> Writer:
        """`u8 width, u32 columns` and the codes of a (batch, columns) array."""
        self.put("u8 u32", values.dtype.itemsize, values.shape[-1])
        return self.array(values, f"u{values.dtype.itemsize}")

    def done(self) -> bytes:
        """The payload."""
        return b"".join(self._parts)


class Reader:
    """Walks a payload; every step checks that the bytes are there."""

    def __init__(self, payload: bytes) -> None:
        self._data = payload
        self.offset = 0

    def raw(self, size: int) -> bytes:
        """The next `size` bytes."""
        at = self._past(size)
        return self._data[at : at + size]

    def _past(self, size: int) -> int:
        """Steps over `size` bytes; returns where they begin."""
        at, end = self.offset, self.offset + size
        if end > len(self._data):
            raise MalformedError(at, f"{size} bytes expected, {len(self._data) - at} left")
        self.offset = end
        return at

    def rest(self) -> bytes:
        """All that is left."""
        return self.raw(len(self._data) - self.offset)

    def uint(self, kind: str, lowest: int = 0, highest: int | None = None) -> int:
        """An integer (`u8` .. `u64`, `i8`) within bounds."""
        number = _NUMBERS[kind]
        at = self._past(number.size)
        value: int = number.unpack_from(self._data, at)[0]
        if value < lowest or (highest is not None and value > highest):
            bound = f"{lowest} or more" if highest is None else f"{lowest} .. {highest}"
            raise MalformedError(at, f"{value}, expected {bound}")
        return value

    def uints(self, kind: str, count: int, lowest: int = 0) -> tuple[int, ...]:
        """`count` integers within bounds: one field, wrong at its first byte whichever of them is."""
        at = self.offset
        values = tuple(int(value) for (value,) in _NUMBERS[kind].iter_unpack(self.raw(count * _NUMBERS[kind].size)))
        if values and min(values) < lowest:
            raise MalformedError(at, f"{min(values)} is among them, expected {lowest} or more")
        return values

    def flag(self) -> bool:
        """A `u8` that is 0 or 1."""
        return bool(self.uint("u8", 0, 1))

    def number(self, kind: str = "f64", *, infinite: bool = False) -> float:
        """A floating-point number, finite unless `infinite` is allowed; never NaN."""
        number = _NUMBERS[kind]
        at = self._past(number.size)
        value: float = number.unpack_from(self._data, at)[0]
        if math.isnan(value) or (math.isinf(value) and not infinite):
            raise MalformedError(at, f"{value}, expected a finite number")
        return value

    def positive(self) -> float:
        """A finite `f64` above 0."""
        at = self.offset
        value = self.number()
        if value <= 0:
            raise MalformedError(at, f"{value}, expected a positive number")
        return value

    def text(self) -> str:
        """A `text`."""
        at = self.offset
        data = self.raw(self.uint("u16", 0, MAX_TEXT))
        try:
            return data.decode()
        except UnicodeDecodeError as error:
            raise MalformedError(at, f"not UTF-8: {error}") from error

    def array(self, kind: str, *shape: int) -> NDArray[np.generic]:
        """A read-only array of a numpy kind (`u4`, `f8`)."""
        size = math.prod(shape) * int(kind[1:])
        return np.frombuffer(self.raw(size), dtype="<" + kind).reshape(shape)

    def floats(self, kind: str, *shape: int) -> Floats:
        """Finite floating-point numbers of a numpy kind (`f4`, `f8`)."""
        at = self.offset
        values = self.array(kind, *shape)
        if not np.isfinite(values).all():
            raise MalformedError(at, "NaN or infinite, expected finite numbers")
        return values  # type: ignore[return-value]

    def codes(self, *shape: int) -> Codes:
        """`u8 width` and codes of a shape."""
        return self.array(f"u{self._width()}", *shape)  # type: ignore[return-value]

    def block(self, batch: int) -> Codes:
        """`u8 width, u32 columns` and codes, shape (batch, columns)."""
        width = self._width()
        return self.array(f"u{width}", batch, self.uint("u32"))  # type: ignore[return-value]

    def end(self) -> None:
        """Checks that nothing is left."""
        if self.offset != len(self._data):
            raise MalformedError(self.offset, f"{len(self._data) - self.offset} bytes too many")

    def _width(self) -> int:
        at = self.offset
        width = self.uint("u8")
        if width not in WIDTHS:
            raise MalformedError(at, f"width {width}, expected one of {WIDTHS}")
        return width
