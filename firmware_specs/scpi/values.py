"""Parameters of a unit as values (SCPI.md 1.3); whatever does not fit raises `ScpiError`."""

from __future__ import annotations

import math
import re

from firmware_specs.scpi.blocks import LEFT_OUT, BlockError, data_length, header_length
from firmware_specs.scpi.errors import ScpiError
from firmware_specs.scpi.tree import matches

UNITS = ("OHM", "SIE", "HZ", "V", "A", "S", "J", "K")
PREFIXES = {"P": 1e-12, "N": 1e-9, "U": 1e-6, "M": 1e-3, "K": 1e3, "MA": 1e6, "G": 1e9}
_NUMBER = re.compile(r"([-+]?(?:\d+\.?\d*|\.\d+)(?:E[-+]?\d+)?)\s*([A-Z]*)", re.ASCII)
_BASES = {"#H": 16, "#Q": 8, "#B": 2}
MAX_CHANNELS = 10_000
MAX_NUMBER = 400
"""Characters of a number."""


class Parameters:
    """Takes parameters one by one, in order."""

    def __init__(self, raw: tuple[bytes, ...]) -> None:
        self._raw = raw
        self._next = 0

    @property
    def left(self) -> int:
        """Parameters not taken yet."""
        return len(self._raw) - self._next

    @property
    def at_block(self) -> bool:
        """Is the next one a block?"""
        return self.left > 0 and self._raw[self._next][:1] == b"#" and self._raw[self._next][1:2].isdigit()

    def end(self) -> None:
        """Checks that all were taken."""
        if self.left:
            raise ScpiError(-108, f"{self._next} expected, {len(self._raw)} given")

    def number(self) -> float:
        """A finite number, in SI units."""
        text = self._text().upper()
        if text[:2] in _BASES:
            return self._based(text)
        match = _NUMBER.fullmatch(text[:MAX_NUMBER])
        if match is None:
            raise ScpiError(-104, f"parameter {self._next}: expected a number, got {text[:40]!r}")
        value = float(match[1]) * self._scale(match[2])
        if not math.isfinite(value):
            raise ScpiError(-222, f"parameter {self._next}: {text[:40]} is no finite number")
        return value

    def limit(self) -> float:
        """A number, or `INF`."""
        if self.left and self._raw[self._next].upper() in (b"INF", b"INFINITY", b"9.9E37", b"9.9E+37"):
            self._next += 1
            return math.inf
        return self.number()

    def integer(self, lowest: int = 0, highest: int = 2**32 - 1) -> int:
        """A whole number within bounds."""
        value = self.number()
        if not value.is_integer():
            raise ScpiError(-104, f"parameter {self._next}: expected a whole number, got {value}")
        if not lowest <= value <= highest:
            raise ScpiError(-222, f"parameter {self._next}: expected {lowest} .. {highest}, got {value:.0f}")
        return int(value)

    def boolean(self) -> bool:
        """`ON`, `OFF`, or a number, 0 being off."""
        if self.left and (text := self._raw[self._next].upper()) in (b"ON", b"OFF"):
            self._next += 1
            return text == b"ON"
        return self.integer(0, 1) == 1

    def word(self, *choices: str) -> str:
        """One of some words, in long or short form; returned in its long form, capitals."""
        text = self._text()
        for choice in choices:
            if matches(choice, text):
                return choice.upper()
        raise ScpiError(-224, f"parameter {self._next}: expected {' or '.join(choices)}, got {text[:40]!r}")

    def switch(self) -> bool:
        """`ON`, `OFF`, or a number that is rounded; 0 is off (SCPI-99, 7.3)."""
        word = self.maybe("ON", "OFF")
        return word == "ON" if word else round(self.number()) != 0

    def maybe(self, *choices: str) -> str | None:
        """The next one, if it is one of some words, in its long form, capitals; else None, nothing is taken."""
        if not self.left or not self._raw[self._next][:1].isalpha():
            return None
        text = self._raw[self._next].decode("ascii", errors="replace")
        found = next((choice.upper() for choice in choices if matches(choice, text)), None)
        self._next += found is not None
        return found

    def spelled(self, choices: tuple[str, ...]) -> str:
        """One of some words, quoted or not, returned as the choice is written."""
        text = self.string()
        for choice in choices:
            if matches(choice, text):
                return choice
        raise ScpiError(-224, f"parameter {self._next}: expected {' or '.join(choices)}, got {text[:40]!r}")

    def channels(self) -> list[str]:
        """A channel list `(@1001,1003:1005)`, ranges counted out; at most 10,000."""
        text = self._text().replace(" ", "")
        match = re.fullmatch(r"\(@([\d:,!]*)\)", text, re.ASCII)
        if match is None:
            raise ScpiError(-104, f"parameter {self._next}: expected a list like (@101,103:105), got {text[:40]!r}")
        found: list[str] = []
        for part in filter(None, match[1].split(",")):
            first, colon, last = part.partition(":")
            if not (first.isdigit() and (last or first).isdigit()) or len(first) > 6 or len(last) > 6:
                raise ScpiError(-224, f"{part[:20]!r} is no channel")
            found += [str(n) for n in range(int(first), int(last or first) + 1)] if colon else [first]
            if len(found) > MAX_CHANNELS:
                raise ScpiError(-223, f"a list of more than {MAX_CHANNELS} channels")
        return found

    @property
    def at_channels(self) -> bool:
        """Is the next one a channel list?"""
        return self.left > 0 and self._raw[self._next][:2] == b"(@"

    def string(self) -> str:
        """A quoted string, or bare text."""
        text = self._text()
        if text[:1] in ("'", '"'):
            if len(text) < 2 or text[-1] != text[0]:
                raise ScpiError(-151, f"parameter {self._next}: {text[:40]!r} does not end")
            return text[1:-1].replace(text[0] * 2, text[0])
        return text

    def layers(self) -> tuple[int, ...]:
        """A list `(@0,1)` of layer numbers; -1 is allowed."""
        numbers = self.numbers()
        if any(not -1 <= number <= 127 for number in numbers):
            shown = ",".join(map(str, numbers))[:40]
            raise ScpiError(-222, f"parameter {self._next}: layers are numbered -1 .. 127, got (@{shown})")
        return numbers

    def numbers(self) -> tuple[int, ...]:
        """A list `(@0,1)` of integers of at most ten digits."""
        text = self._text()
        match = re.fullmatch(r"\(@\s*(-?\d{1,10}(?:\s*,\s*-?\d{1,10})*)?\s*\)", text, re.ASCII)
        if match is None:
            raise ScpiError(-104, f"parameter {self._next}: expected a list like (@0,1), got {text[:40]!r}")
        return tuple(int(number) for number in match[1].split(",")) if match[1] else ()

    def block(self, expected: int | None = None) -> bytes:
        """Bytes of a block, as many as expected."""
        raw = self._take()
        try:
            head = raw[: header_length(raw)]
            length = data_length(head)
        except BlockError as error:
            raise ScpiError(-161, str(error)) from error
        data = raw[len(head) :] if length is None else raw[len(head) : len(head) + length]
        if length is not None and raw[len(head) + length :].strip():
            raise ScpiError(-161, f"parameter {self._next}: something follows the block's {length} bytes")
        if expected is not None and len(data) != expected:
            raise ScpiError(-161, f"parameter {self._next}: expected {expected} bytes, got {len(data)}")
        return data

    def _take(self) -> bytes:
        if not self.left:
            raise ScpiError(-109, f"parameter {self._next + 1} is missing")
        raw = self._raw[self._next]
        self._next += 1
        if not raw:
            raise ScpiError(-109, f"parameter {self._next} is empty")
        if raw.startswith(LEFT_OUT):
            size = raw[len(LEFT_OUT) :][:9].decode("ascii", errors="replace")
            raise ScpiError(-223, f"TOO_LARGE: {size} bytes, more than SYSTem:BLOCk:MAXimum? says in one message")
        return raw

    def _text(self) -> str:
        try:
            return self._take().decode("ascii")
        except UnicodeDecodeError as error:
            raise ScpiError(-101, f"parameter {self._next} is not ASCII") from error

    def _based(self, text: str) -> float:
        try:
            return float(int(text[2:34], _BASES[text[:2]]))
        except ValueError as error:
            raise ScpiError(-104, f"parameter {self._next}: {text[:40]!r} is no number") from error

    def _scale(self, suffix: str) -> float:
        if suffix in ("", *UNITS):
            return 1.0
        for unit in UNITS:
            prefix = suffix.removesuffix(unit)
            if prefix != suffix and prefix in PREFIXES:
                return 1e6 if suffix == "MOHM" else PREFIXES[prefix]
        raise ScpiError(-131, f"parameter {self._next}: unknown unit {suffix!r}")


def quoted(text: str) -> str:
    """A string reply."""
    return '"' + text.replace('"', '""').replace("\n", " ") + '"'


def numeric(value: float) -> str:
    """A number reply: integers as digits, others with 17 significant digits, infinity as `INF`."""
    if isinstance(value, int):
        return str(int(value))
    return "INF" if math.isinf(value) else f"{value:.17g}"
