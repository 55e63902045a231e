"""Virtual Keysight B2900A series: one or two channels, sweeps and lists, pulses, definite blocks with a byte order."""

from __future__ import annotations

from functools import partial

from emulator.instruments.answers import reals
from emulator.instruments.buffers import Buffer
from emulator.instruments.core import Call, Reply
from emulator.instruments.models.keysight_b2900_trigger import Triggers
from emulator.instruments.refused import Refused
from emulator.instruments.smu import NAN, SmuChannel, SmuReading
from emulator.instruments.smu_scpi import CONFLICT, OFF_MODES, UNITS, ScpiSmu
from emulator.rack.inaccuracy import Inaccuracy
from emulator.rack.stand import Stand
from firmware_specs.instruments import load_table
from firmware_specs.racks.wiring import Instrument
from firmware_specs.scpi import Headers, ScpiError
from firmware_specs.scpi.headers import short_form

ELEMENTS = ("VOLTage", "CURRent", "RESistance", "TIME", "STATus", "SOURce")
FUNCTIONS = ("VOLTage[:DC]", "CURRent[:DC]", "RESistance")
SHORT = ("VOLT", "CURR", "RES")
LIMITED = 1 << 3
"""Bit of the status of a reading that says its limit held; U."""
STALE = Refused(-230, "Data corrupt or stale")


