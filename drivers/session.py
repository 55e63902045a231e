"""A device in one owner's hands: who it is, its limits, its outputs, and how it is left.

Outputs go on with `arm` and off with `disarm`, at the end of a `with` block, on exceptions, on signals, and at exit of
the interpreter. Nothing turns them on again by itself.
"""

from __future__ import annotations

import atexit
import logging
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from types import TracebackType
from typing import Protocol, Self, TypeVar

from drivers.dialect import Dialect
from drivers.errors import Busy, DeviceError, DeviceFault, LinkLost, OutOfRange
from drivers.guard import Guard, Limits
from drivers.heartbeat import Heartbeat
from drivers.info import DeviceInfo
from drivers.portions import Portions
from drivers.safety import SignalWatch, uninterrupted
from firmware_specs.codes import Capability, ErrorCode, State, Trip
from firmware_specs.messages import FaultLog, SelfTest, Status

T = TypeVar("T")
SAFE_S = 0.8
OWNER_CHECK_S = 0.25
WATCHDOG_S = 2.0
HOST_TRIPS = (Trip.WATCHDOG, Trip.LINK_LOST)
"""Trips that say that the host went away, and no more."""
_LOG = logging.getLogger(__name__)


class Ownership(Protocol):
    """What a session needs of the lock on its device."""

    def check(self) -> None:
        """Raises `Busy` when it was lost."""

    def release(self) -> None:
        """Gives the device free."""


