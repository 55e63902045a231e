"""Virtual Keithley 2400: one channel, readings of all functions at once, arm and trigger layers, one buffer."""

from __future__ import annotations

import math
from functools import partial

from emulator.instruments.answers import reals
from emulator.instruments.buffers import Buffer
from emulator.instruments.core import Call, Reply
from emulator.instruments.models.keithley2400_trigger import Layers
from emulator.instruments.refused import Refused
from emulator.instruments.smu import INFINITE, NAN, SmuChannel, SmuReading
from emulator.instruments.smu_scpi import OFF_MODES, UNITS, ScpiSmu
from emulator.rack.inaccuracy import Inaccuracy
from emulator.rack.stand import Stand
from firmware_specs.instruments import load_table
from firmware_specs.racks.wiring import Instrument
from firmware_specs.scpi import Headers, Parameters, ScpiError
from firmware_specs.scpi.headers import short_form

FUNCTIONS = {"VOLTage[:DC]": "volts", "CURRent[:DC]": "amps", "RESistance": "ohms"}
NAMES = {"volts": '"VOLT:DC"', "amps": '"CURR:DC"', "ohms": '"RES"'}
ELEMENTS = ("VOLTage", "CURRent", "RESistance", "TIME", "STATus")
OVP_NONE = 161.0
"""Source protection above 160 V is none (2400 User's Manual, SOURce:VOLTage:PROTection; from memory)."""
OUTPUT_OFF = Refused(803, "Not permitted with OUTPUT off")
OVERFLOWN, FILTERED, FRONT, COMPLIANCE, AUTO_OHMS = 1 << 0, 1 << 1, 1 << 2, 1 << 3, 1 << 10
MEASURED = {"volts": 1 << 11, "amps": 1 << 12, "ohms": 1 << 13}
SOURCED = {"volts": 1 << 14, "amps": 1 << 15}
FOUR_WIRES = 1 << 22
"""Bits of the status word of a reading, as far as they act; 2400 User's Manual, FORMat:ELEMents, page 18-50."""


