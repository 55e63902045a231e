"""Keithley 2400, on PyMeasure's `Keithley2400`.

Its `current` property sends `:MEASURE:CURRENT?`, which puts the box back to autorange; readings are taken with `:READ?`
in the data format PyMeasure sets up (volts, amperes, ohms, time, status).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from pymeasure.instruments.keithley.keithley2400 import Keithley2400 as Maintained

from drivers.errors import OutOfRange
from drivers.instruments.dialogue import Dialogue, confirm, reading
from drivers.instruments.pymeasure_adapter import DialogueAdapter
from drivers.instruments.scpi import drain_errors, sweep_by_points
from drivers.instruments.smu import SmuState
from drivers.roles import Measured

COMPLIANCE_BIT = 1 << 3
"""Of the status word in a reading (unverified on a box of ours)."""


class Keithley2400:
    """The box and its one channel, a `SourceMeasure`.

    Args:
        dialogue: Session to it.
        name: As the rack calls it.
        line_hz: Mains frequency, for deadlines.
    """

    def __init__(self, dialogue: Dialogue, name: str, line_hz: float = 50.0) -> None:
        self.dialogue = dialogue
        self.line_hz = line_hz
        self.name = f"{name}.1"
        self.maintained = Maintained(DialogueAdapter(dialogue))
        self.state = SmuState(self.name)
        self.channels = {"1": self}

    def identity(self) -> str:
        """Answer to `*IDN?`."""
        return str(self.maintained.id)

    def reset(self) -> None:
        """Defaults, output off, data format as PyMeasure reads it."""
        self.dialogue.write("*RST")
        self.dialogue.write("*CLS")
        self.dialogue.ask("*OPC?")
        self.maintained.reset_data_format()
        self.state = SmuState(self.name)

    def errors(self) -> list[str]:
        """Empties the error queue."""
        return drain_errors(self.dialogue)

    def source_volts(self, *, range_v: float, limit_a: float, measure_a: float, nplc: float) -> None:
        """Volts in a fixed range, compliance and current range read back."""
        self.state.may_configure()
        box = self.maintained
        box.source_mode = "voltage"
        self.dialogue.write(":SENS:FUNC:ALL")
        box.source_voltage_range = range_v
        box.source_voltage = 0.0
        box.compliance_current = limit_a
        confirm("the compliance", limit_a, box.compliance_current, self.name)
        box.current_range = measure_a
        self._holds("the current range", measure_a, box.current_range)
        self._speed(nplc)
        self.state.source, self.state.level = "volts", 0.0

    def source_amps(self, *, range_a: float, limit_v: float, nplc: float) -> None:
        """Amperes in a fixed range, compliance read back."""
        self.state.may_configure()
        box = self.maintained
        box.source_mode = "current"
        self.dialogue.write(":SENS:FUNC:ALL")
        box.source_current_range = range_a
        box.source_current = 0.0
        box.compliance_voltage = limit_v
        confirm("the compliance", limit_v, box.compliance_voltage, self.name)
        box.voltage_range = limit_v
        self._holds("the voltage range", limit_v, box.voltage_range)
        self._speed(nplc)
        self.state.source, self.state.level = "amps", 0.0

    def set_level(self, level: float) -> None:
        """Volts or amperes."""
        if self.state.source == "amps":
            self.maintained.source_current = level
        else:
            self.state.needs("volts")
            self.maintained.source_voltage = level
        self.state.level = level

    def output(self, on: bool) -> None:
        """Output relay, read back."""
        if on:
            self.state.may_switch_on()
        self.maintained.source_enabled = on
        self.state.on = bool(self.maintained.source_enabled)
        confirm("the output", on, self.state.on, self.name)

    def measure(self) -> Measured:
        """One reading of volts, amperes and status."""
        self.state.may_measure()
        answer = self.dialogue.ask(":READ?", timeout_s=self.state.measure_s)
        parts = answer.split(",")
        volts, amps = (reading(part, ":READ?", self.name) for part in parts[:2])
        return Measured(volts, amps, bool(int(reading(parts[4], "the status word", self.name)) & COMPLIANCE_BIT))

    def pulse(self, level_v: float, width_s: float, count: int) -> None:
        """Refused: software cannot time a pulse, and this box has no pulse function."""
        raise OutOfRange("a 2400 does not time pulses; force with a 2600B or a B2900", device=self.name)

    def sweep(self, levels: Sequence[float]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Point by point, then back to 0."""
        return sweep_by_points(self, levels)

    def safe(self) -> None:
        """Level to zero, output off."""
        self.dialogue.send_regardless(":SOURCE:VOLTAGE 0;:SOURCE:CURRENT 0")
        self.dialogue.send_regardless("OUTPUT 0")
        self.state.on = False

    def close(self) -> None:
        """Ends the session."""
        self.dialogue.close()

    def _speed(self, nplc: float) -> None:
        self.maintained.current_nplc = nplc
        confirm("the integration", nplc, self.maintained.current_nplc, self.name)
        self.maintained.filter_enabled = False
        self.state.measure_s = 1.0 + 6 * nplc / self.line_hz

    def _holds(self, what: str, wanted: float, got: float) -> None:
        if not wanted <= got * (1 + 1e-6):
            confirm(what, wanted, got, self.name)
