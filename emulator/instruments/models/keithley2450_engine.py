"""What a 2450 does, whichever command set it speaks: readings into a buffer, sweeps by its trigger model."""

from __future__ import annotations

from typing import Protocol

from emulator.instruments.buffers import Entry
from emulator.instruments.refused import Refused
from emulator.instruments.smu import INFINITE, OTHER, SmuChannel, SmuReading, Unit
from emulator.instruments.smu_scpi import CONFLICT
from emulator.instruments.sweeps import Sweep
from emulator.rack.stand import Stand
from firmware_specs.instruments.kinds import Value

NAMES = {"VOLT": "V", "AMP": "A", "OHM": "Ohm", "WATT": "W", "volts": "V", "amps": "A"}
"""Units of readings and of sources."""
FRONT, LIMIT_BITS = 0x08, {(1, "HIGH"): 0x80, (1, "LOW"): 0x40, (2, "HIGH"): 0x20, (2, "LOW"): 0x10}
"""Status of a reading (2450 Reference Manual, bufferVar.statuses)."""
CLAMPED, READBACK, LIMITED, FOUR_WIRES, OUTPUT = 0x04, 0x08, 0x20, 0x40, 0x80
"""Status of the source (the same, bufferVar.sourcestatuses)."""
NO_MODEL = Refused(-221, "Settings conflict; no trigger model is loaded")


class Spoken(Protocol):
    """A command set: what was set by it, and its buffers."""

    bench: Stand

    @property
    def quantity(self) -> str:
        """What is measured: `volts`, `amps` or `ohms`."""
        ...

    def setting(self, name: str, function: str, *numbers: int) -> Value:
        """A setting of a function, by the names of `keithley-2450.toml`; words by their short forms."""
        ...

    def add(self, buffer: str, entry: Entry) -> None:
        """Keeps a reading in a buffer."""

    def empty(self, buffer: str) -> None:
        """Takes all readings out of a buffer."""


class Engine:
    """The measuring part of one box.

    Args:
        box: The command set in front of it.
        smu: Its analog half.

    Attributes:
        sweep: What the trigger model does when it is initiated; None: nothing is loaded.
        fails: Ends of the limits that failed, by function and number of the limit.
    """

    def __init__(self, box: Spoken, smu: SmuChannel) -> None:
        self._box, self.smu = box, smu
        self.sweep: Sweep | None = None
        self.fails: dict[tuple[str, int], set[str]] = {}

    def initiate(self) -> None:
        """Runs the trigger model: a reading a level; a sweep turns the output on before and off after.

        Raises:
            Refused: nothing is loaded, or the sweep is of the other source.
        """
        if self.sweep is None:
            raise NO_MODEL
        sweep, smu, unit = self.sweep, self.smu, self.smu.source
        if sweep.unit != unit:
            raise CONFLICT
        before, auto, full = smu.level[unit], smu.auto[unit], smu.full[unit]
        self._box.empty(sweep.buffer)
        self.prepare()
        smu.auto[unit] = auto or not sweep.fixed
        if sweep.switches:
            smu.set_output(True)
        try:
            for level in sweep.levels:
                smu.set_level(unit, level)
                self._box.bench.advance(sweep.delay_s)
                reading = smu.read()
                self._keep(sweep.buffer, reading)
                if sweep.abort and reading.limited:
                    break
        finally:
            smu.full[unit], smu.auto[unit] = full, auto
            smu.set_level(unit, before)
            if sweep.switches:
                smu.set_output(False)

    def take(self, buffer: str, count: int) -> None:
        """Readings into a buffer; with the output off, of what is at the terminals then (manual, examples of READ?)."""
        self.prepare()
        with_current = self.smu.on and self._box.quantity == "ohms" and not self.smu.level[self.smu.source]
        for _ in range(count):
            full = float(self._box.setting("measure", "ohms")) if with_current else 0.0  # type: ignore[arg-type]
            self._keep(buffer, self.smu.read_ohms(full) if with_current else self.smu.read())

    def prepare(self) -> None:
        """Integration, filter, delay and autozero of the function that is measured."""
        quantity, smu = self._box.quantity, self.smu
        smu.nplc = self._number("nplc", quantity)
        smu.autozero = bool(self._box.setting("autozero", quantity))
        smu.averages = int(self._number("filter.count", quantity)) if self._box.setting("filter.on", quantity) else 1
        auto = self._box.setting("delay.auto", smu.source)
        smu.delay_s = 0.0 if auto else self._number("delay", smu.source)

    def value(self, reading: SmuReading) -> float:
        """What a reading says of the function that is measured: in its unit, relative offset taken off, calculated."""
        quantity = self._box.quantity
        every = {"VOLT": reading.volts, "AMP": reading.amps, "OHM": reading.ohms, "WATT": reading.volts * reading.amps}
        value = every[str(self._box.setting("unit", quantity))]
        if abs(value) >= INFINITE:
            return value
        if self._box.setting("relative.on", quantity):
            value -= self._number("relative", quantity)
        return self._calculated(value, quantity) if self._box.setting("math.on", quantity) else value

    def failed(self, quantity: str, number: int) -> str:
        """`NONE`, `HIGH`, `LOW` or `BOTH`: what a limit test of a function found."""
        found = self.fails.get((quantity, number), set())
        return "BOTH" if len(found) > 1 else next(iter(found), "NONE")

    def _calculated(self, value: float, quantity: str) -> float:
        match self._box.setting("math.format", quantity):
            case "MXB":
                return self._number("math.m", quantity) * value + self._number("math.b", quantity)
            case "REC":
                return 1 / value if value else INFINITE
        reference = self._number("math.percent", quantity)
        return 100 * (value - reference) / reference if reference else INFINITE

    def _tested(self, value: float, quantity: str) -> int:
        """Status bits of the limit tests that are on; what failed is kept, until the next test where that clears it."""
        bits = 0
        for number in (1, 2):
            if not self._box.setting("limits.on", quantity, number):
                continue
            found = self.fails.setdefault((quantity, number), set())
            if self._box.setting("limits.autoclear", quantity, number):
                found.clear()
            for end, beyond in (
                ("HIGH", value > self._number("limits.high", quantity, number)),
                ("LOW", value < self._number("limits.low", quantity, number)),
            ):
                if beyond:
                    found.add(end)
                    bits |= LIMIT_BITS[number, end]
        return bits

    def _keep(self, buffer: str, reading: SmuReading) -> None:
        """A reading with its source value: measured, or as set where read back is off."""
        unit, quantity, smu = self.smu.source, self._box.quantity, self.smu
        measured = reading.volts if unit == "volts" else reading.amps
        readback = bool(self._box.setting("readback", unit))
        value = self.value(reading)
        status = FRONT * smu.front | self._tested(value, quantity)
        four = bool(self._box.setting("wires", quantity))
        source_status = (
            CLAMPED * smu.clamped()
            | READBACK * readback
            | LIMITED * reading.limited
            | FOUR_WIRES * four
            | OUTPUT * smu.on
        )
        name = NAMES[str(self._box.setting("unit", quantity))]
        sourced = measured if readback else reading.level
        self._box.add(buffer, Entry(value, name, sourced, NAMES[unit], reading.at_s, status, source_status))

    def tripped(self, unit: Unit) -> bool:
        """Does the limit of the other unit hold now?"""
        return self.smu.source == OTHER[unit] and self.smu.limited()

    def _number(self, name: str, function: str, *numbers: int) -> float:
        return float(self._box.setting(name, function, *numbers))  # type: ignore[arg-type]
