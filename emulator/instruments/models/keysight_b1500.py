"""Virtual Keysight B1500A: the FLEX commands of DC sources and spot readings, an HRSMU in every slot.

From the B1500A Programming Guide, from memory: commands, range numbers, `*LRN?`. Triggered spot measurements (`MM 1`,
`XE`) and the data formats 1, 11 and 21 are as PyMeasure's and QCoDeS's drivers read them. Sweeps, pulses, capacitance
and the other modules are not here; their commands are the box's error 100.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Sequence

from emulator.instruments.plain import PlainBox
from emulator.instruments.refused import Refused
from emulator.instruments.smu import INFINITE, SmuChannel, Unit
from emulator.rack.inaccuracy import Inaccuracy
from emulator.rack.stand import Stand
from firmware_specs.racks.wiring import Instrument

MODULE = "B1517A,0"
VOLTS = {5: 0.5, 11: 2.0, 20: 2.0, 50: 5.0, 12: 20.0, 200: 20.0, 13: 40.0, 400: 40.0, 14: 100.0, 1000: 100.0}
AMPS = {11 + n: 1e-9 * 10**n for n in range(9)}
RANGES: dict[Unit, dict[int, float]] = {"volts": VOLTS, "amps": AMPS}
FORCES: dict[str, tuple[Unit, Unit]] = {"DV": ("volts", "amps"), "DI": ("amps", "volts")}
READS: dict[str, Unit] = {"TI": "amps", "TV": "volts"}
SAFE_A = 1e-4
"""Compliance of a channel that was just enabled."""
SYNTAX = Refused(100, "Undefined GPIB command.")
VALUE = Refused(120, "Incorrect parameter value.")
OFF = Refused(200, "Channel output switch must be ON.")
_COMMAND = re.compile(r"([A-Z]+)\s*(.*)")
_TAKEN = {"AIT", "AAD", "AV", "AZ", "CM", "BC", "TSR", "FL", "WT", "WM", "*CLS"}
"""Taken without effect; `WT` and `WM` prepare sweeps, which QCoDeS's driver does when it opens the box."""
FORMATS = {1: ("{letter}", 5), 11: ("{letter}", 6), 21: ("{number:03d}", 6)}
"""Status before a reading, a letter or a number, and decimals of the value."""
SPOT = 1
"""The measurement mode that is here."""
COMPLIANCE_SIDE, FORCE_SIDE = 0, 3
MEASURES: dict[int, Unit] = {1: "amps", 2: "volts"}
STATUS = {"N": 0, "C": 8, "V": 1}
LEARNT = {"32": ("RI", "RV"), "46": ("CMM",)}
"""Settings that `*LRN?` tells by these numbers."""


