"""The outputs of an open device: on after the watchdog, off when the device says so, and never on without an owner.

Off is what the device's flags and its STATUS say; that a request to switch off was answered is not enough. On is
assumed from the moment it is asked for. While they are on, a heartbeat feeds the device's watchdog for as long as the
owner's lease holds; when it is over, the heartbeat's thread switches off in the owner's place.
"""

from __future__ import annotations

import atexit
import logging
import math
import threading
import time
from collections.abc import Callable
from typing import TypeVar

from drivers import watchdog
from drivers.device_info import DeviceInfo
from drivers.dialect import MAY_BE_ON, Dialect
from drivers.errors import DeviceError, LeaseOver, LinkError, OutOfRange, OutputsUncertain, ProtocolViolation
from drivers.heartbeat import Heartbeat
from drivers.lease import Lease
from drivers.portions import Portions
from drivers.safety import SignalWatch, uninterrupted
from firmware_specs.codes import Capability, State
from firmware_specs.messages import Status

T = TypeVar("T")
SAFE_S = 0.8
_LOG = logging.getLogger(__name__)


class Outputs:
    """Switches outputs on and off, and looks after them meanwhile.

    Args:
        dialect: The verbs, over an open session.
        info: What the device can.
        mutex: Held over every verb.
        lease: The owner's.
        watchdog_s: The device turns its outputs off this long after the last sign of life of this process.

    Attributes:
        armed: Outputs are on, or may be.
        lapsed: What to tell the owner when he comes back after his lease was over.
        watchdog_s: The watchdog, as asked for, or as the device says it is in force.
    """

    def __init__(
        self,
        dialect: Dialect,
        info: DeviceInfo,
        mutex: threading.RLock,
        lease: Lease,
        watchdog_s: float,
        portions: Portions,
    ) -> None:
        self.armed = False
        self.lapsed: LeaseOver | None = None
        self.watchdog_s = self._asked_s = watchdog_s
        self._dialect, self._info, self._mutex, self._lease = dialect, info, mutex, lease
        self._device, self._portions = dialect.address, portions
        self._signals = SignalWatch()
        self._heartbeat: Heartbeat | None = None
        self._traffic = time.monotonic()

    @property
    def watched(self) -> bool:
        """The device can turn its outputs off by itself."""
        return self._info.can(Capability.WATCHDOG)

    @property
    def failure(self) -> DeviceError | None:
        """Why the heartbeat ended."""
        return None if self._heartbeat is None else self._heartbeat.failure

    @property
    def last_line(self) -> str:
        """What stands between these outputs and a dead link: what this device can."""
        if self.watched:
            return f"the device's watchdog turns them off {self.watchdog_s:g} s after the last sign of life"
        return "the device has no watchdog: check it"

    def set_watchdog(self) -> None:
        """Sets the watchdog; raises `ProtocolViolation` where what is in force is not what was asked for."""
        said_s = self.told(lambda device: device.set_watchdog(self._asked_s))
        self.watchdog_s = self._portions.watchdog_s = watchdog.in_force(self._asked_s, said_s, self._device)

    def on(self, beat: Callable[[], None], at_exit: Callable[[], None]) -> None:
        """Outputs on; the watchdog is set.

        Args:
            beat: Sends one heartbeat.
            at_exit: Called at exit of the interpreter, should it come to that.

        Raises:
            ProtocolViolation: what the device says of its watchdog or its outputs does not fit; they are off again.
        """
        self._signals.start()
        atexit.register(at_exit)
        self._at_exit = at_exit
        self.armed = True  # before the request: if its answer is lost, outputs may be on
        said_s = self.told(lambda device: device.arm())
        try:
            if self.watched:
                self.watchdog_s = watchdog.in_force(self._asked_s, said_s, self._device)
            if self._dialect.outputs_on is False:
                raise ProtocolViolation("the device says its outputs are off after ARM", device=self._device)
        except ProtocolViolation:
            self.off()
            raise
        if self._heartbeat is None:
            quiet_s = self.watchdog_s / 4 if self.watched else math.inf
            self._heartbeat = Heartbeat(beat, lambda: self._traffic, quiet_s, self._lease, self._lapse)

    def off(self) -> None:
        """Outputs off, confirmed; raises `OutputsUncertain`."""
        with uninterrupted():
            self.rest()
            try:
                self.safe()
                self.armed = False
            finally:
                self.leave_signals()

    def safe(self) -> None:
        """Tells the device to switch off and looks whether it has.

        Raises:
            OutputsUncertain: it did not answer, or said that they are on.
        """
        try:
            self._dialect.safe(SAFE_S + self._portions.excess_s)
        except DeviceError as error:
            raise OutputsUncertain(
                f"that the outputs are off could not be confirmed ({error.what}): they may be on; {self.last_line}",
                device=self._device,
                last=error.last,
            ) from error

    def seen_off(self, status: Status) -> Status:
        """Checks that a device which should have its outputs off has them off.

        Raises:
            OutputsUncertain: it says that they are on.
        """
        if status.state is State.ARMED or self._dialect.outputs_on:
            flags = {True: "on", False: "off", None: "not told"}[self._dialect.outputs_on]
            raise OutputsUncertain(
                f"the outputs should be off, the device says: state {status.state.name}, outputs {flags}",
                device=self._device,
                todo=MAY_BE_ON,
            )
        self.armed = False
        return status

    def told(self, action: Callable[[Dialect], T]) -> T:
        """Runs a verb; an error that may leave outputs on says what this device does about it."""
        try:
            return action(self._dialect)
        except LinkError as error:
            if self.armed:
                error.add_note(f"Outputs were on: {self.last_line}.")
            raise
        finally:
            self._traffic = time.monotonic()

    def rest(self) -> None:
        """Ends the heartbeat."""
        if self._heartbeat is not None:
            self._heartbeat.stop()
            self._heartbeat = None

    def leave_signals(self) -> None:
        """Gives signals and exit of the interpreter back."""
        self._signals.stop()
        if (registered := getattr(self, "_at_exit", None)) is not None:
            atexit.unregister(registered)

    def _lapse(self) -> bool:
        """The owner is gone: switches off in his place. False where he came back meanwhile."""
        with self._mutex:
            if not self._lease.over:
                return False
            if not self.armed:
                return True
            said, cause = "outputs were switched off, confirmed", None
            try:
                self.safe()
                self.armed = False
            except OutputsUncertain as error:
                said, cause = error.what, error
            self.lapsed = LeaseOver(
                f"no verb came for {self._lease.seconds:g} s: {said}",
                device=self._device,
                todo="The program hung or forgot the session; work that takes longer says so "
                "(`with session.busy(seconds)`), or gets a larger lease_s. Nothing is armed again by itself",
            )
            self.lapsed.__cause__ = cause
            _LOG.error("%s", self.lapsed)
            return True


def no_watchdog(device: str) -> OutOfRange:
    """The refusal of a device that nobody switches off when this computer dies."""
    return OutOfRange(
        "the device has no watchdog: if this computer dies, its outputs stay on",
        device=device,
        todo="If that is acceptable, say so by name: allow_no_watchdog = true in the bench file",
    )