class KeysightB2900(ScpiSmu):
    """Channels 1 and, where the model has it, 2."""

    def __init__(self, bench: Stand, name: str, spec: Instrument, inaccuracy: Inaccuracy) -> None:
        channels = {
            int(n): SmuChannel(bench, f"{name}.{n}", spec.facts, inaccuracy) for n in spec.facts.channels
        }  # fmt: skip
        self.readings: dict[int, list[SmuReading]] = {number: [] for number in channels}
        self.traces: dict[int, list[SmuReading]] = {number: [] for number in channels}
        self.functions: dict[int, set[str]] = {number: {"CURR"} for number in channels}
        self.elements: list[str] = list(ELEMENTS)
        self.form = "ASC"
        self._since_s = 0.0
        self._headers = Headers(FUNCTIONS)
        super().__init__(bench, name, spec, load_table("keysight-b2900"), channels)
        self.triggers = Triggers(self)
        self.actions |= self.triggers.actions() | {
            "options": lambda c: "0",
            "system.version": lambda c: "1999.0",
            "system.channels": lambda c: str(len(channels)),
            "timer": lambda c: f"{bench.now_s - self._since_s:.6f}",
            "timer.reset": lambda c: self._restart(),
            "format.data": self._format,
            "format.elements": self._elements,
            "sense.on": partial(self._functions, True),
            "sense.off": partial(self._functions, False),
            "sense.all": lambda c: self.functions[self.number_of(c)].update(SHORT),
            "sense.none": lambda c: self.functions[self.number_of(c)].clear(),
            "trace.clear": lambda c: self.traces[self.number_of(c)].clear(),
            "trace.data": lambda c: self._trace(c),
            "trace.free": lambda c: f"{100_000 - len(self.traces[self.number_of(c)])},0",
            "statistics": self._statistics,
        }
        for action, readings in (("fetch", self._fetched), ("read", self.triggers.read)):
            for scope in ("scalar", "array"):
                self.actions[f"{action}.{scope}"] = partial(self._answer, readings, scope, None)
                for element in ELEMENTS:
                    self.actions[f"{action}.{scope}.{element}"] = partial(self._answer, readings, scope, element)
        for element in ELEMENTS[:3]:
            self.actions[f"measure.as.{element}"] = partial(self._answer, self.triggers.spot, "scalar", element)
        self.actions["measure.now"] = partial(self._answer, self.triggers.spot, "scalar", None)
        self.computed |= {
            "trace.actual": lambda n: len(self.traces[n]),
            "aperture": lambda n: self.number("nplc", n) / bench.line_hz,
        }
        self.hooks |= {
            "off": lambda word, n: self.channel(n).set_off_mode(OFF_MODES[str(word)]),
            "nplc": self._integrates,
            "aperture": lambda s, n: self.keep("nplc", float(s) * bench.line_hz, n),
            "triggered.volts": lambda v, n: self._within("volts", v, n),
        }
        for unit in UNITS:
            self.append_to_lists(unit)

    def reset(self) -> None:
        """Channels and format to defaults."""
        super().reset()
        self.elements, self.form = list(ELEMENTS), "ASC"
        for number in self.channels:
            self.readings[number], self.traces[number] = [], []
            self.functions[number] = {"CURR"}
        if hasattr(self, "triggers"):
            self.triggers.waiting.clear()

    def number_of(self, call: Call) -> int:
        """The channel of a header's suffix."""
        self.channel(*call.suffixes)
        return call.suffixes[0]

    def listed(self, call: Call) -> list[int]:
        """Channels of a list; the first where none is named."""
        if not call.p.left:
            return [min(self.channels)]
        numbers = [int(text) for text in call.p.channels()]
        for number in numbers:
            self.channel(number)
        return numbers

    def channel(self, *suffixes: int) -> SmuChannel:
        """The channel that suffixes name."""
        found = self.channels.get(suffixes[0] if suffixes else 1)
        if found is None:
            raise Refused(-114, "Header suffix out of range")
        return found

    def _integrates(self, cycles: float, number: int) -> None:
        low, high = self.spec.facts.nplc
        if not low <= cycles <= high * 1.2:
            raise Refused(-222, "Parameter data out of range")

    def _within(self, unit: str, value: float, number: int) -> None:
        channel = self.channel(number)
        if not channel.auto["volts"] and abs(value) > channel.full["volts"] * channel.over:
            raise Refused(-222, "Parameter data out of range")

    def _restart(self) -> None:
        self._since_s = self.bench.now_s

    def _format(self, call: Call) -> Reply:
        if call.query:
            return self.form
        word = call.p.spelled(("ASCii", "REAL"))
        size = call.p.integer(32, 64) if call.p.left else 32
        self.form = "ASC" if word == "ASCii" else f"REAL,{size}"
        return None

    def _elements(self, call: Call) -> Reply:
        if call.query:
            return ",".join(short_form(name) for name in ELEMENTS if name in self.elements)
        self.elements = [call.p.spelled(ELEMENTS) for _ in range(call.p.left)]
        if not self.elements:
            raise ScpiError(-109, "no element")
        return None

    def _functions(self, on: bool, call: Call) -> Reply:
        found = self.functions[self.number_of(call)]
        if call.query:
            return ",".join(f'"{short}"' for short in SHORT if short in found) or '""'
        for _ in range(call.p.left):
            try:
                index, _ = self._headers.find(call.p.string().strip())
            except (LookupError, ValueError) as error:
                raise ScpiError(-224, "no such function") from error
            (found.add if on else found.discard)(SHORT[index])
        return None

    def _fetched(self, number: int) -> list[SmuReading]:
        if not self.readings[number]:
            raise STALE
        return self.readings[number]

    def _answer(self, readings, scope: str, element: str | None, call: Call) -> Reply:  # type: ignore[no-untyped-def]
        """Readings of the listed channels: all of them or the last, in the elements asked for."""
        wanted = self.elements if element is None else [element]
        values: list[float] = []
        for number in self.listed(call):
            taken = readings(number)
            for reading in taken if scope == "array" else taken[-1:]:
                values += self._values(reading, wanted)
        return self._write(values)

    def _values(self, reading: SmuReading, wanted: list[str]) -> list[float]:
        every = {
            "VOLTage": reading.volts,
            "CURRent": reading.amps,
            "RESistance": reading.ohms,
            "TIME": reading.at_s - self._since_s,
            "STATus": float(LIMITED if reading.limited else 0),
            "SOURce": reading.level,
        }
        return [every[name] for name in ELEMENTS if name in wanted]

    def _write(self, values: list[float]) -> bytes | str:
        if self.form == "ASC":
            return ",".join(self.table.style.reading.format(value) for value in values)
        swapped = self.get("format.order") == "SWAPped"
        return reals(values, double=self.form.endswith("64"), swapped=swapped, definite=True)

    def _trace(self, call: Call) -> Reply:
        stored = self.traces[self.number_of(call)]
        if call.p.left:
            word = call.p.maybe("CURRent", "STARt")
            first = 0 if word else call.p.integer(0, 100_000)
            stored = stored[first : first + (call.p.integer(1, 100_000) if call.p.left else len(stored))]
        return self._write([value for reading in stored for value in self._values(reading, self.elements)])

    def _statistics(self, call: Call) -> Reply:
        number = self.number_of(call)
        which = {"MEAN": "mean", "SDEViation": "sd", "MAXimum": "max", "MINimum": "min", "PKPK": "span"}
        word = which[str(self.get("statistic", number))]
        columns = ([getattr(r, name) for r in self.traces[number]] for name in ("volts", "amps", "ohms"))
        values = [Buffer(1).statistic(word, column) if column else NAN for column in columns]
        return self._write(values)

    def go_on(self, number: int) -> None:
        """What is measured or triggered has its output switched on, unless that was switched off."""
        channel = self.channel(number)
        if not channel.on and self.get("output.auto", number):
            channel.set_output(True)
        if not channel.on:
            raise CONFLICT
