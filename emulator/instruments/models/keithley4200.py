"""Virtual Keithley 4200A-SCS behind KXCI: user mode (`US`) of its SMUs; null bytes end lines, all are answered.

From PyMeasure's driver and the KXCI manual, from memory. System mode, sweeps and pulse cards are not here.
"""

from __future__ import annotations

import re

from emulator.instruments.plain import PlainBox
from emulator.instruments.refused import Refused
from emulator.instruments.smu import INFINITE, SmuChannel, Unit
from emulator.rack.inaccuracy import Inaccuracy
from emulator.rack.stand import Stand
from firmware_specs.racks.wiring import Instrument

VOLTS = {1: 20.0, 2: 200.0, 3: 200.0, 4: 0.2, 5: 2.0}
AMPS = {1: 1e-9, 2: 1e-8, 3: 1e-7, 4: 1e-6, 5: 1e-5, 6: 1e-4, 7: 1e-3, 8: 1e-2, 9: 0.1}
RANGES: dict[Unit, dict[int, float]] = {"volts": VOLTS, "amps": AMPS}
FORCES: dict[str, tuple[Unit, Unit]] = {"DV": ("volts", "amps"), "DI": ("amps", "volts")}
READS: dict[str, Unit] = {"TI": "amps", "TV": "volts"}
INTEGRATION = {"IT1": 0.1, "IT2": 1.0, "IT3": 10.0}
ACK = "ACK"
WRONG = Refused(-992, "SYNTAX ERROR")
_COMMAND = re.compile(r"(D[VI]|T[VI])(\d)(?:,(.*))?")


class Keithley4200(PlainBox):
    """A mainframe with preamplifiers at all SMUs."""

    def __init__(self, bench: Stand, name: str, spec: Instrument, inaccuracy: Inaccuracy) -> None:
        super().__init__(bench, name, spec)
        self.channels = {
            number: SmuChannel(bench, f"{name}.{number}", spec.facts, inaccuracy) for number in spec.facts.channels
        }
        self._user = False
        self._reset()

    def carry_out(self, line: str) -> str | None:
        """Commands of one line, one answer."""
        answer = ACK
        for command in (part.strip().upper() for part in line.split(";")):
            answer = self._one(command) or answer
        return answer

    def refuse(self, refused: Refused) -> str | None:
        """Said in place of the acknowledgement."""
        super().refuse(refused)
        return refused.text

    def _one(self, command: str) -> str | None:
        match command:
            case "*IDN?":
                return self.identity()
            case "ID":
                return "KI4200A V1.13"
            case "*OPT?":
                return ",".join([*(f"SMU{n}" for n in self.channels), *(f"SMUPA{n}" for n in self.channels)])
            case "SP":
                return "0"
            case "US":
                self._user = True
                return None
            case "BC" | "":
                return None
            case "*RST":
                self._reset()
                return None
        if command in INTEGRATION:
            for channel in self.channels.values():
                channel.nplc = INTEGRATION[command]
            return None
        found = _COMMAND.fullmatch(command)
        if found is None or not self._user or found[2] not in self.channels:
            raise WRONG
        channel = self.channels[found[2]]
        if found[1] in READS:
            return self._spot(found[1], found[2], channel)
        if found[3] is None:
            channel.set_output(False)
            return None
        self._force(channel, *FORCES[found[1]], found[3])
        return None

    def _force(self, channel: SmuChannel, unit: Unit, other: Unit, text: str) -> None:
        try:
            index, level, limit = (float(part) for part in text.split(","))
            full = RANGES[unit][int(index)] if index else channel.range(unit, level).full
        except (ValueError, KeyError):
            raise WRONG from None
        if not abs(level) <= full * 1.05 or not 0 < abs(limit) < INFINITE:
            raise WRONG
        if unit != channel.source:
            channel.set_output(False)
            channel.set_source(unit)
        channel.level[unit] = 0.0
        channel.set_range(unit, full)
        channel.set_limit(other, abs(limit))
        channel.set_level(unit, level)
        if not channel.on:
            channel.set_output(True)

    def _spot(self, verb: str, number: str, channel: SmuChannel) -> str:
        seen = channel.read()
        value = seen.amps if READS[verb] == "amps" else seen.volts
        status = "V" if abs(value) >= INFINITE else "C" if seen.limited else "N"
        return f"{status}{chr(ord('A') + int(number) - 1)}{verb[1]} {value:+.4E}"

    def _reset(self) -> None:
        for channel in self.channels.values():
            channel.reset()
            channel.set_off_mode("himp")
