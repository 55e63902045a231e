"""Parts by a short text: `resistor:1e3`, `diode:saturation_a=1e-14`, `cell:reram,start=0.5`, `my_parts:Bulb?ohm=10`."""

from __future__ import annotations

from typing import Any

from emulator.circuits.part import Part
from emulator.circuits.parts import Capacitor
from firmware_specs.printable import printable
from firmware_specs.refusals import close
from firmware_specs.registry import UnknownName, find, known, names


class DutError(ValueError):
    """A text that names no part; the message says what would."""


def make_dut(text: str) -> Part:
    """The part a text names: a name of the registry's, and after a colon its figures, by place or by name.

    A class of one's own is `module:Class?figures`; its module must have been named by a person, not by a file
    (`firmware_specs.registry`).

    Args:
        text: Figures are separated by commas.

    Raises:
        DutError: no such part, or figures that do not fit it.
    """
    name, colon, figures = text.partition(":")
    if colon and not known("duts", name):
        name, _, figures = text.partition("?")
    try:
        maker = find("duts", name)
    except UnknownName as error:
        near = close(printable(name, 80), names("duts"))
        raise DutError(f"'{printable(text, 80)}': {error}; {near}, or module:Class of your own") from error
    by_place: list[Any] = []
    by_name: dict[str, Any] = {}
    for part in filter(None, figures.replace("?", ",").replace("&", ",").split(",")):
        key, equals, value = part.partition("=")
        if equals:
            by_name[key.strip()] = _value(value)
        else:
            by_place.append(_value(part))
    try:
        made: Part = maker(*by_place, **by_name)
        float(made.amps(0.0))
    except (TypeError, ValueError, ZeroDivisionError, AttributeError) as error:
        raise DutError(f"'{printable(text, 80)}': {printable(str(error), 400)}") from error
    return made


def rc(ohm: float, farad: float) -> Capacitor:
    """A resistor and a capacitor in series."""
    return Capacitor(farad, series_ohm=ohm)


def _value(text: str) -> float | str:
    try:
        number = float(text)
    except ValueError:
        return text.strip()
    return int(number) if number.is_integer() and abs(number) < 1e15 else number
