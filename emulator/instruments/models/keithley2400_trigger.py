"""Arm and trigger layers of a 2400: source, delay, measure, arm count times trigger count; its buffer of 2500 readings.

`INITiate` leaves idle; `ARM:SOURce BUS` waits there for `*TRG`, and the others of the shipped drivers go on at once.
"""

from __future__ import annotations

from typing import Protocol

from emulator.instruments.core import Action, Reply
from emulator.instruments.refused import Refused
from emulator.instruments.settings import Settings
from emulator.instruments.smu import SmuChannel, SmuReading
from emulator.instruments.sweeps import linear, logarithmic, stepped

OUTPUT_OFF = Refused(803, "Not permitted with OUTPUT off")
STALE = Refused(-230, "Data corrupt or stale")
NOT_IDLE = Refused(-213, "Init ignored")
DEADLOCK = Refused(-214, "Trigger deadlock")
AVAILABLE, BUFFER_FULL, COMPLIANCE = 1 << 6, 1 << 9, 1 << 14
BYTES_A_READING = 25


class Layered(Settings, Protocol):
    """A box with arm and trigger layers.

    Attributes:
        smu: Its channel.
        taken: Readings of the last run.
        stored: What the buffer holds.
    """

    smu: SmuChannel
    taken: list[SmuReading]
    stored: list[SmuReading]

    def prepare(self) -> None:
        """Integration, filter, delay and autozero before readings are taken."""

    def take(self) -> SmuReading:
        """One reading."""
        ...

    def write(self, readings: list[SmuReading]) -> bytes | str:
        """Readings in the present format."""
        ...


class Layers:
    """The trigger model of one box."""

    def __init__(self, box: Layered) -> None:
        self._box = box
        self.waiting = False

    def reset(self) -> None:
        """Idle."""
        self.waiting = False

    def actions(self) -> dict[str, Action]:
        """Commands by name."""
        return {
            "*TRG": lambda c: self.trigger(),
            "read": lambda c: self.read(),
            "fetch": lambda c: self.fetch(),
            "initiate": lambda c: self.initiate(),
            "abort": lambda c: self.reset(),
            "trace.clear": lambda c: self._box.stored.clear(),
            "trace.data": lambda c: self.data(),
            "trace.actual": lambda c: str(len(self._box.stored)),
            "trace.free": lambda c: self._free(),
        }

    def read(self) -> Reply:
        """Runs once through the model and answers its readings; refused while that waits for somebody."""
        if self._box.get("arm.source") in ("BUS", "MANual", "NSTest", "PSTest", "BSTest"):
            raise DEADLOCK
        self._run()
        return self.fetch()

    def fetch(self) -> Reply:
        """The readings of the last run."""
        if not self._box.taken:
            raise STALE
        return self._box.write(self._box.taken)

    def initiate(self) -> None:
        """Leaves idle."""
        if self.waiting:
            raise NOT_IDLE
        if self._box.get("arm.source") in ("BUS", "MANual"):
            self._allowed()
            self.waiting = True
        else:
            self._run()

    def trigger(self) -> None:
        """`*TRG`: what waits goes on; otherwise it is ignored."""
        if not self.waiting:
            raise Refused(-211, "Trigger ignored")
        self.waiting = False
        self._run()

    def data(self) -> Reply:
        """What the buffer holds."""
        return self._box.write(self._box.stored)

    def points(self) -> int:
        """Of a sweep: the step and the number of points follow each other (2400 User's Manual, 18-90)."""
        box, unit = self._box, self._box.smu.source
        step, points = box.number(f"sweep.step.{unit}"), int(box.number("sweep.points"))
        if not step or box.get("sweep.spacing") == "LOGarithmic":
            return points
        return len(stepped(box.number(f"sweep.start.{unit}"), box.number(f"sweep.stop.{unit}"), step))

    def step(self, unit: str) -> float:
        """Of a linear sweep."""
        box, points = self._box, int(self._box.number("sweep.points"))
        span = box.number(f"sweep.stop.{unit}") - box.number(f"sweep.start.{unit}")
        return box.number(f"sweep.step.{unit}") or (span / (points - 1) if points > 1 else 0.0)

    def by_points(self) -> None:
        """The number of points was told, so the steps told before are no longer true."""
        for unit in ("volts", "amps"):
            self._box.keep(f"sweep.step.{unit}", 0.0)

    def _free(self) -> str:
        points = int(self._box.number("trace.points"))
        used = len(self._box.stored)
        return f"{(points - used) * BYTES_A_READING},{used * BYTES_A_READING}"

    def _allowed(self) -> None:
        if not self._box.smu.on and not self._box.get("clear.auto"):
            raise OUTPUT_OFF

    def _run(self) -> None:
        box, smu = self._box, self._box.smu
        self._allowed()
        box.prepare()
        levels, count = self._levels(), int(min(box.number("arm.count"), 2500) * box.number("trigger.count"))
        alone = not smu.on
        if alone:
            smu.set_output(True)
        before = smu.level[smu.source]
        box.taken = []
        try:
            for number in range(count):
                if levels:
                    smu.set_level(smu.source, levels[number % len(levels)])
                box.bench.advance(box.number("trigger.delay"))
                box.taken.append(box.take())
                if box.get("sweep.abort") != "NEVer" and levels and box.taken[-1].limited:
                    break
        finally:
            if levels:
                smu.set_level(smu.source, before)
            if alone or box.get("clear.auto"):
                smu.set_output(False)
        self._keep(box.taken)

    def _keep(self, readings: list[SmuReading]) -> None:
        box = self._box
        status = box.status.groups["measurement"]
        status.pulse(AVAILABLE)
        status.now(COMPLIANCE, any(reading.limited for reading in readings))
        if box.get("trace.control") != "NEXT":
            return
        room = int(box.number("trace.points")) - len(box.stored)
        box.stored += readings[: max(0, room)]
        if len(box.stored) >= int(box.number("trace.points")):
            box.keep("trace.control", "NEVer")
            status.now(BUFFER_FULL, True)
        else:
            status.now(BUFFER_FULL, False)

    def _levels(self) -> tuple[float, ...]:
        """Levels of a sweep or list; none while the source is fixed."""
        box, unit = self._box, self._box.smu.source
        mode = box.get(f"mode.{unit}")
        if mode == "FIXed":
            return ()
        if mode == "LIST":
            return box.numbers(f"list.{unit}")
        start, stop = box.number(f"sweep.start.{unit}"), box.number(f"sweep.stop.{unit}")
        step, points = box.number(f"sweep.step.{unit}"), int(box.number("sweep.points"))
        if box.get("sweep.spacing") == "LOGarithmic":
            levels = logarithmic(start, stop, points)
        else:
            levels = stepped(start, stop, step) if step else linear(start, stop, points)
        return levels if box.get("sweep.direction") == "UP" else levels[::-1]
