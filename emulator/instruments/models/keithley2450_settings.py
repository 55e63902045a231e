"""Settings of a 2450 in its TSP command set: those of source and measurement are of the function in use."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from emulator.instruments.models.keithley2450_engine import Engine
from emulator.instruments.refused import Refused
from emulator.instruments.smu import OTHER, OffMode, SmuChannel, Unit
from emulator.instruments.tsp.tree import Tree
from firmware_specs.instruments import load_table
from firmware_specs.instruments.kinds import Value

FUNCTIONS = {"smu.FUNC_DC_VOLTAGE": "volts", "smu.FUNC_DC_CURRENT": "amps", "smu.FUNC_RESISTANCE": "ohms"}
WORDS = {function: word for word, function in FUNCTIONS.items()}
OFF_MODES: dict[str, OffMode] = {
    "smu.OFFMODE_NORMAL": "normal", "smu.OFFMODE_ZERO": "zero", "smu.OFFMODE_HIGHZ": "himp",
    "smu.OFFMODE_GUARD": "guard",
}  # fmt: skip
WHOLE_BOX = ("smu.source.func", "smu.source.output", "smu.measure.func")
"""The same whatever function is in use."""
ENGINE = {
    "nplc": "smu.measure.nplc", "autozero": "smu.measure.autozero.enable", "filter.on": "smu.measure.filter.enable",
    "filter.count": "smu.measure.filter.count", "relative": "smu.measure.rel.level",
    "relative.on": "smu.measure.rel.enable", "wires": "smu.measure.sense", "unit": "smu.measure.unit",
    "measure": "smu.measure.range", "delay": "smu.source.delay", "delay.auto": "smu.source.autodelay",
    "readback": "smu.source.readback", "math.on": "smu.measure.math.enable", "math.format": "smu.measure.math.format",
    "math.percent": "smu.measure.math.percent", "math.m": "smu.measure.math.mxb.mfactor",
    "math.b": "smu.measure.math.mxb.bfactor",
}  # fmt: skip
LIMITS = {
    "limits.on": "enable",
    "limits.autoclear": "autoclear",
    "limits.high": "high.value",
    "limits.low": "low.value",
}
MEANT: dict[str, Value] = {
    "smu.ON": True, "smu.OFF": False, "smu.SENSE_2WIRE": False, "smu.SENSE_4WIRE": True, "smu.UNIT_VOLT": "VOLT",
    "smu.UNIT_AMP": "AMP", "smu.UNIT_OHM": "OHM", "smu.UNIT_WATT": "WATT", "smu.MATH_PERCENT": "PERC",
    "smu.MATH_MXB": "MXB", "smu.MATH_RECIPROCAL": "REC",
}  # fmt: skip
ON = {True: "smu.ON", False: "smu.OFF"}


class FunctionTree(Tree):
    """Attributes, of which most have a value for each function.

    Args:
        table: Name of the file.
        smu: The channel: it knows what is sourced.

    Attributes:
        measured: What is measured.
    """

    def __init__(self, table: str, smu: SmuChannel) -> None:
        super().__init__(table, ())
        self.smu, self.measured = smu, "amps"
        self._instead: dict[str, str] = {}
        self._paths = {c.name: c.header for c in load_table(table).commands if c.name != "-"}
        numbered = {f"{c.name}_{c.header.split('.')[-1 if 'delay' in c.header else 3]}": c.header
                    for c in load_table(table).commands if c.name.startswith(("ATTR_MEAS_LIMIT", "ATTR_MEAS_USER",
                                                                             "ATTR_SRC_USER"))}  # fmt: skip
        self._paths |= numbered
        self.constants |= {f"smu.{name}": f"smu.{name}" for name in (*self._paths, *OF_LIMIT)}

    def function(self, kind: str) -> str:
        """What is sourced, or what is measured; another one inside of `as_function`."""
        return self._instead.get(kind) or (self.smu.source if kind == "source" else self.measured)

    @property
    def unit(self) -> Unit:
        """What settings of the source are about."""
        return "volts" if self.function("source") == "volts" else "amps"

    @contextmanager
    def as_function(self, kind: str, word: Any) -> Iterator[None]:
        """Settings are those of another function meanwhile.

        Raises:
            Refused: it is no function of that kind.
        """
        function = FUNCTIONS.get(word)
        if function is None or (kind == "source" and function == "ohms"):
            raise Refused(-286, f"TSP Runtime error at line 1: {word!r} is no {kind} function")
        self._instead[kind] = function
        try:
            yield
        finally:
            del self._instead[kind]

    def named(self, name: Any) -> str:
        """Path of a setting by its name in `getattribute` and `setattribute`."""
        plain = str(name).removeprefix("smu.")
        limit = OF_LIMIT.get(plain)
        path = (
            self._paths.get(plain)
            if limit is None
            else f"smu.source.{'ilimit' if self.unit == 'volts' else 'vlimit'}.{limit}"
        )
        if path is None:
            raise Refused(-286, f"TSP Runtime error at line 1: no attribute {name!r}")
        return path

    def key(self, path: str) -> str:
        """A value for each function."""
        if path in WHOLE_BOX or not path.startswith(("smu.source.", "smu.measure.")):
            return f"{path}@"
        return f"{path}@{self.function(path.split('.', 2)[1])}"

    def setting(self, name: str, function: str, *numbers: int) -> Value:
        """A setting as the engine names it."""
        path = f"smu.measure.limit.{numbers[0]}.{LIMITS[name]}" if name in LIMITS else ENGINE[name]
        with self.as_function(path.split(".")[1], WORDS[function]):
            value = self.get(path)
        return MEANT.get(value, value) if isinstance(value, str) else value


OF_LIMIT = {"ATTR_SRC_LIMIT_LEVEL": "level", "ATTR_SRC_LIMIT_TRIPPED": "tripped"}
"""The limit of whatever is sourced: of the other unit."""


def wire(tree: FunctionTree, smu: SmuChannel, engine: Engine) -> None:
    """Lets settings act on the channel, and answers with what it has."""
    tree.hooks |= {
        "smu.source.func": lambda word: smu.set_source("volts" if FUNCTIONS[word] == "volts" else "amps"),
        "smu.measure.func": lambda word: setattr(tree, "measured", FUNCTIONS[word]),
        "smu.source.output": lambda word: smu.set_output(word == "smu.ON"),
        "smu.terminals": lambda word: smu.set_front(word == "smu.TERMINALS_FRONT"),
        "smu.source.level": lambda value: smu.set_level(tree.unit, value),
        "smu.source.range": lambda value: smu.set_range(tree.unit, abs(value)),
        "smu.source.autorange": lambda word: smu.set_auto(tree.unit, word == "smu.ON"),
        "smu.source.ilimit.level": lambda value: smu.set_limit("amps", value),
        "smu.source.vlimit.level": lambda value: smu.set_limit("volts", value),
        "smu.source.delay": lambda _: tree.put("smu.source.autodelay", "smu.OFF"),
        "smu.source.offmode": lambda word: smu.set_off_mode(OFF_MODES[word]),
        "smu.source.protect.level": lambda word: smu.set_clamp(_volts(word)),
        "smu.measure.range": lambda value: _measure_range(tree, smu, value),
        "smu.measure.autorange": lambda word: _measure_auto(tree, smu, word == "smu.ON"),
    }
    tree.computed |= {
        "smu.source.func": lambda: WORDS[smu.source],
        "smu.measure.func": lambda: WORDS[tree.measured],
        "smu.source.output": lambda: ON[smu.on],
        "smu.terminals": lambda: "smu.TERMINALS_FRONT" if smu.front else "smu.TERMINALS_REAR",
        "smu.interlock.tripped": lambda: ON["interlock" in smu.bench.faults],
        "smu.source.level": lambda: smu.level[tree.unit],
        "smu.source.range": lambda: smu.full[tree.unit],
        "smu.source.autorange": lambda: ON[smu.auto[tree.unit]],
        "smu.source.ilimit.level": lambda: smu.limit["amps"],
        "smu.source.vlimit.level": lambda: smu.limit["volts"],
        "smu.measure.range": lambda: _range_of(tree, smu),
        "smu.measure.autorange": lambda: _auto_of(tree, smu),
        "smu.source.protect.tripped": lambda: ON[smu.clamped()],
    }
    limits: tuple[tuple[str, Unit], ...] = (("ilimit", "amps"), ("vlimit", "volts"))
    for name, unit in limits:
        tree.computed[f"smu.source.{name}.tripped"] = partial(_tripped, smu, engine, unit)
    for number in (1, 2):
        tree.computed[f"smu.measure.limit.{number}.fail"] = partial(_failed, tree, engine, number)


def _volts(word: str) -> float:
    level = word.removeprefix("smu.PROTECT_")
    return math.inf if level == "NONE" else float(level.removesuffix("V"))


def _measure_range(tree: FunctionTree, smu: SmuChannel, value: float) -> None:
    """The smallest range that holds a value; it ends the automatic choice."""
    function = tree.function("measure")
    if function != "ohms":
        smu.set_measure(_unit(function), value)
    else:
        tree.put("smu.measure.autorange", "smu.OFF")


def _measure_auto(tree: FunctionTree, smu: SmuChannel, on: bool) -> None:
    function = tree.function("measure")
    if function != "ohms":
        smu.set_measure(_unit(function), None if on else smu.measure_range(_unit(function)))


def _tripped(smu: SmuChannel, engine: Engine, unit: Unit) -> str | None:
    """Nil where the other one is sourced."""
    return ON[engine.tripped(unit)] if smu.source == OTHER[unit] else None


def _failed(tree: FunctionTree, engine: Engine, number: int) -> str:
    return f"smu.FAIL_{engine.failed(tree.function('measure'), number)}"


def _range_of(tree: FunctionTree, smu: SmuChannel) -> float:
    function = tree.function("measure")
    return tree.kept("smu.measure.range") if function == "ohms" else smu.measure_range(_unit(function))


def _auto_of(tree: FunctionTree, smu: SmuChannel) -> str:
    function = tree.function("measure")
    return tree.kept("smu.measure.autorange") if function == "ohms" else ON[smu.measure[_unit(function)] is None]


def _unit(function: str) -> Unit:
    return "volts" if function == "volts" else "amps"
