"""Keithley 2450 in its own SCPI command set, on PyMeasure's `Keithley2450`."""

from __future__ import annotations

from collections.abc import Sequence

from pymeasure.instruments.keithley.keithley2450 import Keithley2450 as Maintained

from drivers import answers
from drivers.errors import ProtocolViolation
from drivers.instruments.boxes import BenchInstrument
from drivers.instruments.dialogue import Dialogue
from drivers.instruments.pymeasure_adapter import adapted, set_level, set_up_source
from drivers.instruments.readback import confirm, reading
from drivers.instruments.smu import SmuChannel, Source
from drivers.roles import Measured
from firmware_specs.racks.facts import Facts

READ = ':READ? "defbuffer1",SOUR,READ'


OFF = (":SOUR:VOLT:LEV 0;:SOUR:CURR:LEV 0", "OUTPUT OFF")
OFF_ELSEWHERE = ("*RST",)
"""What every one of its command sets takes; the output is off after it."""


class Keithley2450(BenchInstrument):
    """One box with channel `1`. In another command set than SCPI it is switched off and refused."""

    WAKING = ("endscript", "abort")
    """Words that end what somebody may have left in its TSP command set."""

    def __init__(self, dialogue: Dialogue, name: str, line_hz: float = 50.0, facts: Facts | None = None) -> None:
        super().__init__(dialogue, name, line_hz, facts)
        self.maintained = adapted(Maintained, dialogue, name)
        self.channels = {"1": Keithley2450Channel(self)}
        self._off: Sequence[str] = OFF

    def reset(self) -> None:
        """Defaults, output off; refuses a box that speaks another command set."""
        self._check_language()
        super().reset()

    def left_on(self, outputs: Sequence[str] = ()) -> list[str]:
        """Is its output on? Refuses a box that speaks another command set."""
        self._check_language()
        return super().left_on(outputs)

    def _check_language(self) -> None:
        language = self.dialogue.ask("*LANG?")
        if language != "SCPI":
            self._off = OFF_ELSEWHERE
            raise ProtocolViolation(
                f"the command set is {language!r}, SCPI is needed",
                device=self.name,
                todo="Send `*LANG SCPI` and switch it off and on",
            )

    def _off_lines(self) -> list[str]:
        return list(self._off)


class Keithley2450Channel(SmuChannel):
    """The channel as a `SourceMeasure`."""

    def __init__(self, box: Keithley2450) -> None:
        super().__init__(f"{box.name}.1", box.line_hz, conversions=6)
        self._box = box

    def is_on(self) -> bool:
        """Output relay, asked of the box."""
        return answers.flag(self._box.dialogue.ask("OUTPUT?"), "OUTPUT?", self.name)

    def _configure(self, source: Source, full: float, limit: float, measured: float, nplc: float) -> None:
        maintained, volts = self._box.maintained, source == "volts"
        maintained.source_mode = "voltage" if volts else "current"
        self._box.dialogue.write(f':SENS:FUNC "{"CURR" if volts else "VOLT"}"')
        set_up_source(maintained, source, full, limit, measured, self.name)
        if volts:
            maintained.current_nplc = nplc
            confirm("the integration", nplc, maintained.current_nplc, self.name)
        else:
            maintained.voltage_nplc = nplc
            confirm("the integration", nplc, maintained.voltage_nplc, self.name)
        self._box.dialogue.write(f":SOUR:{'VOLT' if volts else 'CURR'}:READ:BACK ON")

    def _send_level(self, source: Source, level: float) -> None:
        set_level(self._box.maintained, source, level)

    def _switch(self, on: bool) -> None:
        (self._box.maintained.enable_source if on else self._box.maintained.disable_source)()

    def _read(self) -> Measured:
        """One reading with its source value, and the trip flag of the limit."""
        dialogue = self._box.dialogue
        answer = dialogue.ask(READ, timeout_s=self.measure_s)
        sourced, value = (reading(part, ":READ?", self.name) for part in answers.fields(answer, 2, ":READ?", self.name))
        trip = f":SOUR:{'VOLT:ILIM' if self.source == 'volts' else 'CURR:VLIM'}:TRIP?"
        tripped = answers.flag(dialogue.ask(trip), trip, self.name)
        return Measured(sourced, value, tripped) if self.source == "volts" else Measured(value, sourced, tripped)
