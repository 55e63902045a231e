"""The analog half of a source-measure channel, without any dialect: source, limits, ranges, off states, readings."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal

from emulator.instruments.refused import Refused
from emulator.rack.circuit import CurrentPort, OnePort, VoltagePort
from emulator.rack.inaccuracy import Inaccuracy
from emulator.rack.stand import Stand
from firmware_specs.racks.facts import Facts, Range

Unit = Literal["volts", "amps"]
OffMode = Literal["normal", "zero", "himp", "guard"]
OTHER: dict[Unit, Unit] = {"volts": "amps", "amps": "volts"}
NAN, INFINITE = 9.91e37, 9.9e37
"""What SCPI writes for not-a-number and for an overflow (SCPI-99, 7.2.1)."""
INTERLOCK_V = 42.0
OUT_OF_RANGE = Refused(-222, "Parameter data out of range")
BLOCKED = Refused(802, "Output blocked by interlock")


@dataclass(frozen=True)
class RestingPort(VoltagePort):
    """An output that is off at 0 V."""

    resting: bool = True


@dataclass(frozen=True)
class GuardedPort(CurrentPort):
    """An output that is off at 0 A."""

    resting: bool = True


@dataclass(frozen=True)
class SmuReading:
    """One conversion.

    Attributes:
        limited: True where the compliance held.
        at_s: When it was taken, seconds of the bench.
        level: Set-point it belongs to.
    """

    volts: float
    amps: float
    limited: bool
    at_s: float = 0.0
    level: float = 0.0

    @property
    def ohms(self) -> float:
        """Voltage over current; not a number where one of them is none, an overflow without current."""
        if abs(self.volts) >= INFINITE or abs(self.amps) >= INFINITE:
            return NAN
        return self.volts / self.amps if self.amps else INFINITE


@dataclass
class SmuChannel:
    """One source-measure channel.

    Attributes:
        terminal: Where it is on the bench: its front terminals.
        over: How far beyond its name a range goes.
        source: What it sources.
        level: Set-points, by unit.
        full: Source ranges.
        auto: Does the source range follow the level?
        limit: Compliance, by the unit it limits.
        reach: Largest compliance, where it goes beyond the ranges.
        measure: Measurement ranges; None is automatic.
        nplc: Integration.
        delay_s: Wait before a conversion.
        averages: Conversions that one reading is the mean of.
        on: Output.
        off_mode: What the output does while it is off.
        front: Terminals in use.
        clamp_v: Voltage that the source protection never lets the output pass.
    """

    bench: Stand
    terminal: str
    facts: Facts
    inaccuracy: Inaccuracy
    over: float = 1.05
    source: Unit = "volts"
    level: dict[Unit, float] = field(default_factory=dict)
    full: dict[Unit, float] = field(default_factory=dict)
    auto: dict[Unit, bool] = field(default_factory=dict)
    limit: dict[Unit, float] = field(default_factory=dict)
    reach: dict[Unit, float] = field(default_factory=dict)
    measure: dict[Unit, float | None] = field(default_factory=dict)
    nplc: float = 1.0
    delay_s: float = 0.0
    averages: int = 1
    autozero: bool = True
    on: bool = False
    off_mode: OffMode = "normal"
    front: bool = True
    clamp_v: float = math.inf

    def __post_init__(self) -> None:
        self._last: dict[Unit, float | None] = {"volts": None, "amps": None}
        self.reset()

    def reset(self) -> None:
        """Defaults: volts, 0, output off, compliance 100 uA and 2 V, everything automatic."""
        self.set_output(False)
        self.source, self.nplc, self.delay_s, self.averages = "volts", 1.0, 0.0, 1
        self.autozero, self.off_mode, self.clamp_v = True, "normal", math.inf
        self.level = {"volts": 0.0, "amps": 0.0}
        self.full = {"volts": self.facts.volts[0].full, "amps": self.facts.amps[0].full}
        self.auto = {"volts": True, "amps": True}
        self.limit = {"amps": 1e-4, "volts": 2.0}
        self.measure = {"volts": None, "amps": None}
        self.set_front(True)

    def set_source(self, unit: Unit) -> None:
        """What is sourced."""
        self.source = unit
        self._connect()

    def set_range(self, unit: Unit, value: float) -> None:
        """Source range: the smallest that holds the value; it no longer follows the level."""
        self.full[unit], self.auto[unit] = self.range(unit, value).full, False
        self.bench.log.add("range", self.terminal, self.full[unit], unit)

    def set_auto(self, unit: Unit, on: bool) -> None:
        """Lets the source range follow the level."""
        self.auto[unit] = on
        if on:
            self.full[unit] = self.range(unit, self.level[unit]).full

    def set_measure(self, unit: Unit, value: float | None) -> None:
        """Measurement range: the smallest that holds the value; None is automatic."""
        self.measure[unit] = None if value is None else self.range(unit, value).full

    def measure_range(self, unit: Unit) -> float:
        """The measurement range: as set; else the source's where it is sourced, else the last reading's."""
        fixed = self.measure[unit]
        if fixed is not None:
            return fixed
        if unit == self.source:
            return self.full[unit]
        last, most = self._last[unit], min(self.limit[unit], getattr(self.facts, unit)[-1].full)
        return self.range(unit, most if last is None else min(last, most)).full

    def set_limit(self, unit: Unit, value: float) -> None:
        """Compliance."""
        if unit not in self.reach:
            self.range(unit, value)
        if not 0 < value <= self.reach.get(unit, math.inf):
            raise OUT_OF_RANGE
        self.limit[unit] = value
        self.bench.log.add("limit", self.terminal, value, unit)
        self._connect()

    def set_level(self, unit: Unit, value: float) -> None:
        """Set-point; beyond a fixed source range it is refused."""
        if self.auto[unit]:
            full = self.range(unit, value).full
        elif abs(value) > self.full[unit] * self.over * (1 + 1e-9):
            raise OUT_OF_RANGE
        else:
            full = self.full[unit]
        if unit == "volts" and abs(value) > INTERLOCK_V and "interlock" in self.bench.faults:
            raise BLOCKED
        self.level[unit], self.full[unit] = value, full
        self.bench.log.add("level", self.terminal, value, unit)
        self._connect()

    def set_output(self, on: bool) -> None:
        """Output relay."""
        if on and "interlock" in self.bench.faults:
            raise BLOCKED
        if on != self.on:
            self.bench.log.add("output", self.terminal, float(on), self.source)
        self.on = on
        self._connect()

    def set_off_mode(self, mode: OffMode) -> None:
        """What the output does while it is off."""
        self.off_mode = mode
        self._connect()

    def set_clamp(self, volts: float) -> None:
        """Source protection (OVP): the output never passes this voltage; infinite: none."""
        self.clamp_v = volts
        self._connect()

    def clamped(self) -> bool:
        """Does the source protection hold the output back now?"""
        level = abs(self.level["volts"]) if self.source == "volts" else abs(self.bench.terminal_volts(self._wired))
        return self.on and level >= self.clamp_v * (1 - 1e-6)

    def set_front(self, front: bool) -> None:
        """Terminals in use; the output goes off before the relays move."""
        if front != self.front:
            self.set_output(False)
            self.bench.set_port(self._wired, None)
            self.front = front
        self._connect()

    def pulse(self, level: float, width_s: float) -> SmuReading:
        """One pulse of what it sources, from the present level and back; the reading is from its end."""
        unit = self.source
        before = self.level[unit]
        self.set_level(unit, level)
        self.bench.log.add("pulse", self.terminal, level, f"{width_s:g}")
        self.bench.advance(width_s)
        reading = self._converted()
        self.set_level(unit, before)
        return reading

    def read(self) -> SmuReading:
        """One reading: takes its time, then sees what is there."""
        conversions = (self.facts.autozero if self.autozero else 1) * self.averages
        integrated = conversions * self.nplc / self.bench.line_hz
        self.bench.advance(self.delay_s + self.facts.settle_s + integrated)
        return self._converted()

    def _converted(self) -> SmuReading:
        """What the network gives now, with the errors of the ranges used."""
        volts, amps = self.bench.terminal_volts(self._wired), self.bench.terminal_amps(self._wired)
        limited = self.limited(volts)
        seen_v, seen_a = self._seen("volts", volts), self._seen("amps", amps)
        self.bench.log.add("reading", self.terminal, seen_a, "amps")
        return SmuReading(seen_v, seen_a, limited, self.bench.now_s, self.level[self.source])

    def read_ohms(self, full_ohm: float) -> SmuReading:
        """Auto-ohms: a reading with a test current by the ohms range, at most 1 mA, within 21 V."""
        source, level, limit, auto = self.source, self.level["amps"], self.limit["volts"], self.auto["amps"]
        try:
            self.set_limit("volts", 21.0)
            self.set_auto("amps", True)
            self.set_level("amps", min(1e-3, 2.0 / full_ohm))
            self.set_source("amps")
            return self.read()
        finally:
            self.set_source(source)
            self.set_level("amps", level)
            self.set_auto("amps", auto)
            self.set_limit("volts", limit)

    def limited(self, volts: float | None = None) -> bool:
        """Does the compliance hold now?"""
        port = self.bench.ports.get(self._wired)
        if not isinstance(port, VoltagePort | CurrentPort) or getattr(port, "resting", False):
            return False
        return port.limited(self.bench.terminal_volts(self._wired) if volts is None else volts)

    def range(self, unit: Unit, value: float) -> Range:
        """The smallest range that holds a value; `Refused` where none does."""
        try:
            return self.facts.range_for(unit, value / self.over if self.over > 1 else value)
        except ValueError as error:
            raise OUT_OF_RANGE from error

    @property
    def _wired(self) -> str:
        return self.terminal if self.front else f"{self.terminal}.rear"

    def _seen(self, unit: Unit, value: float) -> float:
        if "sentinel" in self.bench.faults:
            return NAN
        self._last[unit] = abs(value)
        full = self.measure[unit] if unit != self.source else self.full[unit]
        ranges = getattr(self.facts, unit)
        wanted = min(abs(value), ranges[-1].full) if full is None else full
        used = self.facts.range_for(unit, wanted)
        if abs(value) > used.full * (self.over + 0.01):
            return INFINITE if value > 0 else -INFINITE
        step = used.full * 1e-6
        return round(self.inaccuracy(f"{self.terminal} {unit}", used, value, self.nplc) / step) * step

    def _connect(self) -> None:
        self.bench.set_port(self._wired, self._sourcing() if self.on else self._resting())

    def _sourcing(self) -> OnePort:
        unit = self.source
        used = self.facts.range_for(unit, self.full[unit])
        if unit == "volts":
            level = self.inaccuracy(f"{self.terminal} source", used, self.level[unit])
            return VoltagePort(min(max(level, -self.clamp_v), self.clamp_v), self.limit["amps"])
        level = self.inaccuracy(f"{self.terminal} source a", used, self.level[unit])
        return CurrentPort(level, min(self.limit["volts"], self.clamp_v))

    def _resting(self) -> OnePort | None:
        match self.off_mode:
            case "himp":
                return None
            case "zero":
                return RestingPort(0.0, limit_a=self.limit["amps"])
            case "guard":
                return GuardedPort(0.0, self.limit["volts"])
        return RestingPort(0.0, limit_a=0.005 * self.facts.amps[-4].full, series_s=1e-3)
