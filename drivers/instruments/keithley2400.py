"""Keithley 2400, on PyMeasure's `Keithley2400`.

Its `current` property sends `:MEASURE:CURRENT?`, which puts the box back to autorange; readings are taken with `:READ?`
in the data format PyMeasure sets up (volts, amperes, ohms, time, status).
"""

from __future__ import annotations

from pymeasure.instruments.keithley.keithley2400 import Keithley2400 as Maintained

from drivers import answers
from drivers.instruments.boxes import BenchInstrument
from drivers.instruments.dialogue import Dialogue
from drivers.instruments.pymeasure_adapter import adapted, set_level, set_up_source
from drivers.instruments.readback import confirm, reading
from drivers.instruments.smu import SmuChannel, Source
from drivers.roles import Measured
from firmware_specs.racks.facts import Facts

COMPLIANCE_BIT = 1 << 3
"""Of the status word in a reading."""


class Keithley2400(BenchInstrument):
    """One box with channel `1`."""

    def __init__(self, dialogue: Dialogue, name: str, line_hz: float = 50.0, facts: Facts | None = None) -> None:
        super().__init__(dialogue, name, line_hz, facts)
        self.maintained = adapted(Maintained, dialogue, name)
        self.channels = {"1": Keithley2400Channel(self)}

    def reset(self) -> None:
        """Defaults, output off, data format as PyMeasure reads it."""
        super().reset()
        self.maintained.reset_data_format()

    def _off_lines(self) -> list[str]:
        return [":SOURCE:VOLTAGE 0;:SOURCE:CURRENT 0", "OUTPUT 0"]


class Keithley2400Channel(SmuChannel):
    """The channel as a `SourceMeasure`."""

    def __init__(self, box: Keithley2400) -> None:
        super().__init__(f"{box.name}.1", box.line_hz, conversions=6)
        self._box = box

    def is_on(self) -> bool:
        """Output relay, asked of the box."""
        return answers.flag(self._box.dialogue.ask("OUTPUT?"), "OUTPUT?", self.name)

    def _configure(self, source: Source, full: float, limit: float, measured: float, nplc: float) -> None:
        maintained = self._box.maintained
        maintained.source_mode = "voltage" if source == "volts" else "current"
        self._box.dialogue.write(":SENS:FUNC:ALL")
        set_up_source(maintained, source, full, limit, measured, self.name)
        maintained.current_nplc = nplc
        confirm("the integration", nplc, maintained.current_nplc, self.name)
        maintained.filter_enabled = False

    def _send_level(self, source: Source, level: float) -> None:
        set_level(self._box.maintained, source, level)

    def _switch(self, on: bool) -> None:
        self._box.maintained.source_enabled = on

    def _read(self) -> Measured:
        """Volts, amperes and status of one reading."""
        answer = self._box.dialogue.ask_tied(":READ?", timeout_s=self.measure_s)
        parts = answers.fields(answer, 5, ":READ?", self.name)
        volts, amps = (reading(part, ":READ?", self.name) for part in parts[:2])
        status = answers.whole(parts[4], "the status word of :READ?", self.name)
        return Measured(volts, amps, bool(status & COMPLIANCE_BIT))
