"""From a bench file's instrument to an object that plays its role."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import Any

from drivers.errors import LinkTimeout, ProtocolViolation
from drivers.instruments.dialogue import Dialogue
from firmware_specs.racks.identity import answers, fields
from firmware_specs.racks.model import facts, imported, model, models
from firmware_specs.racks.wiring import Instrument


def open_instrument(dialogue: Dialogue, name: str, spec: Instrument, line_hz: float, patience_s: float = 0.0) -> Any:
    """Asks an instrument who it is and gives it its driver.

    Args:
        dialogue: Session to it.
        name: As the rack calls it.
        spec: Who it should be.
        line_hz: Mains frequency.
        patience_s: How much longer than usual the first answer may take: an instrument that still watches a host that
            was killed answers when its watch has run out.

    Raises:
        ProtocolViolation: another model or serial number answers; nothing but `*IDN?` was sent, and to one that did not
            answer a device clear, and `WAKING` of its driver. LinkTimeout: it never answered.
    """
    driver = imported(model(spec.model).driver)
    check_identity(_identity(dialogue, patience_s, getattr(driver, "WAKING", ())), name, spec)
    return driver(dialogue, name, line_hz, spec.facts)


def _identity(dialogue: Dialogue, patience_s: float, waking: Sequence[str]) -> str:
    """What `*IDN?` answers; of a silent box after a device clear, then after words that end what somebody left."""
    try:
        return dialogue.ask("*IDN?", timeout_s=patience_s)
    except LinkTimeout as silent:
        for words in ((), waking) if waking else ((),):
            with contextlib.suppress(LinkTimeout):
                return dialogue.ask_anew("*IDN?", words)
        raise silent


def check_identity(answer: str, name: str, spec: Instrument) -> None:
    """Compares an `*IDN?` answer with the model, and with the serial number where one is given.

    Raises:
        ProtocolViolation: they differ.
    """
    got = fields(answer)
    serial = spec.serial or (got[2] if len(got) > 2 else "")
    if answers(spec.facts, answer) and got[2:3] == [serial]:
        return
    expected = ",".join([*fields(spec.facts.identity)[:2], spec.serial or "<any serial>"])
    others = [other for other in models() if other != spec.model and answers(facts(other), answer)]
    is_one = f"; it is a {others[0]}" if others else ""
    instead = f', or say model = "{others[0]}"' if others else ""
    raise ProtocolViolation(
        f"{name} is expected to be {expected}, {answer!r} answers{is_one}",
        device=dialogue_name(spec),
        todo=f"Check the address in the bench file and the cables{instead}; nothing but *IDN? was sent",
    )


def dialogue_name(spec: Instrument) -> str:
    """How errors name an instrument."""
    return spec.address or spec.model
