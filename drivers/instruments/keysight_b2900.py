"""Keysight B2900A series (SCPI), one object a channel. PyMeasure has no driver for it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from drivers.errors import OutOfRange
from drivers.instruments.dialogue import Dialogue, confirm, reading
from drivers.instruments.scpi import drain_errors
from drivers.instruments.smu import SmuState, flag
from drivers.roles import Measured


class KeysightB2900:
    """One box with channels `1` and `2`.

    Args:
        dialogue: Session to it.
        name: As the rack calls it.
        line_hz: Mains frequency, for deadlines.
    """

    def __init__(self, dialogue: Dialogue, name: str, line_hz: float = 50.0) -> None:
        self.name = name
        self.dialogue = dialogue
        self.line_hz = line_hz
        self.channels = {number: KeysightB2900Channel(self, number) for number in "12"}

    def identity(self) -> str:
        """Answer to `*IDN?`."""
        return self.dialogue.ask("*IDN?")

    def reset(self) -> None:
        """Defaults, outputs off; readings as volts, amperes; blocks little-endian, read back."""
        self.dialogue.write("*RST")
        self.dialogue.write("*CLS")
        self.dialogue.ask("*OPC?")
        self.dialogue.write(":FORM:ELEM:SENS VOLT,CURR")
        self.dialogue.write(":FORM:BORD SWAP")
        order = self.dialogue.ask(":FORM:BORD?")
        confirm("the byte order (SWAP)", 1.0, float(order == "SWAP"), self.name)
        for channel in self.channels.values():
            channel.state = SmuState(channel.name)

    def errors(self) -> list[str]:
        """Empties the error queue."""
        return drain_errors(self.dialogue)

    def safe(self) -> None:
        """Levels to zero, outputs off."""
        for number, channel in self.channels.items():
            self.dialogue.send_regardless(f":SOUR{number}:VOLT 0;:SOUR{number}:CURR 0;:OUTP{number} 0")
            channel.state.on = False

    def close(self) -> None:
        """Ends the session."""
        self.dialogue.close()


class KeysightB2900Channel:
    """One channel as a `SourceMeasure`."""

    def __init__(self, box: KeysightB2900, number: str) -> None:
        self.box = box
        self.number = number
        self.name = f"{box.name}.{number}"
        self.state = SmuState(self.name)

    def source_volts(self, *, range_v: float, limit_a: float, measure_a: float, nplc: float) -> None:
        """Volts in a fixed range, current limit and current range read back."""
        self._source("VOLT", range_v)
        self._set("SENS", "CURR:PROT", limit_a)
        self._set("SENS", "CURR:RANG", measure_a, exact=False)
        self._speed("CURR", nplc)
        self.state.source = "volts"

    def source_amps(self, *, range_a: float, limit_v: float, nplc: float) -> None:
        """Amperes in a fixed range, voltage limit read back."""
        self._source("CURR", range_a)
        self._set("SENS", "VOLT:PROT", limit_v)
        self._set("SENS", "VOLT:RANG", limit_v, exact=False)
        self._speed("VOLT", nplc)
        self.state.source = "amps"

    def set_level(self, level: float) -> None:
        """Volts or amperes."""
        if self.state.source is None:
            raise OutOfRange("the channel is not configured", device=self.name)
        unit = "VOLT" if self.state.source == "volts" else "CURR"
        self.box.dialogue.write(f":SOUR{self.number}:{unit} {level:.9g}")
        self.state.level = level

    def output(self, on: bool) -> None:
        """Output relay, read back."""
        if on:
            self.state.may_switch_on()
        self.box.dialogue.write(f":OUTP{self.number} {int(on)}")
        self.state.on = flag(self.box.dialogue.ask(f":OUTP{self.number}?"), "the output state", self.name)
        confirm("the output", on, self.state.on, self.name)

    def measure(self) -> Measured:
        """One reading of volts and amperes, and the trip flag of the limit."""
        self.state.may_measure()
        answer = self.box.dialogue.ask(f":MEAS? (@{self.number})", timeout_s=self.state.measure_s)
        volts, amps = (reading(part, ":MEAS?", self.name) for part in answer.split(","))
        unit = "CURR" if self.state.source == "volts" else "VOLT"
        tripped = flag(self.box.dialogue.ask(f":SENS{self.number}:{unit}:PROT:TRIP?"), "the limit", self.name)
        return Measured(volts, amps, tripped)

    def pulse(self, level_v: float, width_s: float, count: int) -> None:
        """Pulses of the box's pulse function, one trigger each (unverified on a box of ours)."""
        self.state.needs("volts")
        self.state.may_measure()
        number, dialogue = self.number, self.box.dialogue
        dialogue.write(f":SOUR{number}:FUNC:SHAP PULS")
        dialogue.write(f":SOUR{number}:PULS:WIDT {width_s:.9g}")
        dialogue.write(f":SOUR{number}:VOLT:TRIG {level_v:.9g}")
        dialogue.write(f":TRIG{number}:TIM {2 * width_s:.9g};:TRIG{number}:COUN {count}")
        dialogue.write(f":INIT (@{number})")
        dialogue.ask("*OPC?", timeout_s=4 * width_s * count)
        dialogue.write(f":SOUR{number}:FUNC:SHAP DC")

    def sweep(self, levels: Sequence[float]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """A list sweep, fetched as one block of doubles."""
        self.state.needs("volts")
        self.state.may_measure()
        number, dialogue, count = self.number, self.box.dialogue, len(levels)
        dialogue.write(f":SOUR{number}:VOLT:MODE LIST")
        dialogue.write(f":SOUR{number}:LIST:VOLT " + ",".join(f"{level:.9g}" for level in levels))
        dialogue.write(f":TRIG{number}:COUN {count}")
        dialogue.write(f":INIT (@{number})")
        dialogue.ask("*OPC?", timeout_s=count * self.state.measure_s)
        dialogue.write(":FORM REAL,64")
        block = dialogue.ask_block(f":FETC:ARR:CURR? (@{number})", 8 * count)
        dialogue.write(":FORM ASC")
        dialogue.write(f":SOUR{number}:VOLT:MODE FIX")
        self.set_level(0.0)
        amps = np.frombuffer(block, "<f8").astype(np.float64)
        for value in amps:
            reading(str(value), "the reading buffer", self.name)
        return np.asarray(levels, dtype=np.float64), amps

    def _source(self, unit: str, full: float) -> None:
        self.state.may_configure()
        self.box.dialogue.write(f":SOUR{self.number}:FUNC:MODE {unit}")
        self.box.dialogue.write(f":SOUR{self.number}:{unit}:RANG:AUTO 0")
        self._set("SOUR", f"{unit}:RANG", full, exact=False)
        self.box.dialogue.write(f":SOUR{self.number}:{unit} 0")
        self.state.level = 0.0

    def _speed(self, unit: str, nplc: float) -> None:
        self._set("SENS", f"{unit}:NPLC", nplc)
        self.state.measure_s = 1.0 + 4 * nplc / self.box.line_hz

    def _set(self, root: str, what: str, value: float, *, exact: bool = True) -> None:
        """Writes a setting and reads it back; a range (`exact=False`) may round up to the next one."""
        self.box.dialogue.write(f":{root}{self.number}:{what} {value:.9g}")
        got = reading(self.box.dialogue.ask(f":{root}{self.number}:{what}?"), what, self.name)
        if exact or not value <= got * (1 + 1e-6):
            confirm(what, value, got, self.name)
