"""Keithley 2600B series (TSP), one object a channel, on PyMeasure's `Keithley2600`.

PyMeasure writes set-points with six decimals (`%f`), which turns a compliance below 0.5 uA into zero; numbers are
therefore written through its channel's own `write` with nine significant digits, and everything set is read back.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pymeasure.instruments.keithley.keithley2600 import Keithley2600 as Maintained

from drivers.errors import OutOfRange
from drivers.instruments.dialogue import Dialogue, confirm, reading
from drivers.instruments.pymeasure_adapter import DialogueAdapter
from drivers.instruments.smu import SmuState, flag
from drivers.roles import Measured

LIMIT_BITS = 0b11
"""`status.measurement.instrument.smuX.condition`: bit 0 voltage limit, bit 1 current limit."""


class Keithley2600:
    """One box with channels `a` and `b`.

    Args:
        dialogue: Session to it.
        name: As the rack calls it.
        line_hz: Mains frequency, for deadlines.
    """

    def __init__(self, dialogue: Dialogue, name: str, line_hz: float = 50.0) -> None:
        self.name = name
        self.dialogue = dialogue
        self.line_hz = line_hz
        self.adapter = DialogueAdapter(dialogue)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # PyMeasure asks its users whether TSP boxes speak SCPI
            self.maintained = Maintained(self.adapter)
        self.channels = {letter: Keithley2600Channel(self, letter) for letter in "ab"}

    def identity(self) -> str:
        """Answer to `*IDN?`."""
        return self.dialogue.ask("*IDN?")

    def reset(self) -> None:
        """Both channels to defaults, outputs off."""
        self.dialogue.write("smua.reset()")
        self.dialogue.write("smub.reset()")
        self.dialogue.write("errorqueue.clear()")
        self.dialogue.ask("*OPC?")
        for channel in self.channels.values():
            channel.state = SmuState(channel.state.name)

    def errors(self) -> list[str]:
        """Empties the error queue, by PyMeasure's `next_error`."""
        found = []
        while int(float(self.dialogue.ask("print(errorqueue.count)"))):
            code, text = self.maintained.next_error
            found.append(f"{code} {text}")
        return found

    def safe(self) -> None:
        """Levels to zero, outputs off."""
        for letter, channel in self.channels.items():
            self.dialogue.send_regardless(
                f"smu{letter}.source.levelv=0 smu{letter}.source.leveli=0 smu{letter}.source.output=0"
            )
            channel.state.on = False

    def close(self) -> None:
        """Ends the session."""
        self.dialogue.close()


class Keithley2600Channel:
    """One channel as a `SourceMeasure`."""

    def __init__(self, box: Keithley2600, letter: str) -> None:
        self.box = box
        self.letter = letter
        self.state = SmuState(f"{box.name}.{letter}")
        self.name = self.state.name
        self.channel: Any = box.maintained.ChA if letter == "a" else box.maintained.ChB

    def source_volts(self, *, range_v: float, limit_a: float, measure_a: float, nplc: float) -> None:
        """Volts in a fixed range, current limit and current range read back."""
        self.state.may_configure()
        self.channel.source_mode = "voltage"
        self._set("source.rangev", range_v, exact=False)
        self._set("source.levelv", 0.0)
        self._set("source.limiti", limit_a)
        self._set("measure.rangei", measure_a, exact=False)
        self._integration(nplc)
        self.state.source, self.state.level = "volts", 0.0

    def source_amps(self, *, range_a: float, limit_v: float, nplc: float) -> None:
        """Amperes in a fixed range, voltage limit read back."""
        self.state.may_configure()
        self.channel.source_mode = "current"
        self._set("source.rangei", range_a, exact=False)
        self._set("source.leveli", 0.0)
        self._set("source.limitv", limit_v)
        self._set("measure.rangev", limit_v, exact=False)
        self._integration(nplc)
        self.state.source, self.state.level = "amps", 0.0

    def set_level(self, level: float) -> None:
        """Volts or amperes."""
        self.channel.write(f"source.level{self._letter}={level:.9g}")
        self.state.level = level

    def output(self, on: bool) -> None:
        """Output relay, read back."""
        if on:
            self.state.may_switch_on()
        self.channel.source_output = "ON" if on else "OFF"
        self.state.on = flag(
            self.box.dialogue.ask(f"print(smu{self.letter}.source.output)"), "the output state", self.name
        )
        confirm("the output", on, self.state.on, self.name)

    def measure(self) -> Measured:
        """Current, voltage and the limit bits of one conversion."""
        self.state.may_measure()
        smu = f"smu{self.letter}"
        answer = self.box.dialogue.ask(
            f"print({smu}.measure.iv()) print(status.measurement.instrument.{smu}.condition)",
            timeout_s=self.state.measure_s,
        )
        amps, volts = (reading(part, "measure.iv", self.name) for part in answer.split("\t"))
        condition = int(reading(self.box.dialogue.read(), "the limit bits", self.name))
        return Measured(volts, amps, bool(condition & LIMIT_BITS))

    def pulse(self, level_v: float, width_s: float, count: int) -> None:
        """Pulses timed by the instrument's own `delay`."""
        self.state.needs("volts")
        self.state.may_measure()
        source = f"smu{self.letter}.source.levelv"
        one = f"{source}={level_v:.9g} delay({width_s:.9g}) {source}=0 delay({width_s:.9g})"
        for start in range(0, count, 20):
            self.box.dialogue.write(" ".join([one] * min(20, count - start)))
        self.box.dialogue.ask("*OPC?", timeout_s=2 * width_s * count)

    def sweep(self, levels: Sequence[float]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """A staircase into the channel's reading buffer, fetched as little-endian singles."""
        self.state.needs("volts")
        self.state.may_measure()
        smu, dialogue, count = f"smu{self.letter}", self.box.dialogue, len(levels)
        dialogue.write(f"{smu}.nvbuffer1.clear()")
        dialogue.write("format.data=format.REAL32 format.byteorder=format.LITTLEENDIAN")
        confirm("the byte order", 1.0, float(dialogue.ask("print(format.byteorder)")), self.name)
        for level in levels:
            dialogue.write(f"{smu}.source.levelv={level:.9g} {smu}.measure.i({smu}.nvbuffer1)")
        dialogue.write(f"{smu}.source.levelv=0")
        self.state.level = 0.0
        block = dialogue.ask_block(
            f"printbuffer(1,{count},{smu}.nvbuffer1.readings)", 4 * count, timeout_s=count * self.state.measure_s
        )
        amps = np.frombuffer(block, "<f4").astype(np.float64)
        dialogue.write("format.data=format.ASCII")
        for value in amps:
            reading(str(value), "the reading buffer", self.name)
        return np.asarray(levels, dtype=np.float64), amps

    @property
    def _letter(self) -> str:
        if self.state.source is None:
            raise OutOfRange("the channel is not configured", device=self.name)
        return "v" if self.state.source == "volts" else "i"

    def _integration(self, nplc: float) -> None:
        self._set("measure.nplc", nplc)
        self._set("measure.autozero", 1)
        self.state.measure_s = 1.0 + 4 * nplc / self.box.line_hz

    def _set(self, what: str, value: float, *, exact: bool = True) -> None:
        """Writes a setting and reads it back; a range (`exact=False`) may round up to the next one."""
        self.channel.write(f"{what}={value:.9g}")
        got = reading(self.box.dialogue.ask(f"print(smu{self.letter}.{what})"), what, self.name)
        if exact or not value <= got * (1 + 1e-6) <= 10 * value * (1 + 1e-5):
            confirm(what, value, got, self.name)