class Session:
    """An open device. Use it in a `with` block.

    Args:
        dialect: The verbs, over an open wire.
        lock: Ownership of the device.
        limits: Limits by source name ("bench file lab.toml", "run"), in addition to the device's own.
        watchdog_s: Outputs go off this long after the last sign of life.
        allow_no_watchdog: Named override: use a device that cannot turn its outputs off by itself.
        clear_trip: Named override: a person has looked at a device that tripped for another reason than its host.
        open_timeout_s: Deadline of the first dialogue.
        allow_long_requests: Named override: what cannot be cut may hold up switching off for longer than half a second.

    Raises:
        DeviceError: the device does not answer, or answers what does not fit.
    """

    def __init__(
        self,
        dialect: Dialect,
        *,
        lock: Ownership | None = None,
        limits: Mapping[str, Mapping[str, float]] | None = None,
        watchdog_s: float = WATCHDOG_S,
        allow_no_watchdog: bool = False,
        clear_trip: bool = False,
        open_timeout_s: float = 3.0,
        allow_long_requests: bool = False,
    ) -> None:
        self.address = dialect.address
        self.dialect = dialect
        self.portions = Portions(dialect, allow_long=allow_long_requests)
        self._lock = lock
        self._allow_no_watchdog = allow_no_watchdog
        self._mutex = threading.RLock()
        self._signals = SignalWatch()
        self._heartbeat: Heartbeat | None = None
        self._closed = False
        self._armed = False
        self._traffic = self._owner_checked = time.monotonic()
        dialect.open(open_timeout_s)
        self.info = DeviceInfo(
            dialect.identify(),
            dialect.fabric(),
            {converter.id: converter for converter in dialect.converters()},
            dialect.parameters(),
            dialect.limits(),
        )
        self._leave_old_trip(clear_trip)
        own = {"the device itself": asdict(self.info.limits.absolute)}
        self.guard = Guard(Limits.tightest(own | dict(limits or {})), self.address)
        dialect.set_limits(self.guard.limits.record())
        self.watchdog_s = self._checked_watchdog(watchdog_s)

    @property
    def armed(self) -> bool:
        """Outputs are on, as far as we and the device's last answer know."""
        return self._armed and self.dialect.outputs_on is not False

    def call(self, action: Callable[[Dialect], T]) -> T:
        """Runs one verb: checks ownership and heartbeat first, and serializes threads.

        Raises:
            DeviceError: the verb failed, the ownership was lost, or the heartbeat has failed meanwhile.
        """
        with self._mutex:
            self._check()
            try:
                return action(self.dialect)
            finally:
                self._traffic = time.monotonic()

    def arm(self) -> None:
        """Turns outputs on: watchdog first, and only on a chip that is cool enough.

        Raises:
            OutOfRange: no watchdog and no override, or too hot. DeviceFault: tripped; `clear_trip` first.
        """
        if self.info.can(Capability.WATCHDOG):
            self.watchdog_s = self.call(lambda device: device.set_watchdog(self.watchdog_s))
        elif not self._allow_no_watchdog:
            raise OutOfRange(
                "the device has no watchdog: if this computer dies, its outputs stay on",
                device=self.address,
                todo="If that is acceptable, say so by name: allow_no_watchdog = true in the bench file",
            )
        if self.info.can(Capability.TEMPERATURE):
            self.guard.temperature(self.call(lambda device: device.temperature()))
        self._signals.start()
        atexit.register(self._at_exit)
        self._armed = True  # before the request: if its answer is lost, outputs may be on
        self.call(lambda device: device.arm())
        if self._heartbeat is None and self.info.can(Capability.WATCHDOG):
            self._heartbeat = Heartbeat(self._beat, lambda: self._traffic, self.watchdog_s / 4)

    def disarm(self) -> None:
        """Turns outputs off, and waits for the device to confirm it."""
        with uninterrupted():
            self._stop_heartbeat()
            try:
                if not self._closed:
                    self.dialect.safe(SAFE_S + self.portions.excess_s)
                self._armed = False
            finally:
                self._signals.stop()
                atexit.unregister(self._at_exit)

    def clear_trip(self) -> None:
        """Leaves a trip; outputs stay off until `arm`."""
        self.call(lambda device: device.clear())

    def reset(self) -> None:
        """Power-on state of the device; our limits are set again, nothing else is."""
        with self._mutex:
            self._stop_heartbeat()
            self._armed = False
            self.call(lambda device: device.reset())
            self.call(lambda device: device.set_limits(self.guard.limits.record()))

    def status(self) -> Status:
        """State, trip, watchdog, counters."""
        return self.call(lambda device: device.status())

    def fault_log(self) -> FaultLog:
        """Why it tripped, and what else went wrong."""
        return self.call(lambda device: device.fault_log())

    def self_test(self) -> SelfTest:
        """Lets the device test itself; outputs must be off."""
        return self.call(lambda device: device.self_test())

    def temperature_k(self) -> float:
        """Chip temperature, kelvin."""
        return self.call(lambda device: device.temperature())

    def close(self) -> None:
        """Outputs off, wire closed, ownership given up; calling it again does nothing.

        Raises:
            DeviceError: outputs were on, and that they are off could not be confirmed.
        """
        if self._closed:
            return
        with uninterrupted():
            try:
                if self._armed:
                    self.disarm()
            finally:
                self._closed = True
                self._stop_heartbeat()
                self.dialect.close()
                if self._lock is not None:
                    self._lock.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self.close()
        except DeviceError as error:
            note = f"That the outputs are off could not be confirmed ({error.what}); {self._last_line()}"
            if value is None:
                raise
            value.add_note(note)
            if not isinstance(value, Exception):  # an exit shows no notes
                _LOG.error(note)

    def _leave_old_trip(self, clear_trip: bool) -> None:
        """A trip that only says that the last host went away ends with the next one; others want a person."""
        status = self.dialect.status()
        if status.state is not State.TRIPPED:
            return
        if not clear_trip and status.trip not in HOST_TRIPS:
            raise DeviceFault(
                ErrorCode.TRIPPED,
                f"tripped: {status.trip.name}",
                asked="opening the device",
                device=self.address,
                todo="Look at the device; when it is safe, `hil clear ADDRESS`",
            )
        self.dialect.clear()

    def _last_line(self) -> str:
        if self.info.can(Capability.WATCHDOG):
            return f"the device's watchdog turns them off {self.watchdog_s:g} s after the last sign of life"
        return "the device has no watchdog: check it"

    def _check(self) -> None:
        if self._closed:
            raise LinkLost("the device was closed", device=self.address)
        if self._heartbeat is not None and self._heartbeat.failure is not None:
            raise self._heartbeat.failure
        now = time.monotonic()
        if self._lock is not None and now - self._owner_checked > OWNER_CHECK_S:
            self._owner_checked = now
            try:
                self._lock.check()
            except Busy:
                if self._armed:
                    self.dialect.safe(SAFE_S + self.portions.excess_s)
                raise

    def _beat(self) -> None:
        self.call(lambda device: device.heartbeat())

    def _stop_heartbeat(self) -> None:
        if self._heartbeat is not None:
            self._heartbeat.stop()
            self._heartbeat = None

    def _at_exit(self) -> None:
        try:
            self.close()
        except DeviceError as error:
            _LOG.error("%s", error)

    def _checked_watchdog(self, seconds: float) -> float:
        if not 0.01 <= seconds <= 60.0:
            raise OutOfRange(f"watchdog_s = {seconds}: 0.01 .. 60 s is needed", device=self.address)
        return seconds
