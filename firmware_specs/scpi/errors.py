"""Error codes of the instrument (SCPI.md section 3.2)."""

from __future__ import annotations

from collections import deque

from firmware_specs.codes import ErrorCode

QUEUE_DEPTH = 16
TEXTS = {
    0: "No error",
    -101: "Invalid character",
    -102: "Syntax error",
    -104: "Data type error",
    -108: "Parameter not allowed",
    -109: "Missing parameter",
    -113: "Undefined header",
    -114: "Header suffix out of range",
    -131: "Invalid suffix",
    -151: "Invalid string data",
    -161: "Invalid block data",
    -200: "Execution error",
    -221: "Settings conflict",
    -222: "Data out of range",
    -223: "Too much data",
    -224: "Illegal parameter value",
    -240: "Hardware error",
    -241: "Hardware missing",
    -310: "System error",
    -350: "Queue overflow",
    -363: "Input buffer overrun",
}
_CONFLICTS = ("NOT_ARMED", "NO_WATCHDOG", "TRIPPED", "NOT_CONFIGURED", "CONFLICT")
BY_CODE: dict[int, int] = {int(ErrorCode[name]): -221 for name in _CONFLICTS} | {
    ErrorCode.BUSY: -200,
    ErrorCode.FLOATING: -200,
    ErrorCode.OUT_OF_RANGE: -222,
    ErrorCode.LIMIT: -222,
    ErrorCode.BUDGET: -222,
    ErrorCode.TOO_LARGE: -223,
    ErrorCode.MALFORMED: -224,
    ErrorCode.DOES_NOT_FIT: -224,
    ErrorCode.HARDWARE: -240,
    ErrorCode.UNSUPPORTED: -241,
    ErrorCode.INTERNAL: -310,
    ErrorCode.UNKNOWN_OPCODE: -113,
    ErrorCode.STALE: -310,
}
"""Code of a refusal of the device, by its `ErrorCode`."""


class ScpiError(Exception):
    """A unit that failed.

    Attributes:
        code: Standard code.
        words: What was wrong, and what would be right.
    """

    def __init__(self, code: int, words: str = "") -> None:
        super().__init__(f"{code}, {TEXTS[code]}: {words}")
        self.code = code
        self.words = words


def entry(code: int, words: str = "") -> str:
    """One entry as SYSTem:ERRor? answers it."""
    text = f"{TEXTS[code]};{words}" if words else TEXTS[code]
    return '{},"{}"'.format(code, text.replace('"', "'").replace("\n", " "))


class ErrorQueue:
    """First in, first out, 16 entries; an overflow takes the last place (3.2)."""

    def __init__(self) -> None:
        self._entries: deque[str] = deque()

    def __len__(self) -> int:
        return len(self._entries)

    def put(self, code: int, words: str = "") -> None:
        """Adds an entry."""
        if len(self._entries) >= QUEUE_DEPTH:
            self._entries[-1] = entry(-350)
        else:
            self._entries.append(entry(code, words))

    def take(self) -> str:
        """The oldest entry."""
        return self._entries.popleft() if self._entries else entry(0)

    def take_all(self) -> str:
        """Every entry, joined by commas."""
        text = ",".join(self._entries) or entry(0)
        self._entries.clear()
        return text

    def clear(self) -> None:
        """Forgets all."""
        self._entries.clear()
