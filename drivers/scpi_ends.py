"""What every reply of an instrument ends with: the errors, and what their words say (SCPI.md 3.2 and 3.3)."""

from __future__ import annotations

import re

ERRORS = b";:SYST:ERR:ALL?\n"
MAX_ERRORS = 1 << 16
"""Bytes of the errors of one reply, at most."""
ERRORS_END = re.compile(rb';[-+]?\d{1,9},"(?:[^"\n]|"")*"(?:,[-+]?\d{1,9},"(?:[^"\n]|"")*")*\r?\n\Z')
NAMED = re.compile(r".*?;([A-Z_]+): (.*)", re.DOTALL)
BUSY_FOR = re.compile(r"(\d{1,6}) ms")
_ENTRY = re.compile(r'([-+]?\d{1,9}(?:\.\d{0,9}(?:[eE][-+]?\d{1,2})?)?),"((?:[^"]|"")*)"')


def split_errors(text: str) -> tuple[list[str], list[tuple[int, str]] | None]:
    """Replies before the last `;` outside quotes, and the entries behind it; None when those are no entries."""
    pieces, start, quoted = [], 0, False
    for at, sign in enumerate(text):
        if sign == '"':
            quoted = not quoted
        elif sign == ";" and not quoted:
            pieces.append(text[start:at])
            start = at + 1
    entries = _ENTRY.findall(text[start:])
    whole = ",".join(f'{code},"{words}"' for code, words in entries)
    if not entries or whole != text[start:].strip():
        return pieces, None
    return pieces, [(int(float(code)), words) for code, words in entries]
