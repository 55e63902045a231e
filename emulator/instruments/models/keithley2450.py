"""Virtual Keithley 2450 in its own command set: one channel, named buffers, sweeps by its trigger model."""

from __future__ import annotations

import math
from functools import partial

from emulator.instruments.buffers import Entry
from emulator.instruments.core import Call, Reply
from emulator.instruments.keithley_buffers import Buffers
from emulator.instruments.models.keithley2450_engine import Engine
from emulator.instruments.smu import SmuChannel, Unit
from emulator.instruments.smu_scpi import OFF_MODES, UNITS, ScpiSmu
from emulator.instruments.sweeps import Sweep, both_ways, linear, logarithmic, stepped
from emulator.rack.inaccuracy import Inaccuracy
from emulator.rack.stand import Stand
from firmware_specs.instruments import load_table
from firmware_specs.instruments.kinds import Value
from firmware_specs.racks.wiring import Instrument
from firmware_specs.scpi import Parameters

QUANTITIES = {"VOLTage[:DC]": "volts", "CURRent[:DC]": "amps", "RESistance": "ohms"}


class Keithley2450(ScpiSmu):
    """One channel; `READ?` takes readings into a buffer and answers the last one."""

    def __init__(self, bench: Stand, name: str, spec: Instrument, inaccuracy: Inaccuracy) -> None:
        smu = SmuChannel(bench, f"{name}.1", spec.facts, inaccuracy)
        volts, amps = (1.05 * ranges[-1].full for ranges in (spec.facts.volts, spec.facts.amps))
        super().__init__(bench, name, spec, load_table("keithley-2450").reaching(volts, amps), {1: smu})
        self.smu = smu
        self.engine = Engine(self, smu)
        self.buffers = Buffers(self)
        self.actions |= self.buffers.actions() | {
            "*TRG": lambda c: None,
            "system.version": lambda c: "1999.0",
            "read": lambda c: self._read(c.p),
            "measure.now": lambda c: self._read(c.p),
            "fetch": lambda c: self.buffers.last(c.p),
            "initiate": lambda c: self.engine.initiate(),
            "abort": lambda c: None,
            "trigger.state": lambda c: "IDLE;IDLE;0",
            "trigger.load": self._load,
            "trace.trigger": lambda c: self._take(self.buffers.name(c.p)),
        }
        for word, quantity in QUANTITIES.items():
            self.actions[f"measure.as.{quantity}"] = partial(self._measure_as, word)
            self.actions[f"relative.acquire.{quantity}"] = partial(self._acquire, quantity)
            self.actions[f"limits.clear.{quantity}"] = partial(self._clear_limit, quantity)
            self.computed[f"limits.fail.{quantity}"] = partial(self.engine.failed, quantity)
        for unit in UNITS:
            self._wire_sweeps(unit)

    def reset(self) -> None:
        """Channel and buffers to defaults."""
        super().reset()
        if hasattr(self, "buffers"):
            self.buffers.reset()
            self.engine.sweep = None
            self.engine.fails = {}

    @property
    def quantity(self) -> str:
        """What is measured."""
        return QUANTITIES[str(self.get("sense.function"))]

    def _wire_sweeps(self, unit: Unit) -> None:
        self.hooks[f"off.{unit}"] = partial(self._off, unit)
        self.hooks[f"protection.{unit}"] = lambda word: self.smu.set_clamp(
            math.inf if word == "NONE" else float(str(word).removeprefix("PROT"))
        )
        self.computed[f"protection.tripped.{unit}"] = lambda: int(self.smu.clamped())
        self.append_to_lists(unit)
        for shape in ("linear", "step", "log", "list"):
            self.actions[f"sweep.{shape}.{unit}"] = partial(self._set_up, shape, unit)

    def _off(self, unit: Unit, word: str) -> None:
        if unit == self.smu.source:
            self.smu.set_off_mode(OFF_MODES[word])

    def _set_up(self, shape: str, unit: Unit, call: Call) -> None:
        """`start, stop, points or step, delay, count, range, fail abort, dual, buffer`; a list has no ends."""
        p = call.p
        if shape == "list":
            levels = self.numbers(f"list.{unit}")[(p.integer(1) if p.left else 1) - 1 :]
        else:
            start, stop = p.number(), p.number()
            if shape == "step":
                levels = stepped(start, stop, p.number())
            else:
                levels = (linear if shape == "linear" else logarithmic)(start, stop, p.integer())
        delay = (p.number() if not p.maybe("AUTO") else -1.0) if p.left else -1.0
        count = p.integer(0, 268435455) if p.left else 1
        fixed = shape != "list" and p.left > 0 and p.spelled(("AUTO", "BEST", "FIXed")) == "FIXed"
        abort = p.switch() if p.left else True
        dual = p.switch() if shape != "list" and p.left else False
        buffer = self.buffers.name(p)
        for level in levels:
            self.smu.range(unit, level)
        whole = (both_ways(levels) if dual else levels) * max(1, count)
        self.engine.sweep = Sweep(whole, unit, max(0.0, delay), buffer, abort, fixed)

    def _load(self, call: Call) -> Reply:
        """`"SimpleLoop", count, delay, buffer`, `"Empty"`; other templates are not there."""
        template, p = call.p.spelled(("SimpleLoop", "Empty")), call.p
        if template == "Empty":
            self.engine.sweep = None
            return None
        count, delay = p.integer(1), (p.number() if p.left else 0.0)
        unit = self.smu.source
        self.engine.sweep = Sweep((self.smu.level[unit],) * count, unit, delay, self.buffers.name(p), switches=False)
        return None

    def setting(self, name: str, function: str, *numbers: int) -> Value:
        """As the engine asks for it."""
        full = f"{name}.{function}"
        value = self.get(full, *numbers)
        return self.named[full].kind.answer(value) if isinstance(value, str) else value

    def add(self, buffer: str, entry: Entry) -> None:
        """Keeps a reading in a buffer."""
        self.buffers.add(buffer, entry)

    def empty(self, buffer: str) -> None:
        """Takes all readings out of a buffer."""
        self.buffers.reset_readings(buffer)

    def _take(self, buffer: str) -> None:
        """As many readings as `SENSe:COUNt` says."""
        self.engine.take(buffer, int(self.number("sense.count")))

    def _read(self, p: Parameters) -> bytes | str:
        name, wanted = self.buffers.asked(p)
        self._take(name)
        return self.buffers.write(name, [self.buffers.of(name).entries[-1]], wanted)

    def _measure_as(self, word: str, call: Call) -> Reply:
        self.keep("sense.function", word)
        return self._read(call.p)

    def _clear_limit(self, quantity: str, call: Call) -> None:
        self.engine.fails.pop((quantity, call.suffixes[-1]), None)

    def _acquire(self, quantity: str, call: Call) -> None:
        self.keep(f"relative.on.{quantity}", False)
        self._take("defbuffer1")
        self.keep(f"relative.{quantity}", self.buffers.of("defbuffer1").entries[-1].value)

    def tripped(self, unit: Unit, channel: SmuChannel) -> bool:
        """Does the limit of the other unit hold now?"""
        return self.engine.tripped(unit)
