"""Virtual Keithley 2450 in its own command set: one channel, named buffers, sweeps by its trigger model."""

from __future__ import annotations

import math
from functools import partial

from emulator.instruments.buffers import Entry
from emulator.instruments.core import Call, Reply
from emulator.instruments.keithley_buffers import Buffers
from emulator.instruments.refused import Refused
from emulator.instruments.smu import OTHER, SmuChannel, SmuReading, Unit
from emulator.instruments.smu_scpi import CONFLICT, OFF_MODES, UNITS, ScpiSmu
from emulator.instruments.sweeps import Sweep, both_ways, linear, logarithmic, stepped
from emulator.rack.inaccuracy import Inaccuracy
from emulator.rack.stand import Stand
from firmware_specs.instruments import load_table
from firmware_specs.racks.wiring import Instrument
from firmware_specs.scpi import Parameters

QUANTITIES = {"VOLTage[:DC]": "volts", "CURRent[:DC]": "amps", "RESistance": "ohms"}
NAMES = {"volts": "V", "amps": "A", "ohms": "Ohm"}
LIMIT_STATUS = 0x08
NO_MODEL = Refused(-221, "Settings conflict; no trigger model is loaded")


class Keithley2450(ScpiSmu):
    """One channel; `READ?` takes readings into a buffer and answers the last one."""

    def __init__(self, bench: Stand, name: str, spec: Instrument, inaccuracy: Inaccuracy) -> None:
        smu = SmuChannel(bench, f"{name}.1", spec.facts, inaccuracy)
        volts, amps = (1.05 * ranges[-1].full for ranges in (spec.facts.volts, spec.facts.amps))
        super().__init__(bench, name, spec, load_table("keithley-2450").reaching(volts, amps), {1: smu})
        self.smu = smu
        self.sweep: Sweep | None = None
        self.buffers = Buffers(self)
        self.actions |= self.buffers.actions() | {
            "*TRG": lambda c: None,
            "system.version": lambda c: "1999.0",
            "read": lambda c: self._read(c.p),
            "measure.now": lambda c: self._read(c.p),
            "fetch": lambda c: self.buffers.last(c.p),
            "initiate": lambda c: self._initiate(),
            "abort": lambda c: None,
            "trigger.state": lambda c: "IDLE;IDLE;0",
            "trigger.load": self._load,
            "trace.trigger": lambda c: self._take(self.buffers.name(c.p)),
        }
        for word, quantity in QUANTITIES.items():
            self.actions[f"measure.as.{quantity}"] = partial(self._measure_as, word)
            self.actions[f"relative.acquire.{quantity}"] = partial(self._acquire, quantity)
        for unit in UNITS:
            self._wire_sweeps(unit)

    def reset(self) -> None:
        """Channel and buffers to defaults."""
        super().reset()
        if hasattr(self, "buffers"):
            self.buffers.reset()
            self.sweep = None

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
        self.sweep = Sweep(whole, unit, max(0.0, delay), buffer, abort, fixed)

    def _load(self, call: Call) -> Reply:
        """`"SimpleLoop", count, delay, buffer`, `"Empty"`; other templates are not there."""
        template, p = call.p.spelled(("SimpleLoop", "Empty")), call.p
        if template == "Empty":
            self.sweep = None
            return None
        count, delay = p.integer(1), (p.number() if p.left else 0.0)
        unit = self.smu.source
        self.sweep = Sweep((self.smu.level[unit],) * count, unit, delay, self.buffers.name(p))
        return None

    def _initiate(self) -> None:
        """Runs the trigger model: output on, a reading a level, output off."""
        if self.sweep is None:
            raise NO_MODEL
        sweep, unit = self.sweep, self.smu.source
        if sweep.unit != unit:
            raise CONFLICT
        before, auto, full = self.smu.level[unit], self.smu.auto[unit], self.smu.full[unit]
        self.buffers.reset_readings(sweep.buffer)
        self._prepare()
        self.smu.auto[unit] = auto or not sweep.fixed
        self.smu.set_output(True)
        try:
            for level in sweep.levels:
                self.smu.set_level(unit, level)
                self.bench.advance(sweep.delay_s)
                reading = self.smu.read()
                self._keep(sweep.buffer, reading)
                if sweep.abort and reading.limited:
                    break
        finally:
            self.smu.full[unit], self.smu.auto[unit] = full, auto
            self.smu.set_level(unit, before)
            self.smu.set_output(False)

    def _prepare(self) -> None:
        """Integration, filter, delay and autozero of the function that is measured."""
        quantity, smu = self.quantity, self.smu
        smu.nplc = self.number(f"nplc.{quantity}")
        smu.autozero = bool(self.get(f"autozero.{quantity}"))
        smu.averages = int(self.number(f"filter.count.{quantity}")) if self.get(f"filter.on.{quantity}") else 1
        auto = self.get(f"delay.auto.{smu.source}")
        smu.delay_s = 0.0 if auto else self.number(f"delay.{smu.source}")

    def _value(self, reading: SmuReading) -> float:
        value = {"volts": reading.volts, "amps": reading.amps, "ohms": reading.ohms}[self.quantity]
        return value - self.number(f"relative.{self.quantity}") if self.get(f"relative.on.{self.quantity}") else value

    def _take(self, buffer: str) -> None:
        """As many readings as `SENSe:COUNt` says."""
        if not self.smu.on:
            raise CONFLICT
        self._prepare()
        with_current = self.quantity == "ohms" and not self.smu.level[self.smu.source]
        for _ in range(int(self.number("sense.count"))):
            reading = self.smu.read_ohms(self.number("measure.ohms")) if with_current else self.smu.read()
            self._keep(buffer, reading)

    def _read(self, p: Parameters) -> bytes | str:
        name, wanted = self.buffers.asked(p)
        self._take(name)
        return self.buffers.write(name, [self.buffers.of(name).entries[-1]], wanted)

    def _measure_as(self, word: str, call: Call) -> Reply:
        self.keep("sense.function", word)
        return self._read(call.p)

    def _acquire(self, quantity: str, call: Call) -> None:
        self.keep(f"relative.on.{quantity}", False)
        self._take("defbuffer1")
        self.keep(f"relative.{quantity}", self.buffers.of("defbuffer1").entries[-1].value)

    def _keep(self, buffer: str, reading: SmuReading) -> None:
        """A reading with its source value: measured, or as set where read back is off."""
        unit = self.smu.source
        measured = reading.volts if unit == "volts" else reading.amps
        sourced = measured if self.get(f"readback.{unit}") else reading.level
        status = LIMIT_STATUS if reading.limited else 0
        entry = Entry(self._value(reading), NAMES[self.quantity], sourced, NAMES[unit], reading.at_s, status)
        self.buffers.add(buffer, entry)

    def tripped(self, unit: Unit, channel: SmuChannel) -> bool:
        """Does the limit of the other unit hold now?"""
        return channel.source == OTHER[unit] and channel.limited()