class KeysightB1500(PlainBox):
    """A mainframe; channels are slots."""

    line_end = b"\r\n"

    def __init__(self, bench: Stand, name: str, spec: Instrument, inaccuracy: Inaccuracy) -> None:
        super().__init__(bench, name, spec)
        self.channels = {
            int(slot): SmuChannel(bench, f"{name}.{slot}", spec.facts, inaccuracy) for slot in spec.facts.channels
        }
        self.queue: deque[tuple[int, str]] = deque(maxlen=30)
        self._said: dict[int, str] = {}
        self._nplc = 0.05
        self._settings: dict[str, dict[int, int]] = {}
        self._reset()

    def carry_out(self, line: str) -> str | None:
        """One command; several are separated by semicolons."""
        answers = [self._one(command.strip()) for command in line.split(";") if command.strip()]
        said = [answer for answer in answers if answer is not None]
        return ";".join(said) if said else None

    def refuse(self, refused: Refused) -> str | None:
        """Into the error queue."""
        self.queue.append((refused.code, refused.text))
        return super().refuse(refused)

    def _one(self, command: str) -> str | None:
        upper = command.upper()
        match upper:
            case "*IDN?":
                return self.identity()
            case "*OPC?":
                return "1"
            case "*RST":
                self._reset()
                return None
            case "*STB?":
                return "0"
            case "UNT?" | "UNT? 0":
                return ";".join(MODULE if slot in self.channels else "0,0" for slot in range(1, 11))
            case "ERRX?" | "ERRX? 0":
                code, text = self.queue.popleft() if self.queue else (0, "No Error.")
                return f'{code:+d},"{text}"'
        if upper.startswith("*LRN?"):
            return self._learn(upper.removeprefix("*LRN?").strip())
        found = _COMMAND.fullmatch(upper)
        if found is None:
            raise SYNTAX
        given = [part.strip() for part in found[2].split(",") if part.strip()]
        return self._carry_out(found[1], given)

    def _carry_out(self, verb: str, given: Sequence[str]) -> str | None:
        if verb in FORCES:
            self._force(verb, given)
            return None
        if verb in READS:
            return self._spot(verb, given)
        if verb == "XE":
            return self._triggered()
        if verb in ("CN", "CL", "DZ"):
            for slot in self._slots(given):
                self._switch(verb, slot)
            return None
        if verb in ("FMT", "MM", "CMM", "RI", "RV"):
            self._set(verb, [int(_number(part)) for part in given])
        elif verb == "AIT" and len(given) > 1:
            self._nplc = float(_number(given[2])) if given[1] == "2" and len(given) > 2 else 0.05
        elif verb not in _TAKEN:
            raise SYNTAX
        return None

    def _slots(self, given: Sequence[str]) -> list[int]:
        slots = [int(_number(slot)) for slot in given] or list(self.channels)
        if not set(slots) <= set(self.channels):
            raise VALUE
        return slots

    def _switch(self, verb: str, slot: int) -> None:
        channel = self.channels[slot]
        if verb == "DZ":
            channel.set_level(channel.source, 0.0)
        elif verb == "CL":
            channel.set_output(False)
            self._said.pop(slot, None)
        elif not channel.on:
            channel.reset()
            channel.set_off_mode("himp")
            channel.set_limit("amps", SAFE_A)
            channel.set_output(True)
            self._said[slot] = f"DV{slot},12,+0.0000E+00,{SAFE_A:+.4E}"

    def _force(self, verb: str, given: Sequence[str]) -> None:
        unit, other = FORCES[verb]
        numbers = [_number(part) for part in given]
        if len(numbers) < 3:
            raise VALUE
        slot, index, level = int(numbers[0]), int(numbers[1]), numbers[2]
        channel = self.channels.get(slot)
        if channel is None or (index and index not in RANGES[unit]):
            raise VALUE
        if not channel.on:
            raise OFF
        limit = numbers[3] if len(numbers) > 3 else channel.limit[other]
        full = RANGES[unit][index] if index else channel.range(unit, level).full
        if abs(level) > full * 1.05 or limit == 0:
            raise VALUE
        if unit != channel.source:
            channel.set_level(unit, 0.0)
            channel.set_source(unit)
        channel.set_range(unit, full)
        channel.set_limit(other, abs(limit))
        channel.set_level(unit, level)
        self._said[slot] = f"{verb}{slot},{index},{level:+.4E},{limit:+.4E}"

    def _set(self, verb: str, given: Sequence[int]) -> None:
        match verb, given:
            case "FMT", [form, *_] if form in FORMATS:
                self._settings["FMT"] = {0: form}
            case "MM", [mode, *slots] if mode == SPOT and slots and set(slots) <= set(self.channels):
                self._settings["MM"] = dict.fromkeys(slots, mode)
            case "CMM", [slot, mode] if slot in self.channels and mode in (COMPLIANCE_SIDE, *MEASURES, FORCE_SIDE):
                self._settings["CMM"][slot] = mode
            case "RI" | "RV", [slot, index] if slot in self.channels and abs(index) in (
                0,
                *RANGES[READS[f"T{verb[1]}"]],
            ):
                self._settings[verb][slot] = index
            case _:
                raise VALUE

    def _triggered(self) -> str:
        """`XE` in spot mode: a reading of every channel of `MM`, on the side that `CMM` names."""
        if not self._settings["MM"]:
            raise VALUE
        found = []
        for slot in self._settings["MM"]:
            source, mode = self.channels[slot].source, self._settings["CMM"][slot]
            other: Unit = "amps" if source == "volts" else "volts"
            unit = MEASURES.get(mode, source if mode == FORCE_SIDE else other)
            verb = "TI" if unit == "amps" else "TV"
            found.append(self._spot(verb, [str(slot), str(self._settings[f"R{verb[1]}"][slot])]))
        return ",".join(found)

    def _spot(self, verb: str, given: Sequence[str]) -> str:
        (slot,) = self._slots(given[:1] or ["0"])
        unit, channel = READS[verb], self.channels[slot]
        if not channel.on:
            raise OFF
        index = abs(int(_number(given[1]))) if len(given) > 1 else 0
        if index and index not in RANGES[unit]:
            raise VALUE
        channel.nplc = self._nplc
        channel.set_measure(unit, RANGES[unit][index] if index and unit != channel.source else None)
        seen = channel.read()
        value = seen.amps if unit == "amps" else seen.volts
        status = "V" if abs(value) >= INFINITE else "C" if seen.limited else "N"
        before, decimals = FORMATS[self._settings["FMT"][0]]
        head = before.format(letter=status, number=STATUS[status])
        return f"{head}{chr(ord('A') + slot - 1)}{verb[1]}{value:+.{decimals}E}"

    def _learn(self, what: str) -> str:
        if what == "0":
            on = [str(slot) for slot, channel in self.channels.items() if channel.on]
            return f"CN{','.join(on)}" if on else "CL"
        if what == "31":
            return ",".join([f"MM{SPOT}", *map(str, self._settings["MM"])]) if self._settings["MM"] else "MM0"
        if what in LEARNT:
            settings = ((verb, self._settings[verb].items()) for verb in LEARNT[what])
            return ";".join(f"{verb}{slot},{value}" for verb, pairs in settings for slot, value in pairs)
        if not what.isdigit() or int(what) not in self.channels:
            return ""
        return self._said.get(int(what), f"CL{what}")

    def _reset(self) -> None:
        for channel in self.channels.values():
            channel.reset()
            channel.set_off_mode("himp")
        self.queue.clear()
        self._said.clear()
        self._settings = {"FMT": {0: 1}, "MM": {}}
        self._settings |= {verb: dict.fromkeys(self.channels, 0) for verb in ("CMM", "RI", "RV")}


def _number(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        raise VALUE from None
    if not abs(value) < INFINITE:
        raise VALUE
    return value
