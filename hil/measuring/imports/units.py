"""Units by name, as mapping files and headers of tables have them."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache

from firmware_specs.refusals import close

PREFIXES = {
    "f": 1e-15,
    "p": 1e-12,
    "n": 1e-9,
    "u": 1e-6,
    "µ": 1e-6,
    "μ": 1e-6,
    "m": 1e-3,
    "": 1.0,
    "k": 1e3,
    "M": 1e6,
    "G": 1e9,
}
BASES = {"S": "conductance", "ohm": "resistance", "Ohm": "resistance", "Ω": "resistance", "s": "time", "V": "voltage",
         "A": "current", "K": "temperature"}  # fmt: skip
OTHERS: dict[str, tuple[str, Callable[[float], float]]] = {
    "min": ("time", lambda x: x * 60),
    "h": ("time", lambda x: x * 3600),
    "d": ("time", lambda x: x * 86400),
    "C": ("temperature", lambda x: x + 273.15),
    "degC": ("temperature", lambda x: x + 273.15),
    "1": ("number", lambda x: x),
    "log10(ohm)": ("resistance", lambda x: 10.0**x if abs(x) < 300 else math.nan),
}


class UnitError(ValueError):
    """A unit nobody knows, or one of another quantity."""


@cache
def converter(unit: str) -> tuple[str, Callable[[float], float]]:
    """The quantity a unit is of, and what brings a value to its SI unit.

    Raises:
        UnitError: an unknown unit.
    """
    if unit in OTHERS:
        return OTHERS[unit]
    for base, quantity in BASES.items():
        prefix = unit.removesuffix(base)
        if unit.endswith(base) and prefix in PREFIXES:
            return quantity, PREFIXES[prefix].__mul__
    known = [*OTHERS, *(p + b for b in ("S", "ohm", "s", "V", "A", "K") for p in ("", "u", "m", "k"))]
    raise UnitError(f"unit {unit!r} is unknown; {close(unit, known)}")
