"""Keysight B1500A semiconductor analyzer (FLEX commands), one object an SMU, on PyMeasure's `AgilentB1500`.

Channels are slots, as the mainframe counts them. A channel has its settings only while it is on: enabled, it gives 0 V
at 100 uA, then takes function, range and compliance at level 0, and goes off again where their read-back differs.
PyMeasure measures by triggered sweeps; spot readings (`TI`, `TV`, which state the range) are asked here. Settings read
back by `*LRN?` (B1500A Programming Guide); unverified on a box of ours.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from pymeasure.instruments.agilent.agilentB1500 import AgilentB1500 as Maintained

from drivers import answers
from drivers.errors import DeviceFault, OutOfRange, ProtocolViolation
from drivers.instruments.boxes import QUEUE_DEPTH, BenchInstrument
from drivers.instruments.dialogue import Dialogue
from drivers.instruments.pymeasure_adapter import adapted
from drivers.instruments.readback import confirm, reading
from drivers.instruments.smu import SmuChannel, Source
from drivers.roles import Measured
from firmware_specs.racks.facts import Facts

SWITCHES = 0
"""`*LRN? 0`: which outputs are on."""
BROKEN = frozenset("VXGFHSU")
"""Letters before a reading that is none: overflow, oscillation, no data and the like."""
OURS, OTHERS = "C", "T"
"""Compliance of this channel, of another one."""
_DECADES = {
    1e-12: "1 pA", 1e-11: "10 pA", 1e-10: "100 pA", 1e-9: "1 nA", 1e-8: "10 nA", 1e-7: "100 nA", 1e-6: "1 uA",
    1e-5: "10 uA", 1e-4: "100 uA", 1e-3: "1 mA", 1e-2: "10 mA", 0.1: "100 mA", 1.0: "1 A",
}  # fmt: skip


def flex_errors(dialogue: Dialogue) -> list[str]:
    """Empties the error queue."""
    found: list[str] = []
    for _ in range(QUEUE_DEPTH):
        entry = dialogue.ask("ERRX?")
        if answers.whole(entry.partition(",")[0], "ERRX?", dialogue.address) == 0:
            return found
        found.append(entry)
    raise ProtocolViolation(f"the error queue did not empty in {QUEUE_DEPTH} reads", device=dialogue.address)


class KeysightB1500(BenchInstrument):
    """One mainframe; the facts of its model name the slots that may have an SMU."""

    def __init__(self, dialogue: Dialogue, name: str, line_hz: float = 50.0, facts: Facts | None = None) -> None:
        super().__init__(dialogue, name, line_hz, facts, flex_errors)
        self.maintained = adapted(Maintained, dialogue, name)
        self.smus: dict[str, Any] = {}
        slots = facts.channels if facts else ("1", "2", "3", "4")
        self.channels = {slot: KeysightB1500Channel(self, slot) for slot in slots}

    def reset(self) -> None:
        """Defaults, all outputs off; looks which slots have an SMU."""
        self.dialogue.write("*RST")
        self.dialogue.barrier()
        self.errors()
        self.dialogue.write("FMT 1,0")
        if not self.smus:
            self.maintained.initialize_all_smus()
            self.smus = {str(smu.channel): smu for smu in self.maintained.smu_references}
        self._forget()

    def switched_on(self) -> set[str]:
        """Slots whose output is on."""
        found = self.maintained.query_learn(SWITCHES).get("CN", [])
        return {str(int(slot)) for slot in ([found] if isinstance(found, str) else found)}

    @contextmanager
    def told(self) -> Iterator[None]:
        """PyMeasure raises the box's errors as `OSError`."""
        try:
            yield
        except OSError as error:
            raise DeviceFault(-1, str(error), asked="the last command", device=self.name) from error

    def left_on(self, outputs: object = ()) -> list[str]:
        """Slots whose output is on as it is found."""
        return sorted(self.switched_on())

    def _off_lines(self) -> list[str]:
        return ["DZ", "CL"]


