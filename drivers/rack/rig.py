"""The opened rack: its instruments in their roles, the relays, and the rules that keep the crossbar whole.

The rules live here and nowhere else: compliance before output, ranges fixed, relays move only while every source is at
zero, break before make and read back, a compliance that acts stops everything, and any exit leaves outputs off and
relays open.
"""

from __future__ import annotations

import contextlib
import logging
import math
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from types import TracebackType
from typing import Any, Self

from drivers.accounts import Accounts, of_life
from drivers.chip_ledger import ChipLedger
from drivers.errors import DeviceFault, LeaseOver, OutOfRange, OutputsUncertain, ProtocolViolation
from drivers.heartbeat import Heartbeat
from drivers.instruments.clocks import HostClock
from drivers.instruments.dialogue import Dialogue
from drivers.instruments.fence import Allowed, Fence
from drivers.instruments.opening import open_instrument
from drivers.instruments.sound import Sound
from drivers.lease import LEASE_S, LONGEST_S, Lease
from drivers.rack.leaving import Connect, Leaving, dacs_of
from drivers.rack.outputs import Outputs
from drivers.rack.relays import Path, Relays
from drivers.rack.spent import Spent
from drivers.roles import Clock, Measured
from drivers.safety import SignalWatch, uninterrupted
from firmware_specs.racks import Rack
from firmware_specs.racks.wiring import GROUND

_LOG = logging.getLogger(__name__)
COMPLIANCE = -1
OPEN_S = 5.0


class Rig:
    """Opens every instrument, checks who it is, and brings the rack into its safe state. Use it as a context.

    Args:
        rack: Bench file.
        connect: Transport to an instrument.
        release: Called once everything is closed.
        watchdog_s: Instruments that can turn their outputs off by themselves do so this long after the last sign of
            life of this host.
        ledger: What the cells have had in earlier sessions, and where that goes on.
        lease_s: The rack turns them all off this long after the last thing its owner had done with it.

    Attributes:
        outputs: What drives lines.
        spent: Pulses and joules of the cells, in all sessions.
        accounts: What the crossbar did in this session.
        left_on: Outputs that were on when the rack was found: it was not left by its own end. They are off now.
        lease: Whoever computes for longer says so: `with rig.lease.busy(seconds)`.

    Raises:
        ProtocolViolation: an instrument is not the one the bench file names. LinkError: one does not answer.
    """

    def __init__(
        self,
        rack: Rack,
        connect: Connect,
        release: Callable[[], None] = lambda: None,
        watchdog_s: float = 2.0,
        lease_s: float = LEASE_S,
        ledger: ChipLedger | None = None,
    ) -> None:
        self.lease = Lease(lease_s, rack.name)
        self.rack = rack
        self._release = release
        self.limits = rack.limits
        self.boxes: dict[str, Any] = {}
        self.fences: dict[str, Fence] = {}
        self.tripped = ""
        self.mode = ""
        self.spent = Spent(rack, ledger)
        self.accounts = Accounts(0, None, lambda: None)  # instruments number no transactions
        self._life = None if ledger is None else of_life(ledger.chip)
        if self._life is not None:
            self.accounts.count_into(self._life)
        self.relays = Relays(rack, self.boxes)
        self.outputs = Outputs(rack, self.boxes, self.relays, self._alive)
        self.left_on: list[str] = []
        self._were_on: dict[str, list[str]] = {}
        self._closed, self._mutex = False, threading.RLock()
        self._signals = SignalWatch()
        self._lapsed: LeaseOver | None = None
        self._keeper: Heartbeat | None = None
        self._leaving = Leaving(rack.instruments, self.boxes, self.fences, dacs_of(self.rack), connect, watchdog_s)
        hz = float(rack.timing.line_frequency_hz)
        try:
            for name, spec in rack.instruments.items():
                self.fences[name] = Fence(spec.address or name, self._allowed())
                session = Dialogue(connect(name, spec, OPEN_S), self.fences[name], end=spec.facts.ends)
                try:
                    self.boxes[name] = Sound(open_instrument(session, name, spec, hz, watchdog_s), name, session)
                except BaseException:
                    session.close()
                    raise
            self._signals.start()
            self.left_on = self._left_on()
            for box in self.boxes.values():
                box.reset()
                box.watch(watchdog_s)
        except BaseException as error:
            self.__exit__(type(error), error, None)
            raise
        self.lease.renew()
        self._keeper = Heartbeat(lambda: None, time.monotonic, math.inf, self.lease, self._lapse)
        self.clock: Clock = self.boxes[rack.roles.clock] if rack.roles.clock else HostClock()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, _: TracebackType | None) -> None:
        try:
            self.close()
        except OutputsUncertain as error:
            if value is None:
                raise
            value.add_note(str(error))
            if not isinstance(value, Exception):  # an exit shows no notes
                _LOG.error("%s", error)

    def wait(self, seconds: float) -> None:
        """Lets time pass after everything told has been done."""
        self._alive()
        self.outputs.sync()
        with self.lease.busy(min(seconds + self.lease.seconds, LONGEST_S)):
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
            for name, known in self.outputs.on_by_box().items():
                self._were_on[name] = known
            self._leaving.switch_off()
            self.outputs.forget()
            self.relays.joined = set()

    def close(self) -> None:
        """Safe state, seen to be so, then the sessions end; calling it again does nothing.

        Raises:
            OutputsUncertain: naming what may still be on, and what becomes of it.
        """
        with uninterrupted(), self._mutex:
            if self._closed:
                return
            self._closed = True
            if self._keeper is not None:
                self._keeper.stop()
            try:
                self.safe()
                self._see_off()
            finally:
                for box in self.boxes.values():
                    box.close()
                if self._life is not None:
                    self.accounts.count_no_more(self._life)
                    self._life.close()
                self._signals.stop()
                self._release()

    def _see_off(self) -> None:
        """Asks every instrument after `safe`; a lost one is tried once more."""
        if unsure := self._leaving.still_on(self._were_on):
            raise OutputsUncertain("; ".join(unsure), device=self.rack.name, todo="Go and look at the rack")
        self._were_on.clear()

    def _lapse(self) -> bool:
        """The owner is gone: switches off in his place. False where he came back, or nothing is on."""
        with self._mutex:
            if self.lease.over and not self.outputs.on_by_box():
                self.lease.renew()
            if not self.lease.over or self._closed:
                return self._closed
            self.tripped = f"no sign of life from the program for {self.lease.seconds:g} s"
            said = "outputs were switched off, confirmed"
            try:
                self.safe()
                self._see_off()
            except OutputsUncertain as error:
                said = error.what
            self._lapsed = LeaseOver(f"{self.tripped}: {said}", device=self.rack.name, todo="Open the rack anew")
            _LOG.error("%s", self._lapsed)
            return True

    def _left_on(self) -> list[str]:
        dacs = dacs_of(self.rack)
        return [f"{name}.{channel}" for name, box in self.boxes.items() for channel in box.left_on(dacs.get(name, ()))]

    def _alive(self) -> None:
        with self._mutex:  # waits for a keeper that is switching off
            if self._lapsed is not None:
                lapsed, self._lapsed = self._lapsed, None
                raise lapsed
            if self.tripped:
                text = f"the rack tripped ({self.tripped}) and stays off until it is opened anew"
                raise OutOfRange(text, device=self.rack.name)
            self.lease.renew()

    def _allowed(self) -> Allowed:
        limits = self.limits
        kelvin = (limits.coldest_k, limits.hottest_k)
        return Allowed(limits.read_v, limits.nudge_a, limits.nudge_v, limits.current_a, kelvin)
