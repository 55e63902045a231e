"""From a bench file's instrument to an object that plays its role."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from drivers.errors import ProtocolViolation
from drivers.instruments.clocks import RackClock
from drivers.instruments.dialogue import Dialogue
from drivers.instruments.keithley707b import Keithley707B
from drivers.instruments.keithley2400 import Keithley2400
from drivers.instruments.keithley2450 import Keithley2450
from drivers.instruments.keithley2600 import Keithley2600
from drivers.instruments.keysight34980a import Keysight34980A
from drivers.instruments.keysight_b2900 import KeysightB2900
from drivers.instruments.meters import KeithleyDAQ6510, Keysight34465A
from firmware_specs.racks.wiring import Instrument

DRIVERS: dict[str, Callable[[Dialogue, str, float], Any]] = {
    "keithley-2400": Keithley2400,
    "keithley-2450": Keithley2450,
    **{f"keithley-26{model}b": partial(Keithley2600, letters="a") for model in ("01", "11", "35")},
    **{f"keithley-26{model}b": Keithley2600 for model in ("02", "04", "12", "14", "34", "36")},
    **{f"keysight-b29{model}1a": partial(KeysightB2900, numbers="1") for model in ("0", "1")},
    **{f"keysight-b29{model}2a": KeysightB2900 for model in ("0", "1")},
    "keithley-707b": Keithley707B,
    "keysight-34980a": Keysight34980A,
    "keithley-daq6510": KeithleyDAQ6510,
    "keysight-34465a": Keysight34465A,
    "crossbar-hil-clock": RackClock,
}


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
        ProtocolViolation: another model or serial number answers; nothing but `*IDN?` was sent.
    """
    check_identity(dialogue.ask("*IDN?", timeout_s=patience_s), name, spec)
    return DRIVERS[spec.model](dialogue, name, line_hz)


def check_identity(answer: str, name: str, spec: Instrument) -> None:
    """Compares an `*IDN?` answer with the model's vendor and model, and with the serial number where one is given.

    Raises:
        ProtocolViolation: they differ.
    """
    wanted = [field.strip() for field in spec.facts.identity.split(",")]
    got = [field.strip() for field in answer.split(",")]
    serial = spec.serial or (got[2] if len(got) > 2 else "")
    if [f.casefold() for f in got[:2]] != [f.casefold() for f in wanted[:2]] or got[2:3] != [serial]:
        expected = ",".join([*wanted[:2], spec.serial or "<any serial>"])
        raise ProtocolViolation(
            f"{name} is expected to be {expected}, {answer!r} answers",
            device=dialogue_name(spec),
            todo="Check the address in the bench file and the cables; nothing but *IDN? was sent",
        )


def dialogue_name(spec: Instrument) -> str:
    """How errors name an instrument."""
    return spec.address or spec.model
