"""Common commands of IEEE 488.2, which TSP boxes take beside Lua."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Protocol

from emulator.instruments.refused import Refused
from firmware_specs.scpi.status import Status

LARGEST = 1e12
SYNTAX = "TSP Syntax error at line 1: unexpected symbol near '*'"


class Starred(Protocol):
    """What these commands act on; `TspBox` is one."""

    status: Status
    queue: deque[tuple[int, str]]

    def identity(self) -> str:
        """Answer to `*IDN?`."""
        ...

    def status_byte(self, message: bool = False) -> int:
        """As a serial poll reads it."""
        ...

    def reset(self) -> None:
        """Attributes back to what the table says."""

    def say(self, data: bytes) -> None:
        """Gives an answer."""

    def fail(self, code: int, text: str) -> None:
        """Puts an error into the queue."""


def common(box: Starred, line: str) -> None:
    """Carries out a line that begins with a star, in capitals."""
    status = box.status
    word, _, value = line.partition(" ")
    answers: dict[str, Callable[[], object]] = {
        "*IDN?": box.identity,
        "*OPC?": lambda: "1",
        "*STB?": box.status_byte,
        "*ESR?": status.take_events,
        "*ESE?": lambda: status.event_enable,
        "*SRE?": lambda: status.service_enable,
        "*TST?": lambda: "0",
    }
    if word in answers:
        box.say(f"{answers[word]()}\n".encode())
    elif word in ("*ESE", "*SRE") and value.isdigit():
        setattr(status, "event_enable" if word == "*ESE" else "service_enable", int(value) & 255)
    elif word == "*RST":
        box.reset()
    elif word == "*CLS":
        box.queue.clear()
        status.clear()
    elif word == "*OPC":
        status.events |= 1
    elif word != "*WAI":
        box.fail(-285, SYNTAX)


def whole(value: object) -> int:
    """A whole number of a script, of a size that counts something."""
    found = number(value)
    if not abs(found) < LARGEST:
        raise Refused(1103, "Parameter too big")
    return int(found)


def number(value: object) -> float:
    """A number of a script; anything else is the script's mistake."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise Refused(-286, "TSP Runtime error at line 1: a number was expected")
    return float(value)
