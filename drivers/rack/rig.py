"""The opened rack: its instruments in their roles, the relays, and the rules that keep the crossbar whole.

The rules live here and nowhere else: compliance before output, ranges fixed, relays move only while every source is at
zero, break before make and read back, a compliance that acts stops everything, and any exit leaves outputs off and
relays open.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator
from types import TracebackType
from typing import Any, Self

import numpy as np

from drivers.errors import BudgetSpent, DeviceError, DeviceFault, OutOfRange, ProtocolViolation
from drivers.instruments.clocks import HostClock
from drivers.instruments.dialogue import Dialogue
from drivers.instruments.fence import Allowed, Fence
from drivers.instruments.opening import open_instrument
from drivers.rack.outputs import Outputs
from drivers.rack.relays import Path, Relays
from drivers.roles import Clock, Measured
from drivers.safety import SignalWatch, uninterrupted
from drivers.transport import Transport
from firmware_specs.racks import Rack
from firmware_specs.racks.wiring import GROUND, Instrument

Connect = Callable[[str, Instrument], Transport]
COMPLIANCE = -1


class Rig:
    """Opens every instrument, checks who it is, and brings the rack into its safe state. Use it as a context.

    Args:
        rack: Bench file.
        connect: Transport to an instrument.
        release: Called once everything is closed.
        watchdog_s: Instruments that can turn their outputs off by themselves do so this long after the last sign of
            life of this host.

    Attributes:
        outputs: What drives lines.
        left_on: Outputs that were on when the rack was found: it was not left by its own end. They are off now.

    Raises:
        ProtocolViolation: an instrument is not the one the bench file names. LinkError: one does not answer.
    """

    def __init__(
        self, rack: Rack, connect: Connect, release: Callable[[], None] = lambda: None, watchdog_s: float = 2.0
    ) -> None:
        self.rack = rack
        self._release = release
        self.limits = rack.limits
        self.boxes: dict[str, Any] = {}
        self.fences: dict[str, Fence] = {}
        self.tripped = ""
        self.mode = ""
        self.pulses_spent = np.zeros((rack.rows, rack.columns), dtype=np.int64)
        self.relays = Relays(rack, self.boxes)
        self.outputs = Outputs(rack, self.boxes, self.relays, self._alive)
        self.left_on: list[str] = []
        self._signals = SignalWatch()
        hz = float(rack.timing.line_frequency_hz)
        try:
            for name, spec in rack.instruments.items():
                self.fences[name] = Fence(spec.address or name, self._allowed())
                session = Dialogue(connect(name, spec), self.fences[name])
                self.boxes[name] = open_instrument(session, name, spec, hz, watchdog_s)
            self._signals.start()
            self.left_on = self._left_on()
            for box in self.boxes.values():
                box.reset()
                box.watch(watchdog_s)
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

    def wait(self, seconds: float) -> None:
        """Lets time pass after everything told has been done."""
        self.outputs.sync()
        self.clock.wait(seconds)

    def measure(self, terminal: str) -> Measured:
        """One reading; a compliance that acts trips the rack.

        Raises:
            DeviceFault: the compliance held the output back; everything is off and stays off.
        """
        self._alive()
        self.outputs.sync()
        seen: Measured = self.outputs.smu(terminal).measure()
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

    def quiet(self) -> None:
        """Every source to zero and time for the lines to follow, so that relays may move."""
        if self.outputs.to_zero():
            self.wait(self.rack.timing.line_settle_s)

    def route(self, wanted: Iterable[Path]) -> None:
        """Makes exactly these connections: sources must be at zero; opens first, then closes, then reads back.

        Raises:
            OutOfRange: a source is not at zero, or a line would have two masters. ProtocolViolation: a relay did not
                do as it was told; everything is off.
        """
        self._alive()
        target = set(wanted)
        self.relays.check_masters(target, self.outputs.driven)
        if target == self.relays.joined:
            return
        if hot := self.outputs.hot():
            raise OutOfRange(f"{', '.join(hot)} are not at zero: relays are never switched hot", device=self.rack.name)
        self.outputs.sync()
        self.relays.move(target)
        try:
            self.relays.verify()
        except ProtocolViolation as error:
            self.tripped = error.what
            self.safe()
            raise

    def park(self, lines: Iterable[str]) -> set[Path]:
        """Paths that ground lines."""
        return {(GROUND, line) for line in lines}

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
        for terminal in list(self.outputs.sources):
            self.outputs.off(terminal)
        self.outputs.undrive()
        self.route(())

    def safe(self) -> None:
        """Outputs off, relays open, now, whatever is broken; asks nothing."""
        with uninterrupted():
            order = sorted(self.boxes.values(), key=lambda box: hasattr(box, "open_all"))
            for box in order:
                with contextlib.suppress(DeviceError):
                    box.safe()
            self.outputs.forget()
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

    def _left_on(self) -> list[str]:
        dacs = set(self.rack.wiring.direct.values())
        found = []
        for name, box in self.boxes.items():
            channels = sorted(c.partition(".")[2] for c in dacs if c.partition(".")[0] == name)
            found += [f"{name}.{channel}" for channel in box.left_on(channels)]
        return found

    def _alive(self) -> None:
        if self.tripped:
            raise OutOfRange(
                f"the rack tripped ({self.tripped}) and stays off until it is opened anew", device=self.rack.name
            )

    def _allowed(self) -> Allowed:
        limits = self.limits
        return Allowed(limits.read_v, limits.nudge_a, limits.nudge_v, limits.current_a)
