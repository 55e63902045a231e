"""Common commands, error queue and status registers (IEEE 488.2, SCPI-99), as every SCPI instrument has them."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from emulator.instruments.core import Action, Call, Reply, ScpiInstrument

REGISTERS = ("event", "condition", "enable", "positive", "negative")


def common_actions(box: ScpiInstrument) -> dict[str, Action]:
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


def _reset(box: ScpiInstrument, call: Call) -> None:
    box.forget()
    box.reset()


def _clear(box: ScpiInstrument, call: Call) -> None:
    box.queue.clear()
    box.status.clear()


def _complete(box: ScpiInstrument, call: Call) -> Reply:
    """Everything is carried out in order, so whatever was pending is complete."""
    if call.query:
        return "1"
    box.status.events |= 1
    return None


def _preset(box: ScpiInstrument, call: Call) -> None:
    for group in box.status.groups.values():
        group.preset()


def _mask(box: ScpiInstrument, register: str, call: Call) -> Reply:
    if call.query:
        return str(getattr(box.status, register))
    setattr(box.status, register, call.p.integer(0, 255))
    return None


def _register(box: ScpiInstrument, group: str, register: str, call: Call) -> Reply:
    found = box.status.groups[group]
    if call.query:
        return str(found.take() if register == "event" else getattr(found, register))
    setattr(found, register, call.p.integer(0, 0xFFFF))
    return None


def _all_errors(box: ScpiInstrument, call: Call) -> str:
    entries = [box.next_error()]
    while box.queue:
        entries.append(box.next_error())
    return ",".join(entries)
