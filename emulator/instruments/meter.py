"""The analog half of a multimeter: what its terminals do in each function, and one reading of it.

DC quantities see the circuit: volts at the terminal; amperes through it, which it then shorts to its LO; ohms and
diodes by a test current. There is no alternating current on a bench of parts without time constants of their own, so
AC volts and amperes read 0; temperature reads that of the bench.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from emulator.instruments.refused import Refused
from emulator.instruments.smu import INFINITE, NAN
from emulator.rack.circuit import CurrentPort, OnePort, VoltagePort
from emulator.rack.inaccuracy import Inaccuracy
from emulator.rack.stand import Stand
from firmware_specs.racks.facts import Facts, Range

Quantity = Literal["volts", "amps", "ohms", "diode", "ac", "kelvin"]
BURDEN_OHM = 0.1
OPEN_V = 10.0
"""Highest voltage of a test current."""
FREEZING_K = 273.15
OVERRANGE = 1.2
OUT_OF_RANGE = Refused(-222, "Data out of range")
TEST_A = ((100.0, 1e-3), (1e3, 1e-3), (1e4, 1e-4), (1e5, 1e-5), (1e6, 5e-6), (1e7, 5e-7), (1e9, 5e-7))
"""Test current by ohms range; 34401A class of meters, unverified for each model."""


@dataclass
class MeterInput:
    """The input of a multimeter.

    Attributes:
        bench: What it stands on.
        terminal: Its HI.
        facts: Ranges and accuracy.
        inaccuracy: Its errors.
        quantity: What it measures now; an ammeter shorts its terminal as long as it is one.
    """

    bench: Stand
    terminal: str
    facts: Facts
    inaccuracy: Inaccuracy
    quantity: Quantity = "volts"

    def connect(self, quantity: Quantity) -> None:
        """The terminals take the part of a function."""
        self.quantity = quantity
        self.bench.set_port(self.terminal, self._port(1e-3) if quantity == "amps" else None)

    def read(
        self,
        full: float | None,
        nplc: float,
        *,
        conversions: int = 1,
        bias_a: float = 1e-3,
        node: str = "",
        delay_s: float = 0.0,
    ) -> float:
        """One reading.

        Args:
            full: Range; None is automatic.
            nplc: Integration, power line cycles.
            conversions: Conversions it costs.
            bias_a: Current of a diode test.
            node: Where the voltage is, when not at the terminal: a channel of a multiplexer.
            delay_s: Wait before it.
        """
        quantity = self.quantity
        if quantity in ("ohms", "diode"):
            bias_a = bias_a if quantity == "diode" else self._test_current(full)
            self.bench.set_port(self.terminal, self._port(bias_a))
        self.bench.advance(delay_s + conversions * nplc / self.bench.line_hz)
        value = self._value(quantity, node or self.terminal, bias_a)
        if quantity in ("ohms", "diode"):
            self.bench.set_port(self.terminal, None)
        self.bench.log.add("reading", self.terminal, value, node or quantity)
        return self._seen(quantity, value, full, nplc)

    def range(self, unit: Literal["volts", "amps", "ohms"], value: float) -> Range:
        """The smallest range that holds a value; `Refused` where none does."""
        try:
            return self.facts.range_for(
                unit, value / OVERRANGE if value > getattr(self.facts, unit)[-1].full else value
            )
        except (ValueError, IndexError) as error:
            raise OUT_OF_RANGE from error

    def _port(self, bias_a: float) -> OnePort:
        if self.quantity == "amps":
            return VoltagePort(0.0, series_s=1 / BURDEN_OHM)
        return CurrentPort(bias_a, OPEN_V)

    def _test_current(self, full: float | None) -> float:
        if full is None:
            self.bench.set_port(self.terminal, CurrentPort(1e-6, OPEN_V))
            full = abs(self.bench.terminal_volts(self.terminal)) / 1e-6
        return next((amps for ohms, amps in TEST_A if full <= ohms), TEST_A[-1][1])

    def _value(self, quantity: Quantity, node: str, bias_a: float) -> float:
        match quantity:
            case "volts":
                return self.bench.terminal_volts(node)
            case "amps":
                return -self.bench.terminal_amps(self.terminal)
            case "ohms":
                volts = self.bench.terminal_volts(self.terminal)
                return INFINITE if abs(volts) >= OPEN_V else volts / bias_a
            case "diode":
                volts = self.bench.terminal_volts(self.terminal)
                return INFINITE if abs(volts) >= OPEN_V else volts
            case "kelvin":
                return self.bench.kelvin() - FREEZING_K
        return 0.0

    def _seen(self, quantity: Quantity, value: float, full: float | None, nplc: float) -> float:
        if "sentinel" in self.bench.faults:
            return NAN
        if quantity not in ("volts", "amps", "ohms", "diode") or abs(value) >= INFINITE:
            return value
        unit: Literal["volts", "amps", "ohms"] = "volts" if quantity in ("volts", "diode") else quantity  # type: ignore[assignment]
        ranges = getattr(self.facts, unit)
        used = self.facts.range_for(unit, min(abs(value) if full is None else full, ranges[-1].full))
        if abs(value) > used.full * OVERRANGE:
            return INFINITE if value > 0 else -INFINITE
        return self.inaccuracy(unit, used, value, nplc)
