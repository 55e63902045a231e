"""A device in one owner's hands: who it is, its limits, its outputs, and how it is left.

Outputs go on with `arm` and off with `disarm`, at the end of a `with` block, on exceptions, on signals, at exit of the
interpreter, and when the owner shows no life for longer than his lease. Nothing turns them on again by itself. Off is
what the device says with its flags and its STATUS.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict
from types import TracebackType
from typing import Protocol, Self, TypeVar

from drivers import accounts, watchdog
from drivers.chip_ledger import ChipLedger
from drivers.consistency import refuse_contradictions
from drivers.device_info import DeviceInfo
from drivers.dialect import Dialect
from drivers.errors import Busy, DeviceError, DeviceFault, LinkLost, ProtocolViolation
from drivers.guard import Guard, Limits
from drivers.lease import LEASE_S, Lease
from drivers.outputs import Outputs, no_watchdog
from drivers.portions import Portions
from drivers.safety import uninterrupted
from firmware_specs.codes import Capability, ErrorCode, State, Trip
from firmware_specs.deeds import Deeds
from firmware_specs.messages import FaultLog, SelfTest, Status

T = TypeVar("T")
OWNER_CHECK_S = 0.25
HOTTEST_K = 5000.0
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
        watchdog_s: The device turns its outputs off this long after the last sign of life of this process.
        lease_s: The session turns them off this long after the last verb of its owner; see `busy`.
        expected: Raises where this is not the device that was meant: asked before anything is set or cleared.
        allow_no_watchdog: Named override: use a device that cannot turn its outputs off by itself.
        clear_trip: Named override: a person has looked at a device that tripped for another reason than its host.
        open_timeout_s: Deadline of the first dialogue.
        ledger: Keeps what the cells of a chip have had that does not count itself, by who it is.
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
        lease_s: float = LEASE_S,
        expected: Callable[[DeviceInfo], None] = lambda _: None,
        allow_no_watchdog: bool = False,
        clear_trip: bool = False,
        open_timeout_s: float = 3.0,
        allow_long_requests: bool = False,
        ledger: Callable[[str], ChipLedger] | None = None,
    ) -> None:
        self.address = dialect.address
        self.dialect = dialect
        self.portions = Portions(dialect, allow_long=allow_long_requests)
        self._lock = lock
        self._allow_no_watchdog = allow_no_watchdog
        self._mutex = threading.RLock()
        self._closed = False
        self._owner_checked = time.monotonic()
        self.lease_s = lease_s
        self._lease, asked_s = Lease(lease_s, self.address), watchdog.checked(watchdog_s, self.address)
        dialect.open(open_timeout_s)
        self.info = DeviceInfo.of(dialect)
        expected(self.info)
        self._outputs = Outputs(dialect, self.info, self._mutex, self._lease, asked_s, self.portions)
        status = self._outputs.seen_off(dialect.status())
        executed = dialect.executed(status)
        self.accounts = accounts.Accounts(self.info.identity.boot, executed, lambda: dialect.transactions)
        self._leave_old_trip(status, clear_trip)
        own = {"the device itself": asdict(self.info.limits.absolute)}
        tightest = Limits.tightest(own | dict(limits or {}))
        refuse_contradictions(self.info, tightest, self.address)
        kept = None if ledger is None or self.info.can(Capability.USAGE) else ledger(self.info.chip)
        self.guard = Guard(tightest, self.address, kept)
        self._life = None if ledger is None else accounts.of_life(self.info.chip)
        self._copied = kept is None
        if self._life is not None:
            self.accounts.count_into(self._life)
        self._set_limits()

    @property
    def armed(self) -> bool:
        """Outputs are on, as far as we and the device's last answer know."""
        return self._outputs.armed and self.dialect.outputs_on is not False

    @property
    def watchdog_s(self) -> float:
        """The watchdog, as asked for; once armed, as the device says it is in force."""
        return self._outputs.watchdog_s

    @property
    def lease_left_s(self) -> float:
        """Seconds until the outputs go off, unless the owner shows life before."""
        return self._lease.left_s

    def call(self, action: Callable[[Dialect], T]) -> T:
        """Runs one verb: checks ownership and heartbeat first, and serializes threads.

        Raises:
            DeviceError: the verb failed, the ownership was lost, or the heartbeat has failed meanwhile.
            LeaseOver: no verb came for longer than the lease; said once, outputs are off since.
        """
        with self._mutex:
            self._check()
            try:
                return self._outputs.told(action)
            finally:
                self._lease.renew()

    def counted(
        self, action: Callable[[Dialect], T], asked: Sequence[Deeds], also: Callable[[T], Deeds] | None = None
    ) -> T:
        """Runs a verb that does something to the chip, and counts it; see `call` and `Accounts.run`."""
        with self._mutex:
            return self.accounts.run(asked, lambda: self.call(action), also)

    def busy(self, seconds: float) -> AbstractContextManager[None]:
        """Work on the host without a verb for longer than the lease, at most so long: `with session.busy(120): ...`.

        Raises:
            OutOfRange: not within 0 .. 3600 s.
        """
        return self._lease.busy(seconds)

    def arm(self) -> None:
        """Turns outputs on: watchdog first, and only on a chip that is cool enough.

        Raises:
            OutOfRange: no watchdog and no override, or too hot. DeviceFault: tripped; `clear_trip` first.
        """
        with self._mutex:
            self._check()
            self._lease.renew()
            if self._outputs.watched:
                self._outputs.set_watchdog()
            elif not self._allow_no_watchdog:
                raise no_watchdog(self.address)
            if self.info.can(Capability.TEMPERATURE):
                self.guard.temperature(self.temperature_k())
            self._outputs.on(self._beat, self._at_exit)
            self._lease.renew()

    def disarm(self) -> None:
        """Turns outputs off, and waits for the device to confirm it.

        Raises:
            OutputsUncertain: it did not, or said that they are on.
        """
        if not self._closed:
            self._outputs.off()

    def clear_trip(self) -> None:
        """Leaves a trip; outputs stay off until `arm`."""
        self.call(lambda device: device.clear())

    def reset(self) -> None:
        """Power-on state of the device; our limits are set again, nothing else is."""
        with self._mutex:
            self._outputs.rest()
            self.call(lambda device: device.reset())
            self._outputs.seen_off(self.status())
            self._set_limits()

    def status(self) -> Status:
        """State, trip, watchdog, counters."""
        return self.call(lambda device: device.status())

    def fault_log(self) -> FaultLog:
        """Why it tripped, and what else went wrong."""
        return self.call(lambda device: device.fault_log())

    def self_test(self) -> SelfTest:
        """Lets the device test itself; outputs must be off."""
        return self.call(lambda device: device.self_test())

    def set_temperature(self, kelvin: float) -> float:
        """Sets the temperature of a device that can; returns what is set, kelvin.

        Raises:
            OutOfRange: beyond the limit.
        """
        self.guard.temperature(kelvin)
        return self.call(lambda device: device.set_temperature(float(kelvin)))

    def temperature_k(self) -> float:
        """Chip temperature, kelvin; raises `ProtocolViolation` where it cannot be one."""
        kelvin = self.call(lambda device: device.temperature())
        if not 0 <= kelvin <= HOTTEST_K:
            raise ProtocolViolation(f"a chip temperature of {kelvin:g} K cannot be", device=self.address)
        return kelvin

    def close(self) -> None:
        """Outputs off, wire closed, ownership given up; calling it again does nothing.

        Raises:
            DeviceError: outputs were on, and that they are off could not be confirmed.
        """
        if self._closed:
            return
        with uninterrupted():
            try:
                if self._outputs.armed or self.dialect.outputs_on:
                    self.disarm()
            finally:
                self._closed = True
                self._outputs.rest()
                self._outputs.leave_signals()
                self.dialect.close()
                self._leave_accounts()
                if self._lock is not None:
                    self._lock.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            try:
                self.close()
            except (KeyboardInterrupt, SystemExit):  # it came before signals were held
                self.close()
                raise
        except DeviceError as error:
            if value is None:
                raise
            value.add_note(str(error))
            if not isinstance(value, Exception):  # an exit shows no notes
                _LOG.error("%s", error)

    def _leave_accounts(self) -> None:
        if self._life is not None:
            self._life.flush()
            self._life.close()
            if self._copied and (spent := self.guard.all_spent):
                accounts.copied(self.info.chip, spent)

    def _leave_old_trip(self, status: Status, clear_trip: bool) -> None:
        """A trip that only says that the last host went away ends with the next one; others want a person."""
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

    def _set_limits(self) -> None:
        """Sets our limits in the device, too; what it says is in force must not be beyond them."""
        wanted = self.guard.limits.record()
        said = self.dialect.set_limits(wanted)
        for name, value in asdict(wanted).items():
            if not 0 < getattr(said, name) <= value * (1 + watchdog.ROUNDING):
                text = f"{name} = {value:g} was set, the device says {getattr(said, name):g} holds"
                raise ProtocolViolation(text, device=self.address, todo="Its firmware does not keep to limits")

    def _check(self) -> None:
        if self._closed:
            raise LinkLost("the device was closed", device=self.address)
        if self._outputs.lapsed is not None:
            lapsed, self._outputs.lapsed = self._outputs.lapsed, None
            raise lapsed
        if self._outputs.failure is not None:
            raise self._outputs.failure
        now = time.monotonic()
        if self._lock is not None and now - self._owner_checked > OWNER_CHECK_S:
            self._owner_checked = now
            try:
                self._lock.check()
            except Busy:
                if self._outputs.armed:
                    self._outputs.safe()
                raise

    def _beat(self) -> None:
        with self._mutex:
            if self._closed:
                return
            self._check()
            self._outputs.told(lambda device: device.heartbeat())

    def _at_exit(self) -> None:
        try:
            self.close()
        except DeviceError as error:
            _LOG.error("%s", error)
