"""Arm and trigger of a B2900: source levels and readings of listed channels, `ARM` count times `TRIGger` count."""

from __future__ import annotations

from typing import Protocol

from emulator.instruments.core import Action, Call
from emulator.instruments.refused import Refused
from emulator.instruments.settings import Settings
from emulator.instruments.smu import SmuChannel, SmuReading
from emulator.instruments.sweeps import both_ways, linear, logarithmic, stepped

MOST = 100_000
WAITS = ("BUS", "INT1", "INT2", "LAN", "EXT1", "EXT2")
DEADLOCK = Refused(-214, "Trigger deadlock")
BUFFER_FULL = 1 << 9


class Triggered(Settings, Protocol):
    """A box with channels that are triggered.

    Attributes:
        readings: Of the last run, by channel.
        traces: What the buffers hold, by channel.
    """

    readings: dict[int, list[SmuReading]]
    traces: dict[int, list[SmuReading]]

    def channel(self, *suffixes: int) -> SmuChannel:
        """The channel that suffixes name."""
        ...

    def number_of(self, call: Call) -> int:
        """The channel of a header's suffix."""
        ...

    def listed(self, call: Call) -> list[int]:
        """Channels of a list."""
        ...

    def go_on(self, number: int) -> None:
        """Switches an output on that is measured."""


class Triggers:
    """The trigger system of one box.

    Args:
        box: Whose it is.

    Attributes:
        waiting: Channels that wait for `*TRG`.
    """

    def __init__(self, box: Triggered) -> None:
        self._box = box
        self.waiting: list[int] = []

    def actions(self) -> dict[str, Action]:
        """Commands by name."""
        return {
            "*TRG": lambda c: self._triggered(),
            "initiate": self._initiate,
            "abort": self._abort,
            "idle": lambda c: str(int(self._box.number_of(c) not in self.waiting)),
        }

    def read(self, number: int) -> list[SmuReading]:
        """READ?: initiates and waits for the end."""
        if self._waits(number):
            raise DEADLOCK
        self._run(number)
        return self._box.readings[number]

    def spot(self, number: int) -> list[SmuReading]:
        """MEASure?: one reading at the present level."""
        self._box.go_on(number)
        self._box.readings[number] = [self._one(number)]
        return self._box.readings[number]

    def _waits(self, number: int) -> bool:
        return self._box.get("trigger.source", number) in WAITS or self._box.get("arm.source", number) in WAITS

    def _initiate(self, call: Call) -> None:
        for number in self._box.listed(call):
            if self._waits(number):
                self._box.go_on(number)
                self.waiting.append(number)
            else:
                self._run(number)

    def _abort(self, call: Call) -> None:
        for number in self._box.listed(call) if call.p.left else list(self.waiting):
            if number in self.waiting:
                self.waiting.remove(number)

    def _triggered(self) -> None:
        if not self.waiting:
            raise Refused(-211, "Trigger ignored")
        waiting, self.waiting = self.waiting, []
        for number in waiting:
            self._run(number)

    def _run(self, number: int) -> None:
        box = self._box
        channel, unit = box.channel(number), box.channel(number).source
        box.go_on(number)
        count = int(box.number("trigger.count", number) * box.number("arm.count", number))
        if count > MOST:
            raise Refused(-222, "Parameter data out of range")
        levels = self._levels(number)
        box.readings[number] = []
        before, auto, full = channel.level[unit], channel.auto[unit], channel.full[unit]
        if levels and box.get("sweep.ranging", number) != "FIXed":
            channel.auto[unit] = channel.auto[unit] or max(map(abs, levels)) > full * channel.over
        for step in range(count):
            box.bench.advance(box.number("trigger.delay", number))
            if box.get("source.shape", number) == "PULSe":
                reading = self._pulse(number, levels[step % len(levels)] if levels else None)
                box.readings[number].append(reading)
                continue
            if levels:
                channel.set_level(unit, levels[step % len(levels)])
            box.readings[number].append(self._one(number))
        if levels:
            channel.full[unit], channel.auto[unit] = full, auto
            channel.set_level(unit, before)
        self._store(number)
        if box.get("output.auto.off", number):
            channel.set_output(False)

    def _pulse(self, number: int, level: float | None) -> SmuReading:
        """One pulse of the box's own timing, from the base level and back, and what was read at its end."""
        box, channel = self._box, self._box.channel(number)
        width = box.number("pulse.width", number)
        peak = box.number(f"triggered.{channel.source}", number) if level is None else level
        box.bench.advance(box.number("pulse.delay", number))
        channel.nplc = box.number("nplc", number)
        reading = channel.pulse(peak, width)
        period = box.number("trigger.timer", number)
        box.bench.advance(max(width, period - width) if period < 2 * width else period - width)
        return reading

    def _one(self, number: int) -> SmuReading:
        box, channel = self._box, self._box.channel(number)
        channel.nplc = box.number("nplc", number)
        reading = channel.read()
        if reading.limited and box.get("output.protection", number):
            channel.set_output(False)
        return reading

    def _levels(self, number: int) -> tuple[float, ...]:
        box, unit = self._box, self._box.channel(number).source
        mode = box.get(f"mode.{unit}", number)
        if mode == "FIXed":
            return ()
        if mode == "LIST":
            return box.numbers(f"list.{unit}", number)
        start, stop = box.number(f"sweep.start.{unit}", number), box.number(f"sweep.stop.{unit}", number)
        step, points = box.number(f"sweep.step.{unit}", number), int(box.number(f"sweep.points.{unit}", number))
        if box.get("sweep.spacing", number) == "LOGarithmic":
            levels = logarithmic(start, stop, points)
        else:
            levels = stepped(start, stop, step) if step and points == 1 else linear(start, stop, points)
        levels = levels if box.get("sweep.direction", number) == "UP" else levels[::-1]
        return both_ways(levels) if box.get("sweep.stair", number) == "DOUBle" else levels

    def _store(self, number: int) -> None:
        box = self._box
        if box.get("trace.control", number) != "NEXT":
            return
        room = int(box.number("trace.points", number)) - len(box.traces[number])
        box.traces[number] += box.readings[number][: max(0, room)]
        full = len(box.traces[number]) >= int(box.number("trace.points", number))
        box.status.groups["measurement"].now(BUFFER_FULL, full)
        if full:
            box.keep("trace.control", "NEVer", number)
