"""Waiting for a device to come back, flashed anew or powered on again, so that a run can follow by itself."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager

from drivers.errors import DeviceError
from drivers.transport import Transport
from hil.conformance.conversation import Conversation, Failed
from hil.conformance.scpi.subject import ScpiSubject
from hil.counterparts.opening.wire import Protocol

PAUSE_S = 0.5
PATIENCE_S = 1.0


def boot_of(wire: Transport, protocol: Protocol = "serial") -> int:
    """Boot number of the device at a wire; raises `Failed` where it does not answer."""
    if protocol == "serial":
        return Conversation(wire, PATIENCE_S).sync().boot
    instrument = ScpiSubject(wire, PATIENCE_S)
    instrument.device_clear()
    return round(instrument.talk.number(":SYST:BOOT?"))


def come_back(
    open_wire: Callable[[], AbstractContextManager[Transport]],
    before: int | None,
    protocol: Protocol = "serial",
    *,
    pause: Callable[[float], None] = time.sleep,
) -> int:
    """Waits until the device has restarted, or was away and answers again.

    Args:
        open_wire: Opens a wire to it.
        before: Its boot number after the last run; None where it did not answer.
        protocol: What it speaks.
        pause: Waits so many seconds.

    Returns:
        The boot number it has now.
    """
    while True:
        try:
            with open_wire() as wire:
                boot = boot_of(wire, protocol)
        except (DeviceError, Failed):
            before = None  # it is away
        else:
            if boot != before:
                return boot
        pause(PAUSE_S)
