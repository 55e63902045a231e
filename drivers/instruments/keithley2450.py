"""Keithley 2450 in its own SCPI command set, on PyMeasure's `Keithley2450`."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from pymeasure.instruments.keithley.keithley2450 import Keithley2450 as Maintained

from drivers.errors import OutOfRange, ProtocolViolation
from drivers.instruments.dialogue import Dialogue, confirm, reading
from drivers.instruments.pymeasure_adapter import DialogueAdapter
from drivers.instruments.scpi import drain_errors, sweep_by_points
from drivers.instruments.smu import SmuState, flag
from drivers.roles import Measured

READ = ':READ? "defbuffer1",SOUR,READ'


class Keithley2450:
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
        """Defaults, output off; refuses a box that speaks another command set."""
        language = self.dialogue.ask("*LANG?")
        if language != "SCPI":
            raise ProtocolViolation(
                f"the command set is {language!r}, SCPI is needed",
                device=self.name,
                todo="Send `*LANG SCPI` and switch it off and on",
            )
        self.dialogue.write("*RST")
        self.dialogue.write("*CLS")
        self.dialogue.ask("*OPC?")
        self.state = SmuState(self.name)

    def errors(self) -> list[str]:
        """Empties the error queue."""
        return drain_errors(self.dialogue)

    def source_volts(self, *, range_v: float, limit_a: float, measure_a: float, nplc: float) -> None:
        """Volts in a fixed range, current limit and current range read back."""
        self.state.may_configure()
        box = self.maintained
        box.source_mode = "voltage"
        self.dialogue.write(':SENS:FUNC "CURR"')
        box.source_voltage_range = range_v
        box.source_voltage = 0.0
        box.compliance_current = limit_a
        confirm("the current limit", limit_a, box.compliance_current, self.name)
        box.current_range = measure_a
        self._range_holds("current range", measure_a, box.current_range)
        box.current_nplc = nplc
        confirm("the integration", nplc, box.current_nplc, self.name)
        self.dialogue.write(":SOUR:VOLT:READ:BACK ON")
        self._configured("volts", nplc)

    def source_amps(self, *, range_a: float, limit_v: float, nplc: float) -> None:
        """Amperes in a fixed range, voltage limit read back."""
        self.state.may_configure()
        box = self.maintained
        box.source_mode = "current"
        self.dialogue.write(':SENS:FUNC "VOLT"')
        box.source_current_range = range_a
        box.source_current = 0.0
        box.compliance_voltage = limit_v
        confirm("the voltage limit", limit_v, box.compliance_voltage, self.name)
        box.voltage_range = limit_v
        self._range_holds("voltage range", limit_v, box.voltage_range)
        box.voltage_nplc = nplc
        self.dialogue.write(":SOUR:CURR:READ:BACK ON")
        self._configured("amps", nplc)

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
            self.maintained.enable_source()
        else:
            self.maintained.disable_source()
        self.state.on = flag(self.dialogue.ask("OUTPUT?"), "the output state", self.name)
        confirm("the output", on, self.state.on, self.name)

    def measure(self) -> Measured:
        """One reading with its source value, and the trip flag of the limit."""
        self.state.may_measure()
        answer = self.dialogue.ask(READ, timeout_s=self.state.measure_s)
        source, value = (reading(part, "READ?", self.name) for part in answer.split(","))
        kind = "VOLT:ILIM" if self.state.source == "volts" else "CURR:VLIM"
        tripped = flag(self.dialogue.ask(f":SOUR:{kind}:TRIP?"), "the limit", self.name)
        return Measured(source, value, tripped) if self.state.source == "volts" else Measured(value, source, tripped)

    def pulse(self, level_v: float, width_s: float, count: int) -> None:
        """Refused: software cannot time a pulse, and this box has no pulse function."""
        raise OutOfRange("a 2450 does not time pulses; force with a 2600B or a B2900", device=self.name)

    def sweep(self, levels: Sequence[float]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Point by point, then back to 0."""
        return sweep_by_points(self, levels)

    def safe(self) -> None:
        """Level to zero, output off."""
        self.dialogue.send_regardless(":SOUR:VOLT:LEV 0;:SOUR:CURR:LEV 0")
        self.dialogue.send_regardless("OUTPUT OFF")
        self.state.on = False

    def close(self) -> None:
        """Ends the session."""
        self.dialogue.close()

    def _configured(self, source: str, nplc: float) -> None:
        self.state.source = "volts" if source == "volts" else "amps"
        self.state.level = 0.0
        self.state.measure_s = 1.0 + 6 * nplc / self.line_hz

    def _range_holds(self, what: str, wanted: float, got: float) -> None:
        if not wanted <= got * (1 + 1e-6):
            confirm(what, wanted, got, self.name)
