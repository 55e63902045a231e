"""Keysight B2900A series (SCPI), one object a channel. PyMeasure has no driver for it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from drivers import answers
from drivers.instruments.boxes import BenchInstrument
from drivers.instruments.dialogue import Dialogue
from drivers.instruments.readback import confirm, holds, reading
from drivers.instruments.smu import SmuChannel, Source
from drivers.roles import Measured
from firmware_specs.racks.facts import Facts


class KeysightB2900(BenchInstrument):
    """One box; the facts of its model name its channels."""

    def __init__(self, dialogue: Dialogue, name: str, line_hz: float = 50.0, facts: Facts | None = None) -> None:
        super().__init__(dialogue, name, line_hz, facts)
        self.channels = {number: KeysightB2900Channel(self, number) for number in (facts.channels if facts else "12")}

    def reset(self) -> None:
        """Defaults, outputs off; readings as volts, amperes; blocks little-endian, read back.

        By default the box switches an output on by itself when something is measured or triggered: not here.
        """
        super().reset()
        for number in self.channels:
            self.dialogue.write(f":OUTP{number}:ON:AUTO 0")
        self.dialogue.write(":FORM:ELEM:SENS VOLT,CURR")
        self.dialogue.write(":FORM:BORD SWAP")
        order = self.dialogue.ask(":FORM:BORD?")
        if order != "SWAP":
            raise answers.nonsense(order, ":FORM:BORD?", self.name, "SWAP was set and is expected")

    def _off_lines(self) -> list[str]:
        return [f":SOUR{number}:VOLT 0;:SOUR{number}:CURR 0;:OUTP{number} 0" for number in self.channels]


class KeysightB2900Channel(SmuChannel):
    """One channel as a `SourceMeasure`."""

    def __init__(self, box: KeysightB2900, number: str) -> None:
        super().__init__(f"{box.name}.{number}", box.line_hz, conversions=4)
        self._box = box
        self._number = number

    def is_on(self) -> bool:
        """Output relay, asked of the box."""
        return answers.flag(self._box.dialogue.ask(f":OUTP{self._number}?"), ":OUTP?", self.name)

    def pulse(self, level_v: float, width_s: float, count: int) -> None:
        """Pulses of the box's pulse function, one trigger each (unverified on a box of ours)."""
        self._needs_output("volts")
        number, dialogue = self._number, self._box.dialogue
        dialogue.write(f":SOUR{number}:FUNC:SHAP PULS")
        dialogue.write(f":SOUR{number}:PULS:WIDT {width_s:.9g}")
        dialogue.write(f":SOUR{number}:VOLT:TRIG {level_v:.9g}")
        dialogue.write(f":TRIG{number}:TIM {2 * width_s:.9g};:TRIG{number}:COUN {count}")
        dialogue.write(f":INIT (@{number})")
        dialogue.barrier(timeout_s=4 * width_s * count)
        dialogue.write(f":SOUR{number}:FUNC:SHAP DC")

    def sweep(self, levels: Sequence[float]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """A list sweep, fetched as one block of doubles."""
        self._needs_output("volts")
        number, dialogue, count = self._number, self._box.dialogue, len(levels)
        dialogue.write(f":SOUR{number}:VOLT:MODE LIST")
        dialogue.write(f":SOUR{number}:LIST:VOLT " + ",".join(f"{level:.9g}" for level in levels))
        dialogue.write(f":TRIG{number}:COUN {count}")
        dialogue.write(f":INIT (@{number})")
        dialogue.barrier(timeout_s=count * self.measure_s)
        dialogue.write(":FORM REAL,64")
        block = dialogue.ask_block(f":FETC:ARR:CURR? (@{number})", 8 * count)
        dialogue.write(":FORM ASC")
        dialogue.write(f":SOUR{number}:VOLT:MODE FIX")
        dialogue.barrier()
        self.set_level(0.0)
        amps = np.frombuffer(block, "<f8").astype(np.float64)
        for value in amps:
            reading(str(value), "the reading buffer", self.name)
        return np.asarray(levels, dtype=np.float64), amps

    def _configure(self, source: Source, full: float, limit: float, measured: float, nplc: float) -> None:
        mine, other = ("VOLT", "CURR") if source == "volts" else ("CURR", "VOLT")
        dialogue = self._box.dialogue
        dialogue.write(f":SOUR{self._number}:FUNC:MODE {mine}")
        dialogue.write(f":SOUR{self._number}:{mine}:RANG:AUTO 0")
        self._set("SOUR", f"{mine}:RANG", full, exact=False)
        dialogue.write(f":SOUR{self._number}:{mine} 0")
        self._set("SENS", f"{other}:PROT", limit)
        self._set("SENS", f"{other}:RANG", measured, exact=False)
        self._set("SENS", f"{other}:NPLC", nplc)

    def _send_level(self, source: Source, level: float) -> None:
        self._box.dialogue.write(f":SOUR{self._number}:{'VOLT' if source == 'volts' else 'CURR'} {level:.9g}")

    def _switch(self, on: bool) -> None:
        self._box.dialogue.write(f":OUTP{self._number} {int(on)}")

    def _read(self) -> Measured:
        """One reading of volts and amperes, and the trip flag of the limit."""
        dialogue = self._box.dialogue
        answer = dialogue.ask(f":MEAS? (@{self._number})", timeout_s=self.measure_s)
        volts, amps = (reading(part, ":MEAS?", self.name) for part in answers.fields(answer, 2, ":MEAS?", self.name))
        unit = "CURR" if self.source == "volts" else "VOLT"
        trip = f":SENS{self._number}:{unit}:PROT:TRIP?"
        tripped = answers.flag(dialogue.ask(trip), trip, self.name)
        return Measured(volts, amps, tripped)

    def _set(self, root: str, what: str, value: float, *, exact: bool = True) -> None:
        """Writes a setting and reads it back; a range (`exact=False`) may round up to the next one."""
        self._box.dialogue.write(f":{root}{self._number}:{what} {value:.9g}")
        got = reading(self._box.dialogue.ask(f":{root}{self._number}:{what}?"), what, self.name)
        (confirm if exact else holds)(what, value, got, self.name)
