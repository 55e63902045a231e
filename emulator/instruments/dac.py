"""One output of a DAC card, without any dialect: a quantized set-point, an output relay, a limit of 20 mA."""

from __future__ import annotations

from dataclasses import dataclass

from emulator.instruments.refused import Refused
from emulator.rack.circuit import VoltagePort
from emulator.rack.inaccuracy import Inaccuracy
from emulator.rack.stand import Stand
from firmware_specs.racks.facts import Facts

LIMIT_A = 0.02


@dataclass
class DacOutput:
    """One output.

    Attributes:
        bench: What it stands on.
        terminal: Where it leads.
        facts: Range and resolution.
        inaccuracy: Its errors.
        series_ohm: In series with it.
        volts: Set-point.
        on: Output relay.
    """

    bench: Stand
    terminal: str
    facts: Facts
    inaccuracy: Inaccuracy
    series_ohm: float
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
        volts = self.inaccuracy(f"{self.terminal} dac", used, round(self.volts / step) * step)
        self.bench.set_port(self.terminal, VoltagePort(volts, limit_a=LIMIT_A, series_s=1 / self.series_ohm))
