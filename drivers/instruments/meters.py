"""Voltmeters: Keithley DAQ6510 on PyMeasure's driver, Keysight 34465A by its own few commands.

PyMeasure's driver of the 34465A's predecessor (34410A) knows autorange only, which a rack may not use.
"""

from __future__ import annotations

from pymeasure.instruments.keithley.keithleyDAQ6510 import KeithleyDAQ6510 as Maintained

from drivers.instruments.boxes import BenchInstrument
from drivers.instruments.dialogue import Dialogue
from drivers.instruments.pymeasure_adapter import adapted
from drivers.instruments.readback import confirm, holds, reading
from firmware_specs.racks.facts import Facts

SETTLE_S = 30.0


class KeithleyDAQ6510(BenchInstrument):
    """A `Voltmeter` at the front terminals."""

    def __init__(self, dialogue: Dialogue, name: str, line_hz: float = 50.0, facts: Facts | None = None) -> None:
        super().__init__(dialogue, name, line_hz, facts)
        self.maintained = adapted(Maintained, dialogue, name, SETTLE_S)

    def configure(self, *, range_v: float, nplc: float) -> None:
        """Fixed range and integration, read back."""
        box = self.maintained
        box.sense_mode = "voltage"
        box.voltage_range = range_v
        holds("the range", range_v, box.voltage_range, self.name)
        box.voltage_nplc = nplc
        confirm("the integration", nplc, box.voltage_nplc, self.name)

    def measure(self) -> float:
        """One reading, volts."""
        return reading(self.dialogue.ask_tied(":READ?", timeout_s=SETTLE_S), ":READ?", self.name)


class Keysight34465A(BenchInstrument):
    """A `Voltmeter`."""

    _measure_s = 1.0

    def configure(self, *, range_v: float, nplc: float) -> None:
        """Fixed range and integration, read back; no autozero between readings."""
        self.dialogue.write(f"CONF:VOLT:DC {range_v:.9g}")
        self.dialogue.write(f"SENS:VOLT:DC:NPLC {nplc:.9g}")
        confirm("the integration", nplc, self.dialogue.ask("SENS:VOLT:DC:NPLC?"), self.name)
        self.dialogue.write("SENS:VOLT:DC:ZERO:AUTO OFF")
        self._measure_s = 1.0 + 4 * nplc / self.line_hz

    def measure(self) -> float:
        """One reading, volts."""
        return reading(self.dialogue.ask_tied("READ?", timeout_s=self._measure_s), "READ?", self.name)
