"""The opened rack: its instruments in their roles, the relays, and the rules that keep the crossbar whole.

The rules live here and nowhere else: compliance before output, ranges fixed, relays move only while every source is at
zero, break before make and read back, a compliance that acts stops everything, and any exit leaves outputs off and
relays open.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterable, Iterator
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from drivers.errors import BudgetSpent, DeviceError, DeviceFault, OutOfRange, ProtocolViolation
from drivers.instruments.clocks import HostClock
from drivers.instruments.dialogue import Dialogue
from drivers.instruments.fence import Allowed, Fence
from drivers.instruments.opening import open_instrument
from drivers.rack.relays import Path, Relays
from drivers.roles import Clock, Measured, SourceMeasure
from drivers.safety import SignalWatch, uninterrupted
from drivers.transport import Transport
from firmware_specs.racks import Rack
from firmware_specs.racks.schema import GROUND, Instrument

Connect = Callable[[str, Instrument], Transport]
COMPLIANCE = -1
RAMP_STEPS = 5


class Rig:
    """Opens every instrument, checks who it is, and brings the rack into its safe state. Use it as a context.

    Args:
        rack: Bench file.
        connect: Transport to an instrument.
        release: Called once everything is closed.

    Raises:
        ProtocolViolation: an instrument is not the one the bench file names. LinkError: one does not answer.
    """

    def __init__(self, rack: Rack, connect: Connect, release: Callable[[], None] = lambda: None) -> None:
        self.rack = rack
        self._release = release
        self.limits = rack.limits
        self.boxes: dict[str, Any] = {}
        self.fences: dict[str, Fence] = {}
        self.tripped = ""
        self.mode = ""
        self.sources: dict[str, SourceMeasure] = {}
        self.levels: dict[str, float] = {}
        self._unheard: set[str] = set()
        self.driven: dict[str, float] = {}
        self.pulses_spent = np.zeros((rack.rows, rack.columns), dtype=np.int64)
        self.relays = Relays(rack, self.boxes)
        self._signals = SignalWatch()
        hz = float(rack.timing.line_frequency_hz)
        try:
            for name, spec in rack.instruments.items():
                self.fences[name] = Fence(spec.address or name, self._allowed())
                session = Dialogue(connect(name, spec), self.fences[name])
                self.boxes[name] = open_instrument(session, name, spec, hz)
            self._signals.start()
            for box in self.boxes.values():
                box.reset()
        except BaseException:
            self.close()
            raise
        self.clock: Clock = self.boxes[rack.roles.clock] if rack.roles.clock else HostClock()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def smu(self, terminal: str) -> Any:
        """The source-measure channel at a terminal."""
        box, _, channel = terminal.partition(".")
        return self.boxes[box].channels[channel]

    # ---- sources ----------------------------------------------------------------------------------------------

    def source_volts(self, terminal: str, *, range_v: float, measure_a: float) -> None:
        """Configures a source of volts with the bench's compliance and switches it on at 0 V."""
        self._alive()
        smu, timing = self.smu(terminal), self.rack.timing
        smu.source_volts(range_v=range_v, limit_a=self.limits.current_a, measure_a=measure_a, nplc=timing.nplc)
        self._on(terminal, smu)

    def source_amps(self, terminal: str, *, range_a: float) -> None:
        """Configures a source of amperes with the bench's voltage compliance and switches it on at 0 A."""
        self._alive()
        smu = self.smu(terminal)
        smu.source_amps(range_a=range_a, limit_v=self.limits.nudge_v, nplc=self.rack.timing.nplc)
        self._on(terminal, smu)

    def set_level(self, terminal: str, level: float) -> None:
        """Changes a set-point."""
        self._alive()
        if terminal not in self.sources:
            raise OutOfRange("the output is off", device=terminal)
        self._tell(terminal.partition(".")[0])
        self.levels[terminal] = level
        self.sources[terminal].set_level(level)

    def sync(self) -> None:
        """Waits until every instrument has done what it was told without an answer.

        Instruments hang on different links: what is sent to one may be carried out after what is later sent to another.
        """
        while self._unheard:
            self.boxes[self._unheard.pop()].dialogue.ask("*OPC?")

    def _tell(self, box: str) -> None:
        """Call before a command without an answer: set-points of several instruments keep the order they are given."""
        if self._unheard - {box}:
            self.sync()
        self._unheard.add(box)

    def wait(self, seconds: float) -> None:
        """Lets time pass after everything told has been done."""
        self.sync()
        self.clock.wait(seconds)

    def measure(self, terminal: str) -> Measured:
        """One reading; a compliance that acts trips the rack.

        Raises:
            DeviceFault: the compliance held the output back; everything is off and stays off.
        """
        self._alive()
        self.sync()
        seen = self.smu(terminal).measure()
        if seen.limited:
            self.trip(f"{terminal} reached its compliance at {seen.volts:g} V, {seen.amps:g} A")
        return seen

    def trip(self, why: str) -> None:
        """Stops everything and stays stopped."""
        self.tripped = why
        self.safe()
        raise DeviceFault(
            COMPLIANCE, "protection acted", asked=why, device=self.rack.name,
            todo="Outputs are off and relays open; find the cause, then open the rack anew: nothing restarts by itself",
        )  # fmt: skip

    def off(self, terminal: str) -> None:
        """Ramps a source down and switches it off."""
        smu = self.sources[terminal]
        for step in reversed(range(RAMP_STEPS)):
            smu.set_level(self.levels[terminal] * step / RAMP_STEPS if step else 0.0)
        smu.output(False)
        del self.sources[terminal], self.levels[terminal]

    # ---- relays -----------------------------------------------------------------------------------------------

    def quiet(self) -> None:
        """Every source to zero and time for the lines to follow, so that relays may move."""
        moved = False
        for terminal, level in list(self.levels.items()):
            if level != 0.0:
                self.set_level(terminal, 0.0)
                moved = True
        if hot := {channel: 0.0 for channel, level in self.driven.items() if level != 0.0}:
            self._tell(self.rack.roles.drive)
            self.boxes[self.rack.roles.drive].set_volts(hot)
            self.driven.update(hot)
            moved = True
        if moved:
            self.wait(self.rack.timing.line_settle_s)

    def route(self, wanted: Iterable[Path]) -> None:
        """Makes exactly these connections: sources must be at zero; opens first, then closes, then reads back.

        Raises:
            OutOfRange: a source is not at zero, or a line would have two masters. ProtocolViolation: a relay did not
                do as it was told; everything is off.
        """
        self._alive()
        target = set(wanted)
        self.relays.check_masters(target, self.driven)
        if target == self.relays.joined:
            return
        if hot := self._hot():
            raise OutOfRange(f"{', '.join(hot)} are not at zero: relays are never switched hot", device=self.rack.name)
        self.sync()
        self.relays.move(target)
        try:
            self.relays.verify()
        except ProtocolViolation as error:
            self.tripped = error.what
            self.safe()
            raise

    def _hot(self) -> list[str]:
        smus = [terminal for terminal, level in self.levels.items() if level != 0.0]
        return smus + [channel for channel, level in self.driven.items() if level != 0.0]

    # ---- DACs -------------------------------------------------------------------------------------------------

    def drive(self, volts: dict[str, float]) -> None:
        """Sets the DACs of lines; the first use of a line switches its output on at 0 V.

        Raises:
            OutOfRange: a line has no DAC, or hangs on something else already.
        """
        self._alive()
        bank, direct = self.boxes[self.rack.roles.drive], self.rack.wiring.direct
        if missing := [line for line in volts if line not in direct]:
            raise OutOfRange(f"{', '.join(missing)} have no DAC", device=self.rack.name)
        channels = {direct[line].partition(".")[2]: level for line, level in volts.items()}
        if new := [c for c in channels if c not in self.driven]:
            self.driven.update(dict.fromkeys(new, 0.0))
            self.relays.check_masters(self.relays.joined, self.driven)
            bank.set_volts(dict.fromkeys(new, 0.0))
            bank.outputs(new, True)
        self._tell(self.rack.roles.drive)
        bank.set_volts(channels)
        self.driven.update(channels)

    def undrive(self) -> None:
        """DACs to zero and off."""
        if self.driven:
            bank = self.boxes[self.rack.roles.drive]
            bank.set_volts(dict.fromkeys(self.driven, 0.0))
            bank.outputs(list(self.driven), False)
            self.driven.clear()

    def park(self, lines: Iterable[str]) -> set[Path]:
        """Paths that ground lines."""
        return {(GROUND, line) for line in lines}

    # ---- budgets, errors, the end -----------------------------------------------------------------------------

    def charge(self, row: int, column: int, count: int) -> None:
        """Counts pulses of a cell before they go out.

        Raises:
            BudgetSpent: the cell has had its pulses.
        """
        after = int(self.pulses_spent[row, column]) + count
        if after > self.limits.pulses_per_cell:
            raise BudgetSpent(
                f"cell ({row}, {column}) would have {after} pulses, the bench allows {self.limits.pulses_per_cell}",
                device=self.rack.name,
                todo="Nothing was sent",
            )
        self.pulses_spent[row, column] = after

    @contextlib.contextmanager
    def pulsing(self, terminals: Iterable[str]) -> Iterator[None]:
        """Lets sources reach the pulse voltage for a moment."""
        with contextlib.ExitStack() as stack:
            for box in {t.partition(".")[0] for t in terminals}:
                stack.enter_context(self.fences[box].raised(self.limits.pulse_v))
            yield

    @contextlib.contextmanager
    def driving(self) -> Iterator[None]:
        """Lets the DACs reach the drive voltage of a network for a moment."""
        with self.fences[self.rack.roles.drive].raised(self.limits.drive_v):
            yield

    def check_errors(self) -> None:
        """Reads every error queue.

        Raises:
            DeviceFault: one is not empty.
        """
        for name, box in self.boxes.items():
            if found := box.errors():
                self.safe()
                raise DeviceFault(COMPLIANCE, "; ".join(found), asked="the last commands", device=name)

    def rest(self) -> None:
        """All sources down and off, all relays open; the rack stays usable."""
        self.mode = ""
        self.quiet()
        for terminal in list(self.sources):
            self.off(terminal)
        self.undrive()
        self.route(())

    def safe(self) -> None:
        """Outputs off, relays open, now, whatever is broken; asks nothing."""
        with uninterrupted():
            order = sorted(self.boxes.values(), key=lambda box: hasattr(box, "open_all"))
            for box in order:
                with contextlib.suppress(DeviceError):
                    box.safe()
            self.sources.clear()
            self.levels.clear()
            self._unheard.clear()
            self.driven.clear()
            self.relays.joined = set()

    def close(self) -> None:
        """Safe state, then the sessions end."""
        with uninterrupted():
            self.safe()
            for box in self.boxes.values():
                box.close()
            self._signals.stop()
            self._release()
            self._release = lambda: None

    def _on(self, terminal: str, smu: SourceMeasure) -> None:
        smu.output(True)
        self.sources[terminal], self.levels[terminal] = smu, 0.0

    def _alive(self) -> None:
        if self.tripped:
            raise OutOfRange(
                f"the rack tripped ({self.tripped}) and stays off until it is opened anew", device=self.rack.name
            )

    def _allowed(self) -> Allowed:
        limits = self.limits
        return Allowed(limits.read_v, limits.nudge_a, limits.nudge_v, limits.current_a)


def finite(what: str, values: NDArray[np.float64] | float, device: str) -> None:
    """Refuses NaN and infinities.

    Raises:
        OutOfRange: there are some.
    """
    if not np.isfinite(values).all():
        raise OutOfRange(
            f"{what}: {int((~np.isfinite(values)).sum())} values are not finite; nothing was sent", device=device
        )


def within(what: str, value: float, limit: float, unit: str, device: str) -> None:
    """Refuses a magnitude beyond a limit.

    Raises:
        OutOfRange: it is, or is not a number.
    """
    if not math.isfinite(value) or abs(value) > limit * (1 + 1e-9):
        raise OutOfRange(f"{what} {value:g} {unit} is beyond {limit:g} {unit}; nothing was sent", device=device)
