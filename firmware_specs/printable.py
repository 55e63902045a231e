"""Outside text made printable: what devices, files and clients say may be shown, and does nothing but be read.

A terminal obeys escape sequences, a log is read line by line, and directional marks turn a sentence round. So whatever
was written by somebody else is shown in one line, with everything that is no visible character spelled out.
"""

from __future__ import annotations

MOST = 1000
"""Characters that are shown at most."""


def printable(text: str | bytes, most: int = MOST, *, lines: bool = False) -> str:
    """Text of a stranger as it may be printed.

    Args:
        text: Whatever came; of bytes UTF-8 is expected and nothing assumed.
        most: Characters that are shown; the number of those left out is said.
        lines: Keep newlines and tabs: for our own text of several lines that quotes a stranger.

    Returns:
        The text, with controls, escapes, directional and other invisible characters spelled out as Python does.
    """
    if isinstance(text, bytes | bytearray):
        text = bytes(text[: 4 * most + 4]).decode(errors="backslashreplace")
    shown, left_out = text[:most], len(text) - most
    if not shown.isprintable():
        shown = "".join(sign if sign.isprintable() or (lines and sign in "\n\t") else _spelled(sign) for sign in shown)
    return shown if left_out <= 0 else f"{shown}... ({left_out} more characters)"


def _spelled(sign: str) -> str:
    return repr(sign)[1:-1]
