"""Keithley 2600B series (TSP), one object a channel, on PyMeasure's `Keithley2600`.

PyMeasure writes set-points with six decimals (`%f`), which turns a compliance below 0.5 uA into zero; numbers are
therefore written through its channel's own `write` with nine significant digits, and everything set is read back.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pymeasure.instruments.keithley.keithley2600 import Keithley2600 as Maintained

from drivers import answers
from drivers.errors import ProtocolViolation
from drivers.instruments.boxes import BenchInstrument, tsp_errors
from drivers.instruments.deadman import Deadman
from drivers.instruments.dialogue import Dialogue
from drivers.instruments.pymeasure_adapter import adapted
from drivers.instruments.readback import confirm, holds, reading
from drivers.instruments.smu import SmuChannel, Source
from drivers.instruments.tsp import LAST_RESORT, greet
from drivers.library_warnings import unheard
from drivers.roles import Measured
from firmware_specs.racks.facts import Facts

LIMIT_BITS = 0b11
"""`status.measurement.instrument.smuX.condition`: bit 0 voltage limit, bit 1 current limit."""
UNIT = {"volts": "v", "amps": "i"}
DELAYED = "timer.reset() delay(0.001) print(timer.measure.t())"


class Keithley2600(BenchInstrument):
    """One box.

    Args:
        dialogue: Session to it.
        name: As the rack calls it.
        line_hz: Mains frequency, for deadlines.
        facts: Of its model: they name its channels.

    Attributes:
        deadman: The box's watch over its host; None until `watch` asks for it.
    """

    WAKING = (LAST_RESORT[0],)

    def __init__(self, dialogue: Dialogue, name: str, line_hz: float = 50.0, facts: Facts | None = None) -> None:
        super().__init__(dialogue, name, line_hz, facts, tsp_errors)
        with unheard():  # PyMeasure asks its users whether TSP boxes speak SCPI
            self.maintained = adapted(Maintained, dialogue, name)
        self.deadman: Deadman | None = None
        self._met = True  # False from the first question until a reset went well
        self.channels = {letter: Keithley2600Channel(self, letter) for letter in (facts.channels if facts else "ab")}

    def left_on(self, outputs: Sequence[str] = ()) -> list[str]:
        """Outputs that are on as it is found; the first question to a box that a stranger may have used."""
        self._met = False
        greet(self.dialogue, self.name, [*(f"smu{letter}" for letter in self.channels), "errorqueue", "trigger"])
        return super().left_on(outputs)

    def reset(self) -> None:
        """All channels and formats to defaults, outputs off; `delay` times pulses, so it must wait."""
        self._met = False
        self.dialogue.write("*RST")
        for letter in self.channels:
            self.dialogue.write(f"smu{letter}.reset()")
        self.dialogue.write("errorqueue.clear()")
        self.dialogue.barrier()
        waited = reading(self.dialogue.ask(DELAYED), "delay", self.name)
        if not 1e-3 <= waited < 1:
            raise ProtocolViolation(
                f"delay(0.001) took {waited:g} s by the box's own timer",
                device=self.name,
                todo="Somebody has put a function in its place: switch the box off and on",
            )
        self._met = True
        self._forget()

    def watch(self, seconds: float) -> bool:
        """The box switches its outputs off by itself once this host is silent."""
        self.deadman = Deadman(self.dialogue, seconds, self._off_lines())
        return True

    def safe(self) -> None:
        """Levels to zero, outputs off; the watch has ended."""
        super().safe()
        self.unwatch()

    def unwatch(self) -> None:
        """Ends the watch once no output is on."""
        if self.deadman is not None and not any(channel.on for channel in self.channels.values()):
            self.deadman.disarm()

    def _off_lines(self) -> list[str]:
        off = [_off(letter) for letter in self.channels]
        return off if self._met else [LAST_RESORT[0], *off, LAST_RESORT[1]]


class Keithley2600Channel(SmuChannel):
    """One channel as a `SourceMeasure`."""

    def __init__(self, box: Keithley2600, letter: str) -> None:
        super().__init__(f"{box.name}.{letter}", box.line_hz, conversions=4)
        self._box = box
        self._smu = f"smu{letter}"
        self._channel: Any = box.maintained.ChA if letter == "a" else box.maintained.ChB

    def is_on(self) -> bool:
        """Output relay, asked of the box."""
        return answers.flag(self._box.dialogue.ask(f"print({self._smu}.source.output)"), "the output state", self.name)

    def output(self, on: bool) -> None:
        """Output relay, read back; the box watches its host while one is on."""
        super().output(on)
        self._box.unwatch()

    def pulse(self, level_v: float, width_s: float, count: int) -> None:
        """Pulses timed by the instrument's own `delay`."""
        self._needs_output("volts")
        source = f"{self._smu}.source.levelv"
        one = f"{source}={level_v:.9g} delay({width_s:.9g}) {source}=0 delay({width_s:.9g})"
        for start in range(0, count, 20):
            self._box.dialogue.write(" ".join([one] * min(20, count - start)))
        self._box.dialogue.barrier(timeout_s=2 * width_s * count)

    def sweep(self, levels: Sequence[float]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """A staircase into the channel's reading buffer, fetched as little-endian singles."""
        self._needs_output("volts")
        smu, dialogue, count = self._smu, self._box.dialogue, len(levels)
        dialogue.write(f"{smu}.nvbuffer1.clear()")
        dialogue.write("format.data=format.REAL32 format.byteorder=format.LITTLEENDIAN")
        confirm("the byte order", 1.0, dialogue.ask("print(format.byteorder)"), self.name)
        for level in levels:
            dialogue.write(f"{smu}.source.levelv={level:.9g} {smu}.measure.i({smu}.nvbuffer1)")
        dialogue.write(f"{smu}.source.levelv=0")
        self.level = 0.0
        block = dialogue.ask_block(
            f"printbuffer(1,{count},{smu}.nvbuffer1.readings)", 4 * count, timeout_s=count * self.measure_s
        )
        amps = np.frombuffer(block, "<f4").astype(np.float64)
        dialogue.write("format.data=format.ASCII")
        dialogue.barrier()
        for value in amps:
            reading(str(value), "the reading buffer", self.name)
        return np.asarray(levels, dtype=np.float64), amps

    def _configure(self, source: Source, full: float, limit: float, measured: float, nplc: float) -> None:
        mine, other = ("v", "i") if source == "volts" else ("i", "v")
        self._channel.source_mode = "voltage" if source == "volts" else "current"
        self._set(f"source.range{mine}", full, exact=False)
        self._set(f"source.level{mine}", 0.0)
        self._set(f"source.limit{other}", limit)
        self._set(f"measure.range{other}", measured, exact=False)
        self._set("measure.nplc", nplc)
        self._set("measure.autozero", 1)

    def _send_level(self, source: Source, level: float) -> None:
        self._channel.write(f"source.level{UNIT[source]}={level:.9g}")

    def _switch(self, on: bool) -> None:
        if on and self._box.deadman is not None:
            self._box.deadman.arm()
        self._channel.source_output = "ON" if on else "OFF"

    def _read(self) -> Measured:
        """Current, voltage and the limit bits of one conversion."""
        deadman = self._box.deadman
        watching = "" if deadman is None else deadman.question
        condition = f"status.measurement.instrument.{self._smu}.condition"
        dialogue = self._box.dialogue
        tie = dialogue.next_tie()
        question = f"print({tie},{self._smu}.measure.iv()) print({condition}){watching}"
        seen, bits, *watch = dialogue.ask_lines(question, 3 if watching else 2, timeout_s=self.measure_s)
        said, _, pair = seen.partition("\t")
        dialogue.check_tie(said, tie, seen)
        if deadman is not None and watch:
            deadman.check(watch[0])
        parts = answers.fields(pair, 2, "measure.iv()", self.name, separator="\t")
        amps, volts = (reading(part, "measure.iv()", self.name) for part in parts)
        return Measured(volts, amps, bool(answers.whole(bits, condition, self.name) & LIMIT_BITS))

    def _set(self, what: str, value: float, *, exact: bool = True) -> None:
        """Writes a setting and reads it back; a range (`exact=False`) may round up to the next one."""
        self._channel.write(f"{what}={value:.9g}")
        got = reading(self._box.dialogue.ask(f"print({self._smu}.{what})"), what, self.name)
        if exact or got > 10 * value * (1 + 1e-5):
            confirm(what, value, got, self.name)
        holds(what, value, got, self.name)


def _off(letter: str) -> str:
    return f"smu{letter}.source.levelv=0 smu{letter}.source.leveli=0 smu{letter}.source.output=0"