class Keithley2400(ScpiSmu):
    """One channel; a reading is volts, amperes, ohms, time and status, as far as they are asked for."""

    range_name = 1.05
    command_set = "keithley-2400"

    def __init__(self, bench: Stand, name: str, spec: Instrument, inaccuracy: Inaccuracy) -> None:
        smu = SmuChannel(bench, f"{name}.1", spec.facts, inaccuracy)
        self.buffer: Buffer = Buffer(100)
        self.taken: list[SmuReading] = []
        self.stored: list[SmuReading] = []
        self.functions: set[str] = {"amps"}
        self.elements: list[str] = list(ELEMENTS)
        self.form = "ASC"
        self._headers = Headers(FUNCTIONS)
        self._since_s = 0.0
        volts, amps = (1.05 * ranges[-1].full for ranges in (spec.facts.volts, spec.facts.amps))
        super().__init__(bench, name, spec, load_table(self.command_set).reaching(volts, amps), {1: smu})
        self.smu = smu
        self.layers = Layers(self)
        self.actions |= self.layers.actions() | {
            "options": lambda c: "0",
            "system.version": lambda c: "1996.0",
            "time": lambda c: f"{bench.now_s - self._since_s:.6f}",
            "time.reset": lambda c: self._restart(),
            "format.data": self._format,
            "format.elements": self._elements,
            "sense.on": lambda c: self._functions(c, True),
            "sense.off": lambda c: self._functions(c, False),
            "sense.all": lambda c: self.functions.update(NAMES),
            "sense.none": lambda c: self.functions.clear(),
            "sense.state": lambda c: str(int(self._function(c.p) in self.functions)),
            "latest": lambda c: self.write(self.taken[-1:]) or self.table.style.reading.format(NAN),
            "statistics": lambda c: self._statistics(),
            "clear": lambda c: smu.set_output(False),
        }
        self.computed |= {"sense.count": lambda: len(self.functions), "limits.fail": self._fails}
        self.hooks |= {"off": lambda word: smu.set_off_mode(OFF_MODES[str(word)])}
        self.hooks |= {"protection": lambda v: smu.set_clamp(float(v) if v < OVP_NONE else math.inf)}
        self.computed["protection.tripped"] = lambda: int(smu.clamped())
        self.hooks |= {"delay": lambda v: self.keep("delay.auto", False)}
        for quantity in NAMES:
            self.actions[f"measure.as.{quantity}"] = partial(self._measure_as, quantity)
            self.actions[f"configure.{quantity}"] = partial(self._configure, quantity)
        for unit in UNITS:
            self.append_to_lists(unit)
            self.computed[f"sweep.step.{unit}"] = partial(self.layers.step, unit)
        self.computed["sweep.points"] = self.layers.points
        self.hooks["sweep.points"] = lambda points: self.layers.by_points()

    def reset(self) -> None:
        """Channel, functions, format and buffer to defaults."""
        super().reset()
        self.functions, self.elements, self.form = {"amps"}, list(ELEMENTS), "ASC"
        self.taken, self.stored = [], []
        if hasattr(self, "layers"):
            self.layers.reset()

    def prepare(self) -> None:
        """Integration, filter, delay and autozero before readings are taken."""
        smu = self.smu
        smu.nplc = self.number("nplc")
        smu.autozero = self.get("autozero") in ("ON", "1")
        smu.averages = int(self.number("filter.count")) if self.get("filter.on") else 1
        smu.delay_s = 0.0 if self.get("delay.auto") else self.number("delay")

    def take(self) -> SmuReading:
        """One reading; in auto-ohms with the box's own test current."""
        if self.functions == {"ohms"} and self.get("ohms.mode") == "AUTO":
            return self.smu.read_ohms(max(1.0, self.number("measure.ohms")))
        return self.smu.read()

    def write(self, readings: list[SmuReading]) -> bytes | str:
        """Readings in the present format."""
        values = [value for reading in readings for value in self._values(reading)]
        if self.form == "ASC":
            return ",".join(self.table.style.reading.format(value) for value in values)
        swapped = self.get("format.order") == "SWAPped"
        return reals(values, double=False, swapped=swapped, definite=False)

    def _values(self, reading: SmuReading) -> list[float]:
        smu, on = self.smu, self.functions
        measured = {"volts": reading.volts, "amps": reading.amps}
        sourced = smu.source
        volts, amps = (
            measured[unit] if unit in on else (reading.level if unit == sourced else NAN) for unit in ("volts", "amps")
        )
        status = (FRONT if smu.front else 0) | (COMPLIANCE if reading.limited else 0) | SOURCED[sourced]
        status |= sum(MEASURED[name] for name in on)
        ohms = reading.ohms if "ohms" in on else NAN
        status |= OVERFLOWN if INFINITE in map(abs, (*(measured[unit] for unit in on & set(UNITS)), ohms)) else 0
        status |= FILTERED if self.get("filter.on") else 0
        status |= AUTO_OHMS if self.get("ohms.mode") == "AUTO" else 0
        status |= FOUR_WIRES if self.get("wires") else 0
        every = (volts, amps, ohms, reading.at_s - self._since_s, float(status))
        return [value for name, value in zip(ELEMENTS, every, strict=True) if name in self.elements]

    def _restart(self) -> None:
        self._since_s = self.bench.now_s

    def _format(self, call: Call) -> Reply:
        """`ASCii`, `REAL,32`, `SREal`: reals have 4 bytes here."""
        if call.query:
            return self.form
        word = call.p.spelled(("ASCii", "REAL", "SREal"))
        if call.p.left:
            call.p.integer(32, 32)
        self.form = "ASC" if word == "ASCii" else "REAL,32"
        return None

    def _elements(self, call: Call) -> Reply:
        if call.query:
            return ",".join(short_form(name) for name in ELEMENTS if name in self.elements)
        self.elements = [call.p.spelled(ELEMENTS) for _ in range(call.p.left)]
        if not self.elements:
            raise ScpiError(-109, "no element")
        return None

    def _function(self, p: Parameters) -> str:
        try:
            index, _ = self._headers.find(p.string().strip())
        except (LookupError, ValueError) as error:
            raise ScpiError(-224, "no such function") from error
        return list(FUNCTIONS.values())[index]

    def _functions(self, call: Call, on: bool) -> Reply:
        if call.query:
            found = [NAMES[q] for q in NAMES if (q in self.functions) == on]
            return ",".join(found) or '""'
        named = [self._function(call.p) for _ in range(call.p.left)]
        if not named:
            raise ScpiError(-109, "no function")
        if not on:
            self.functions -= set(named)
        elif self.get("sense.concurrent"):
            self.functions |= set(named)
        else:
            self.functions = {named[-1]}
        return None

    def _configure(self, quantity: str, call: Call | None = None) -> None:
        """One reading of one function, everything about it automatic."""
        self.functions = {quantity}
        if quantity != "ohms":
            self.smu.set_measure(quantity, None)  # type: ignore[arg-type]
        for name, value in (("arm.count", 1), ("trigger.count", 1), ("trigger.delay", 0.0)):
            self.keep(name, value)
        self.keep("trace.control", "NEVer")

    def _measure_as(self, quantity: str, call: Call) -> Reply:
        self._configure(quantity)
        return self.layers.read()

    def _statistics(self) -> str:
        which = {"MEAN": "mean", "SDEViation": "sd", "MAXimum": "max", "MINimum": "min", "PKPK": "span"}
        word = which[str(self.get("statistic"))]
        columns = [[getattr(r, name) for r in self.stored] for name in ("volts", "amps", "ohms")]
        return ",".join(self.table.style.reading.format(self.buffer.statistic(word, c)) for c in columns)

    def _fails(self, number: int) -> int:
        if not self.taken or not self.get("limits.on", number):
            return 0
        feed = {"CURRent": "amps", "RESistance": "ohms"}.get(str(self.get("limits.feed")), "volts")
        value = getattr(self.taken[-1], feed)
        return int(not self.number("limits.low", number) <= value <= self.number("limits.high", number))


class Keithley2450As2400(Keithley2400):
    """A 2450 that was switched on in its SCPI2400 command set: the commands of a 2400, the ranges of a 2450."""

    command_set = "keithley-2450-scpi2400"
