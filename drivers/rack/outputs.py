"""Everything on the bench that drives a line: SMU channels and DACs, at which levels, told in which order."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from drivers.errors import OutOfRange
from drivers.instruments.sound import Sound
from drivers.rack.relays import Relays
from drivers.roles import SourceMeasure
from firmware_specs.racks import Rack

RAMP_STEPS = 5


class Outputs:
    """Sources of the rack; set-points of several instruments keep the order they are given.

    Args:
        rack: Bench file.
        boxes: Opened instruments by name.
        relays: What hangs on which line: no line gets two masters.
        alive: Raises once the rack has tripped.

    Attributes:
        sources: SMU channels that are on, by terminal.
        levels: Their set-points.
        driven: DAC channels that are on, and their voltages.
    """

    def __init__(self, rack: Rack, boxes: Mapping[str, Any], relays: Relays, alive: Callable[[], None]) -> None:
        self.sources: dict[str, SourceMeasure] = {}
        self.levels: dict[str, float] = {}
        self.driven: dict[str, float] = {}
        self._rack, self._boxes, self._relays, self._alive = rack, boxes, relays, alive
        self._unheard: set[str] = set()

    def smu(self, terminal: str) -> Any:
        """The source-measure channel at a terminal."""
        box, _, channel = terminal.partition(".")
        found = self._boxes[box]
        return Sound(found.channels[channel], terminal, found.dialogue)

    def source_volts(self, terminal: str, *, range_v: float, measure_a: float) -> None:
        """Configures a source of volts with the bench's compliance and switches it on at 0 V."""
        self._alive()
        smu, limits, nplc = self.smu(terminal), self._rack.limits, self._rack.timing.nplc
        smu.source_volts(range_v=range_v, limit_a=limits.current_a, measure_a=measure_a, nplc=nplc)
        self._on(terminal, smu)

    def source_amps(self, terminal: str, *, range_a: float) -> None:
        """Configures a source of amperes with the bench's voltage compliance and switches it on at 0 A."""
        self._alive()
        smu = self.smu(terminal)
        smu.source_amps(range_a=range_a, limit_v=self._rack.limits.nudge_v, nplc=self._rack.timing.nplc)
        self._on(terminal, smu)

    def set_level(self, terminal: str, level: float) -> None:
        """Changes a set-point."""
        self._alive()
        if terminal not in self.sources:
            raise OutOfRange("the output is off", device=terminal)
        self._tell(terminal.partition(".")[0])
        self.levels[terminal] = level
        self.sources[terminal].set_level(level)

    def off(self, terminal: str) -> None:
        """Ramps a source down and switches it off."""
        smu = self.sources[terminal]
        for step in reversed(range(RAMP_STEPS)):
            smu.set_level(self.levels[terminal] * step / RAMP_STEPS if step else 0.0)
        smu.output(False)
        del self.sources[terminal], self.levels[terminal]

    def drive(self, volts: Mapping[str, float]) -> None:
        """Sets the DACs of lines; the first use of a line switches its output on at 0 V.

        Raises:
            OutOfRange: a line has no DAC, or hangs on something else already.
        """
        self._alive()
        direct = self._rack.wiring.direct
        if missing := [line for line in volts if line not in direct]:
            raise OutOfRange(f"{', '.join(missing)} have no DAC", device=self._rack.name)
        channels = {direct[line].partition(".")[2]: level for line, level in volts.items()}
        if new := [c for c in channels if c not in self.driven]:
            self._relays.check_masters(self._relays.joined, {*self.driven, *new})
            self._set_dacs(dict.fromkeys(new, 0.0))
            self._boxes[self._rack.roles.drive].outputs(new, True)
        self._set_dacs(channels)

    def undrive(self) -> None:
        """DACs to zero and off."""
        if self.driven:
            self._set_dacs(dict.fromkeys(self.driven, 0.0))
            self._boxes[self._rack.roles.drive].outputs(list(self.driven), False)
            self.driven.clear()

    def to_zero(self) -> bool:
        """Every set-point to zero; True where one was not."""
        levels = [terminal for terminal, level in self.levels.items() if level != 0.0]
        for terminal in levels:
            self.set_level(terminal, 0.0)
        channels = dict.fromkeys((channel for channel, level in self.driven.items() if level != 0.0), 0.0)
        if channels:
            self._set_dacs(channels)
        return bool(levels or channels)

    def hot(self) -> list[str]:
        """Terminals and DAC channels that are not at zero."""
        return [t for t, level in (*self.levels.items(), *self.driven.items()) if level != 0.0]

    def sync(self) -> None:
        """Waits until every instrument has done what it was told without an answer.

        Instruments hang on different links: what is sent to one may be carried out after what is later sent to another.
        """
        while self._unheard:
            self._boxes[self._unheard.pop()].done()

    def on_by_box(self) -> dict[str, list[str]]:
        """Channels that are on, by box."""
        found: dict[str, list[str]] = {}
        drive = self._rack.roles.drive
        for terminal in [*self.sources, *(f"{drive}.{channel}" for channel in self.driven)]:
            box, _, channel = terminal.partition(".")
            found.setdefault(box, []).append(channel)
        return found

    def forget(self) -> None:
        """Everything is off."""
        for known in (self.sources, self.levels, self.driven, self._unheard):
            known.clear()

    def _on(self, terminal: str, smu: SourceMeasure) -> None:
        smu.output(True)
        self.sources[terminal], self.levels[terminal] = smu, 0.0

    def _set_dacs(self, channels: Mapping[str, float]) -> None:
        self._tell(self._rack.roles.drive)
        self._boxes[self._rack.roles.drive].set_volts(channels)
        self.driven.update(channels)

    def _tell(self, box: str) -> None:
        """Call before a command without an answer: set-points of several instruments keep the order they are given."""
        if self._unheard - {box}:
            self.sync()
        self._unheard.add(box)
