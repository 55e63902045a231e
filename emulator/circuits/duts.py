"""Parts by a short text: `resistor:1e3`, `diode:saturation_a=1e-14`, `cell:reram?start=0.5`, `my_parts:Bulb?ohm=10`."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

from emulator.circuits.cell import Cell
from emulator.circuits.part import Part
from emulator.circuits.parts import Capacitor, Diode, Open, Resistor

DUTS: dict[str, Callable[..., Part]] = {
    "resistor": Resistor,
    "diode": Diode,
    "capacitor": Capacitor,
    "rc": lambda ohm, farad: Capacitor(farad, series_ohm=ohm),
    "cell": Cell.of,
    "open": Open,
}


class DutError(ValueError):
    """A text that names no part; the message says what would."""


def make_dut(text: str) -> Part:
    """The part a text names: a kind, and after a colon its figures, by place or by name, between commas, `?` or `&`.

    A kind with a dot or a class after the colon is a class of one's own: `module:Class?figure=value`.

    Raises:
        DutError: no such kind, or figures that do not fit it.
    """
    kind, _, rest = text.partition(":")
    maker, figures = DUTS.get(kind), rest
    if maker is None:
        name, _, figures = rest.partition("?")
        maker = _own(kind, name, text)
    by_place: list[Any] = []
    by_name: dict[str, Any] = {}
    for part in filter(None, figures.replace("?", ",").replace("&", ",").split(",")):
        key, equals, value = part.partition("=")
        if equals:
            by_name[key.strip()] = _value(value)
        else:
            by_place.append(_value(part))
    try:
        made = maker(*by_place, **by_name)
        float(made.amps(0.0))
    except (TypeError, ValueError, ZeroDivisionError, AttributeError) as error:
        raise DutError(f"{text!r}: {error}") from error
    return made


def _own(module: str, name: str, text: str) -> Callable[..., Part]:
    known = ", ".join(DUTS)
    if not name:
        raise DutError(f"{text!r} is no part; there are {known}, and `module:Class` for one of your own")
    try:
        return getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise DutError(f"{text!r}: {error}; there are {known}, and `module:Class` for one of your own") from error


def _value(text: str) -> float | str:
    try:
        number = float(text)
    except ValueError:
        return text.strip()
    return int(number) if number.is_integer() and abs(number) < 1e15 else number
