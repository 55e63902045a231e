"""Keithley 4200A-SCS through KXCI's user mode, one object an SMU, on PyMeasure's `Keithley4200`.

KXCI acknowledges every command and answers no question about a setting: what is "read back" of other boxes is its `ACK`
here. Range, level and compliance go out in one command, so no output is ever on with another compliance. Over Ethernet
lines end in a null byte. Unverified on a box of ours.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pymeasure.instruments.keithley.keithley4200 import Keithley4200 as Maintained

from drivers.errors import DeviceFault, OutOfRange, ProtocolViolation
from drivers.instruments.boxes import BenchInstrument
from drivers.instruments.dialogue import Dialogue
from drivers.instruments.pymeasure_adapter import adapted
from drivers.instruments.readback import reading
from drivers.instruments.smu import SmuChannel, Source
from drivers.roles import Measured
from firmware_specs.racks.facts import Facts

VOLTS = {0.2: 4, 2.0: 5, 20.0: 1, 200.0: 2}
AMPS = {1e-12: 11, 1e-11: 12, 1e-10: 13, 1e-9: 1, 1e-8: 2, 1e-7: 3, 1e-6: 4, 1e-5: 5, 1e-4: 6, 1e-3: 7, 1e-2: 8, 0.1: 9}
"""Numbers of the source ranges, from PyMeasure's driver."""
PREAMPLIFIER = {4, 5, 11, 12, 13, 1, 2}
"""Ranges that need one: of volts 4 and 5, of amperes 1, 2 and 11 to 13."""
SPEED = ((0.1, 1), (1.0, 2))
"""Longest integration, power line cycles, that `IT1` and `IT2` are used for; beyond `IT3`."""
ACKNOWLEDGED = "ACK"


class Keithley4200(BenchInstrument):
    """One mainframe; PyMeasure asks which SMUs and preamplifiers it has."""

    def __init__(self, dialogue: Dialogue, name: str, line_hz: float = 50.0, facts: Facts | None = None) -> None:
        super().__init__(dialogue, name, line_hz, facts, lambda _: [])
        self.maintained = adapted(Maintained, dialogue, name)
        self.options = [option.strip().upper() for option in self.maintained.options]
        numbers = facts.channels if facts else ("1", "2")
        self.channels = {number: Keithley4200Channel(self, number) for number in numbers}

    def reset(self) -> None:
        """Outputs off, buffer empty."""
        self._all_off()
        self.maintained.clear()
        self._forget()

    def left_on(self, outputs: Sequence[str] = ()) -> list[str]:
        """None: KXCI cannot be asked, so all of them are switched off, each acknowledged."""
        self._all_off()
        return []

    def done(self) -> None:
        """Nothing: every command was acknowledged."""

    def smu(self, number: str) -> Any:
        """PyMeasure's channel.

        Raises:
            OutOfRange: the mainframe has none of this number.
        """
        found = getattr(self.maintained, f"smu{number}", None)
        if found is None:
            raise OutOfRange(f"there is no SMU {number}; the box has {', '.join(self.options)}", device=self.name)
        return found

    def _all_off(self) -> None:
        for number in self.channels:
            if getattr(self.maintained, f"smu{number}", None) is not None:
                self.smu(number).disable()

    def _off_lines(self) -> list[str]:
        return [f"US;DV{number}" for number in self.channels]


class Keithley4200Channel(SmuChannel):
    """One SMU as a `SourceMeasure`."""

    def __init__(self, box: Keithley4200, number: str) -> None:
        super().__init__(f"{box.name}.{number}", box.line_hz, conversions=4)
        self._box, self._number = box, number
        self._range, self._limit, self._said_on = 0, 0.0, False

    def is_on(self) -> bool:
        """As the last acknowledged command left it."""
        return self._said_on

    def forget(self) -> None:
        """After a reset: off."""
        super().forget()
        self._said_on = False

    def _configure(self, source: Source, full: float, limit: float, measured: float, nplc: float) -> None:
        """Range and compliance go out with every level; the meter of user mode ranges by itself."""
        with_preamplifier = any(option.startswith(f"SMUPA{self._number}") for option in self._box.options)
        table = VOLTS if source == "volts" else AMPS
        numbers = [
            number for largest, number in sorted(table.items())
            if full <= largest * (1 + 1e-9)
            and (with_preamplifier or not (number in PREAMPLIFIER and (source == "amps" or number > 3)))
        ]  # fmt: skip
        if not numbers:
            raise OutOfRange(f"{full:g} {'V' if source == 'volts' else 'A'} is beyond the ranges", device=self.name)
        self._range, self._limit = numbers[0], limit
        speed = next((number for most, number in SPEED if nplc <= most), 3)
        if (said := self._box.dialogue.ask(f"IT{speed}")).strip() != ACKNOWLEDGED:
            raise ProtocolViolation(f"IT{speed} answered {said!r}, ACK was expected", device=self.name)

    def _send_level(self, source: Source, level: float) -> None:
        smu, setting = self._box.smu(self._number), (self._range, level, self._limit)
        if source == "volts":
            smu.voltage_setpoint = setting
        else:
            smu.current_setpoint = setting

    def _switch(self, on: bool) -> None:
        if on:
            assert self.source is not None  # noqa: S101 - `output` looked
            self._send_level(self.source, 0.0)
        else:
            self._box.smu(self._number).disable()
        self._said_on = on

    def _read(self) -> Measured:
        """Volts and amperes; PyMeasure drops the letter that says whether the compliance held."""
        amps, limited = self._spot("TI")
        volts, also = self._spot("TV")
        return Measured(volts, amps, limited or also)

    def _spot(self, verb: str) -> tuple[float, bool]:
        answer = self._box.dialogue.ask(f"US;{verb}{self._number}", timeout_s=self.measure_s)
        status, channel, what = answer[:1], answer[1:2], answer[2:3]
        if (channel, what) != (chr(ord("A") + int(self._number) - 1), verb[1]):
            raise self._box.dialogue.out_of_turn(answer.encode())
        if status in "LVX":
            raise DeviceFault(-222, f"the reading {answer} is marked {status}", asked=verb, device=self.name)
        return reading(answer[3:], verb, self.name), status == "C"
