"""Common commands, error queue and status registers (IEEE 488.2, SCPI-99), as every SCPI instrument has them."""

from __future__ import annotations

from collections import deque
from functools import partial
from typing import Protocol

from emulator.instruments.call import Action, Call, Key, Reply
from firmware_specs.instruments.kinds import Value
from firmware_specs.scpi.status import Status

REGISTERS = ("event", "condition", "enable", "positive", "negative")


class Box(Protocol):
    """What the common commands act on; `ScpiInstrument` is one."""

    status: Status
    queue: deque[tuple[int, str]]
    kept: dict[Key, Value]
    saved: dict[int, dict[Key, Value]]

    def forget(self, prefix: str = "") -> None:
        """Settings back to what the table says."""

    def reset(self) -> None:
        """What `*RST` does beside."""

    def identity(self) -> str:
        """Answer to `*IDN?`."""
        ...

    def status_byte(self, message: bool = False) -> int:
        """As a serial poll reads it."""
        ...

    def next_error(self) -> str:
        """The oldest entry of the error queue."""
        ...

    def recall(self, settings: dict[Key, Value]) -> None:
        """Settings as they were saved."""


def common_actions(box: Box) -> dict[str, Action]:
    """What every instrument does alike, by name."""
    status = box.status
    found: dict[str, Action] = {
        "*IDN": lambda c: box.identity(),
        "*RST": partial(_reset, box),
        "*CLS": partial(_clear, box),
        "*OPC": partial(_complete, box),
        "*WAI": lambda c: None,
        "*ESR": lambda c: str(status.take_events()),
        "*STB": lambda c: str(box.status_byte()),
        "*ESE": partial(_mask, box, "event_enable"),
        "*SRE": partial(_mask, box, "service_enable"),
        "*TST": lambda c: "0",
        "memory.save": lambda c: box.saved.update({c.p.integer(0, 4): dict(box.kept)}),
        "memory.recall": lambda c: box.recall(box.saved.get(c.p.integer(0, 4), {})),
        "error.next": lambda c: box.next_error(),
        "error.all": partial(_all_errors, box),
        "error.count": lambda c: str(len(box.queue)),
        "error.clear": lambda c: box.queue.clear(),
        "status.preset": partial(_preset, box),
        "status.clear": lambda c: status.clear(),
    }
    for name in status.groups:
        for register in REGISTERS:
            found[f"status.{name}.{register}"] = partial(_register, box, name, register)
    return found


def _reset(box: Box, call: Call) -> None:
    box.forget()
    box.reset()


def _clear(box: Box, call: Call) -> None:
    box.queue.clear()
    box.status.clear()


def _complete(box: Box, call: Call) -> Reply:
    """Everything is carried out in order, so whatever was pending is complete."""
    if call.query:
        return "1"
    box.status.events |= 1
    return None


def _preset(box: Box, call: Call) -> None:
    for group in box.status.groups.values():
        group.preset()


def _mask(box: Box, register: str, call: Call) -> Reply:
    if call.query:
        return str(getattr(box.status, register))
    setattr(box.status, register, call.p.integer(0, 255))
    return None


def _register(box: Box, group: str, register: str, call: Call) -> Reply:
    found = box.status.groups[group]
    if call.query:
        return str(found.take() if register == "event" else getattr(found, register))
    setattr(found, register, call.p.integer(0, 0xFFFF))
    return None


def _all_errors(box: Box, call: Call) -> str:
    entries = [box.next_error()]
    while box.queue:
        entries.append(box.next_error())
    return ",".join(entries)