class KeysightB1500Channel(SmuChannel):
    """One SMU as a `SourceMeasure`."""

    def __init__(self, box: KeysightB1500, slot: str) -> None:
        super().__init__(f"{box.name}.{slot}", box.line_hz, conversions=2)
        self._box, self._slot = box, slot
        self._range, self._limit, self._measured, self._nplc = "", 0.0, 0, 1.0

    def is_on(self) -> bool:
        """Output, asked of the box."""
        return self._slot in self._box.switched_on()

    @property
    def _smu(self) -> Any:
        try:
            return self._box.smus[self._slot]
        except KeyError:
            raise OutOfRange(
                f"slot {self._slot} has no SMU; there is one in {', '.join(self._box.smus) or 'none'}", device=self.name
            ) from None

    def _configure(self, source: Source, full: float, limit: float, measured: float, nplc: float) -> None:
        """Kept until the output goes on: a channel that is off takes no setting."""
        smu = self._smu
        volts = source == "volts"
        self._range = _named(smu, volts, full)
        ranging = smu.current_ranging if volts else smu.voltage_ranging
        self._measured = -int(ranging.output(_named(smu, not volts, measured)).index)
        self._limit, self._nplc = limit, nplc

    def _send_level(self, source: Source, level: float) -> None:
        with self._box.told():
            self._smu.force("Voltage" if source == "volts" else "Current", self._range, level, self._limit)

    def _switch(self, on: bool) -> None:
        smu = self._smu
        if not on:
            smu.disable()
            return
        assert self.source is not None  # noqa: S101 - `output` looked
        smu.enable()
        try:
            self._send_level(self.source, 0.0)
            verb = "DV" if self.source == "volts" else "DI"
            said = self._box.maintained.query_learn(self._slot)[f"{verb}{self._slot}"]
            confirm("the level", 0.0, said[1], self.name)
            confirm("the compliance", self._limit, said[2], self.name, rel=1e-3)
            with self._box.told():
                self._integrate()
        except BaseException:
            smu.disable()
            raise

    def _integrate(self) -> None:
        """Whole power line cycles by the high-speed converter; less than one is its shortest."""
        whole = self._nplc >= 1
        self._box.maintained.adc_setup("HSADC", "PLC" if whole else "AUTO", round(self._nplc) if whole else 1)

    def _read(self) -> Measured:
        """Spot readings of both quantities; the sourced one costs no range."""
        amps, limited = self._spot("TI", self._measured if self.source == "volts" else 0)
        volts, also = self._spot("TV", self._measured if self.source == "amps" else 0)
        return Measured(volts, amps, limited or also)

    def _spot(self, verb: str, index: int) -> tuple[float, bool]:
        fixed = f",{index}" if index else ""
        answer = self._box.dialogue.ask(f"{verb} {self._slot}{fixed}", timeout_s=self.measure_s)
        status, channel, what = answer[:1], answer[1:2], answer[2:3]
        if (channel, what) != (chr(ord("A") + int(self._slot) - 1), verb[1]):
            raise self._box.dialogue.out_of_turn(answer.encode())
        if status in BROKEN:
            raise DeviceFault(-222, f"the reading {answer} is marked {status}", asked=verb, device=self.name)
        return reading(answer[3:], verb, self.name), status == OURS


def _named(smu: Any, volts: bool, full: float) -> str:
    """PyMeasure's name of the smallest range of an SMU that holds a value."""
    names = {v: f"{v:g} V" for v in (0.2, 0.5, 2.0, 5.0, 20.0, 40.0, 100.0, 200.0)} if volts else _DECADES
    ranging = (smu.voltage_ranging if volts else smu.current_ranging).output
    for largest, name in names.items():
        if full <= largest * (1 + 1e-9) and name.upper() in ranging.indizes:
            return name
    raise OutOfRange(f"{full:g} {'V' if volts else 'A'} is beyond the ranges of {smu.name} ({smu.type})")
