"""The analog halves of the virtual instruments: SMU channels, DAC outputs and voltmeters, without any dialect."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from emulator.rack.bench import Bench
from emulator.rack.circuit import CurrentPort, OnePort, VoltagePort
from emulator.rack.inaccuracy import Inaccuracy
from firmware_specs.racks.facts import Facts, Range

Unit = Literal["volts", "amps"]
OTHER: dict[Unit, Unit] = {"volts": "amps", "amps": "volts"}


class Refused(Exception):
    """A setting the instrument refuses: code and words for its error queue."""

    def __init__(self, code: int, text: str) -> None:
        self.code, self.text = code, text
        super().__init__(text)


@dataclass(frozen=True)
class RestingPort(VoltagePort):
    """An output that is off: 0 V with a feeble limit (output-off state NORMAL)."""

    resting: bool = True


@dataclass(frozen=True)
class SmuReading:
    """One conversion."""

    volts: float
    amps: float
    limited: bool


@dataclass
class SmuChannel:
    """One source-measure channel.

    Attributes:
        terminal: Where it is on the bench.
        source: What it sources.
        level: Set-points, by unit.
        full: Source ranges.
        limit: Compliance, by the unit it limits.
        measure: Measurement ranges; None is automatic.
        nplc: Integration.
        delay_s: Wait before a conversion.
        on: Output.
    """

    bench: Bench
    terminal: str
    facts: Facts
    inaccuracy: Inaccuracy
    source: Unit = "volts"
    level: dict[Unit, float] = field(default_factory=dict)
    full: dict[Unit, float] = field(default_factory=dict)
    limit: dict[Unit, float] = field(default_factory=dict)
    measure: dict[Unit, float | None] = field(default_factory=dict)
    nplc: float = 1.0
    delay_s: float = 0.0
    on: bool = False

    def __post_init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Defaults: volts, 0, output off, compliance 100 uA and 2 V."""
        self.set_output(False)
        self.source, self.nplc, self.delay_s = "volts", 1.0, 0.0
        self.level = {"volts": 0.0, "amps": 0.0}
        self.full = {"volts": self.facts.volts[0].full, "amps": self.facts.amps[0].full}
        self.limit = {"amps": 1e-4, "volts": 2.0}
        self.measure = {"volts": None, "amps": None}
        self._connect()

    def set_source(self, unit: Unit) -> None:
        """What is sourced."""
        self.source = unit
        self._connect()

    def set_range(self, unit: Unit, value: float) -> None:
        """Source range: the smallest that holds the value."""
        self.full[unit] = self._range(unit, value).full
        self.bench.log.add("range", self.terminal, self.full[unit], unit)

    def set_measure(self, unit: Unit, value: float) -> None:
        """Measurement range: the smallest that holds the value."""
        self.measure[unit] = self._range(unit, value).full

    def set_limit(self, unit: Unit, value: float) -> None:
        """Compliance."""
        self._range(unit, value)
        if value <= 0:
            raise Refused(-222, "Parameter data out of range")
        self.limit[unit] = value
        self.bench.log.add("limit", self.terminal, value, unit)
        self._connect()

    def set_level(self, unit: Unit, value: float) -> None:
        """Set-point; beyond the source range it is refused."""
        if abs(value) > self.full[unit] * 1.05:
            raise Refused(-222, "Parameter data out of range")
        if unit == "volts" and abs(value) > 42 and "interlock" in self.bench.faults:
            raise Refused(802, "Output blocked by interlock")
        self.level[unit] = value
        self.bench.log.add("level", self.terminal, value, unit)
        self._connect()

    def set_output(self, on: bool) -> None:
        """Output relay."""
        if on and "interlock" in self.bench.faults:
            raise Refused(802, "Output blocked by interlock")
        if on != self.on:
            self.bench.log.add("output", self.terminal, float(on), self.source)
        self.on = on
        self._connect()

    def settle(self) -> None:
        """Time a changed set-point takes."""
        self.bench.advance(self.facts.settle_s)

    def pulse(self, volts: float, width_s: float) -> None:
        """One pulse from the present level and back."""
        before = self.level["volts"]
        self.set_level("volts", volts)
        self.bench.log.add("pulse", self.terminal, volts, f"{width_s:g}")
        self.bench.advance(width_s)
        self.set_level("volts", before)

    def read(self) -> SmuReading:
        """One conversion: takes its time, sees what the network gives, with the errors of the ranges used."""
        hz = self.bench.rack.timing.line_frequency_hz
        self.bench.advance(self.delay_s + self.facts.settle_s + self.facts.autozero * self.nplc / hz)
        volts, amps = self.bench.terminal_volts(self.terminal), self.bench.terminal_amps(self.terminal)
        port = self.bench.ports.get(self.terminal)
        limited = isinstance(port, VoltagePort | CurrentPort) and port.limited(volts)
        reading = SmuReading(self._seen("volts", volts), self._seen("amps", amps), limited)
        self.bench.log.add("reading", self.terminal, reading.amps, "amps")
        return reading

    def _seen(self, unit: Unit, value: float) -> float:
        full = self.measure[unit]
        if "sentinel" in self.bench.faults:
            return 9.91e37
        if full is None:
            full = max(abs(value), self.limit[unit] if unit != self.source else self.full[unit])
        used = self._range(unit, min(full, getattr(self.facts, unit)[-1].full))
        if abs(value) > used.full * 1.06:
            return 9.9e37 if value > 0 else -9.9e37
        step = used.full * 1e-6
        return round(self.inaccuracy(f"{self.terminal} {unit}", used, value, self.nplc) / step) * step

    def _range(self, unit: Unit, value: float) -> Range:
        try:
            return self.facts.range_for(unit, value)
        except ValueError as error:
            raise Refused(-222, "Parameter data out of range") from error

    def _connect(self) -> None:
        port: OnePort
        if not self.on:
            port = RestingPort(0.0, limit_a=0.005 * self.facts.amps[-4].full, series_s=1e-3)
        elif self.source == "volts":
            used = self._range("volts", self.full["volts"])
            port = VoltagePort(
                self.inaccuracy(f"{self.terminal} source", used, self.level["volts"]), self.limit["amps"]
            )
        else:
            used = self._range("amps", self.full["amps"])
            port = CurrentPort(
                self.inaccuracy(f"{self.terminal} source a", used, self.level["amps"]), self.limit["volts"]
            )
        self.bench.set_port(self.terminal, port)


