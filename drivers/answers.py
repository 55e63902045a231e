"""The one reader of what instruments answer: text, fields and numbers out of any bytes.

Boxes end their lines with NULs, put a prompt before them, write integers as `1.0e+00`, numbers with a decimal comma,
and `nil` or nothing where a value is missing. What can be read is read, everywhere alike; anything else is one sentence
that names the box, the question and the answer.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from drivers.errors import ProtocolViolation
from firmware_specs.printable import printable

PADDING = b" \t\r\n\0\x11\x13"
"""Around a line: blanks, ends of lines, NULs, and the XON and XOFF of a serial port."""
_PROMPT = re.compile(rb"(?:(?:TSP|SCPI|[A-Z]{0,3}\d{4,6}[A-Z]?)[>?]|>>>>|>)[ \t\0]*")
"""What a box says when it is ready: `TSP>`, `TSP?`, `SCPI> `, `34980A> `."""
_COMMA = re.compile(r"[-+]?\d+,\d+(?:[eE][-+]?\d+)?")
_NOTHING = ("nil", "none", "null", "")
SWITCHES: Mapping[str, bool] = {"ON": True, "OFF": False, "TRUE": True, "FALSE": False}
MOST_WHOLE = 2.0**64
SHOWN = 120


def line(raw: bytes) -> str:
    """A line as text, without what stands around it."""
    return stripped(raw).decode(errors="backslashreplace")


def stripped(raw: bytes) -> bytes:
    """A line without its end, NULs, and the prompts before it."""
    bare = raw.strip(PADDING)
    while (b">" in bare or b"?" in bare) and (prompt := _PROMPT.match(bare)):
        bare = bare[prompt.end() :].strip(PADDING)
    return bare


def only_prompts(raw: bytes) -> bool:
    """Is there nothing in it but prompts, NULs and ends of lines?"""
    return not any(stripped(part) for part in raw.split(b"\n"))


def is_prompt(raw: bytes) -> bool:
    """Is a line a prompt and nothing else?"""
    return (b">" in raw or b"?" in raw) and not stripped(raw)


def number(text: str, what: str, device: str) -> float:
    """A number, however it is written; NaN and infinities pass.

    Args:
        text: The answer, or a field of it.
        what: The question, for the message.
        device: Who was asked.

    Raises:
        ProtocolViolation: it is none.
    """
    value = maybe(text)
    if value is None:
        raise nonsense(text, what, device, f"a number is expected{_hint(text)}")
    return value


def maybe(text: str) -> float | None:
    """A number where it is one, as instruments write them: no `_` between digits, no other alphabet's digits."""
    plain = bare(text)
    if not plain.isascii() or "_" in plain:
        return None
    try:
        return float(plain)
    except ValueError:
        return None


def whole(text: str, what: str, device: str) -> int:
    """A whole number, `1` or `1.0e+00`; raises `ProtocolViolation`."""
    value = number(text, what, device)
    if not (abs(value) < MOST_WHOLE and value == int(value)):
        raise nonsense(text, what, device, "a whole number is expected")
    return int(value)


def flag(text: str, what: str, device: str) -> bool:
    """Yes or no: `0`, `1`, the same as a real number, `ON`, `OFF`; raises `ProtocolViolation`."""
    if (known := SWITCHES.get(bare(text).upper())) is not None:
        return known
    value = maybe(text)
    if value not in (0.0, 1.0):
        raise nonsense(text, what, device, "0 or 1 is expected")
    return value == 1.0


def fields(text: str, count: int, what: str, device: str, *, separator: str = ",") -> list[str]:
    """Exactly so many fields of an answer.

    Raises:
        ProtocolViolation: there are more or fewer.
    """
    found = text.split(separator)
    if len(found) != count:
        few = f"{count} value{'s' if count > 1 else ''} expected, {len(found)} came"
        comma = " (a decimal comma?)" if separator == "," and len(found) == 2 * count and _commas(found) else ""
        raise nonsense(text, what, device, few + comma)
    return found


def nonsense(text: str, what: str, device: str, why: str) -> ProtocolViolation:
    """The sentence about an answer that is none."""
    return ProtocolViolation(
        f"{what} was answered {printable(repr(text), SHOWN)}: {why}",
        device=device,
        todo="Check that the address and the bench file name the right box, and how it is set to write its answers",
    )


def bare(text: str) -> str:
    """A field without quotes and what stands around it."""
    return text.strip(" \t\r\n\0\"'")


def _hint(text: str) -> str:
    if _COMMA.fullmatch(bare(text)):
        return ", with a decimal point: set the box to one"
    return "; the box has no value here" if bare(text).lower() in _NOTHING else ""


def _commas(found: list[str]) -> bool:
    return all(_COMMA.fullmatch(f"{a},{b}".strip()) for a, b in zip(found[::2], found[1::2], strict=True))