@dataclass
class DacOutput:
    """One output of a DAC module: quantized set-point, output relay, 20 mA limit."""

    bench: Bench
    terminal: str
    facts: Facts
    inaccuracy: Inaccuracy
    volts: float = 0.0
    on: bool = False

    def set(self, volts: float) -> None:
        """Set-point."""
        used = self.facts.dac_volts
        assert used is not None  # noqa: S101 - only boxes with DACs have outputs
        if abs(volts) > used.full:
            raise Refused(-222, "Data out of range")
        self.volts = volts
        self.bench.log.add("level", self.terminal, volts, "volts")
        self._connect()

    def output(self, on: bool) -> None:
        """Output relay."""
        if on != self.on:
            self.bench.log.add("output", self.terminal, float(on), "volts")
        self.on = on
        self._connect()

    def _connect(self) -> None:
        used = self.facts.dac_volts
        assert used is not None  # noqa: S101 - as above
        if not self.on:
            self.bench.set_port(self.terminal, None)
            return
        step = 2 * used.full / (2**self.facts.dac_bits - 1)
        series_ohm = self.bench.dut.contact_ohm + self.bench.rack.wiring.shunt_ohm
        volts = self.inaccuracy(f"{self.terminal} dac", used, round(self.volts / step) * step)
        self.bench.set_port(self.terminal, VoltagePort(volts, limit_a=0.02, series_s=1 / series_ohm))


@dataclass
class Meter:
    """A voltmeter's converter."""

    bench: Bench
    name: str
    facts: Facts
    inaccuracy: Inaccuracy
    full: float = 10.0
    nplc: float = 1.0
    autozero: bool = True

    def set_range(self, value: float) -> None:
        """The smallest range that holds a voltage."""
        try:
            self.full = self.facts.range_for("volts", value).full
        except ValueError as error:
            raise Refused(-222, "Data out of range") from error

    def read(self, node: str) -> float:
        """One conversion of a node's voltage."""
        hz = self.bench.rack.timing.line_frequency_hz
        self.bench.advance((self.facts.autozero if self.autozero else 1) * self.nplc / hz)
        volts = self.bench.terminal_volts(node)
        self.bench.log.add("reading", self.name, volts, node)
        if "sentinel" in self.bench.faults:
            return 9.91e37
        used = self.facts.range_for("volts", self.full)
        if abs(volts) > used.full * 1.2:
            return 9.9e37 if volts > 0 else -9.9e37
        return self.inaccuracy("volts", used, volts, self.nplc)
