"""From an address to an open Crossbar: `serial:PORT?baud=N`, `visa:RESOURCE`, or a door of one's own (`doors`)."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from drivers import flight_log
from drivers.chip_ledger import ChipLedger
from drivers.crossbar import Crossbar
from drivers.dialect import Dialect
from drivers.doors import Address, Door, Options
from drivers.lock import DeviceLock
from drivers.recording import FlightRecorder, Recorded
from drivers.reopenable import Reopenable
from drivers.session import Session
from drivers.transport import Transport
from firmware_specs.registry import find


def connect(address: str, options: Options | None = None, recorder: FlightRecorder | None = None) -> Crossbar:
    """Takes the ownership of a device and opens it; outputs are off.

    Args:
        address: `serial:...` or `visa:...`.
        options: How; the defaults if not given.
        recorder: Keeps the traffic; a new one if not given.

    Raises:
        Busy: somebody owns it. DeviceError: it cannot be opened, or does not answer as it should.
    """
    chosen, where = options or Options(), Address.parse(address)
    lock = DeviceLock(address)
    try:
        wire = Recorded(open_wire(where, chosen), recorder)
    except BaseException:
        lock.release()
        raise
    try:
        session = Session(
            dialect_over(wire, where, chosen),
            lock=lock,
            limits=chosen.limits,
            watchdog_s=chosen.watchdog_s,
            lease_s=chosen.lease_s,
            expected=chosen.expected,
            allow_no_watchdog=chosen.allow_no_watchdog,
            clear_trip=chosen.clear_trip,
            open_timeout_s=chosen.open_timeout_s,
            allow_long_requests=chosen.allow_long_requests,
            ledger=ChipLedger,
        )
    except BaseException as error:
        flight_log.tell(error, {address: wire.recorder})
        wire.close()
        lock.release()
        raise
    return Crossbar(session, wire.recorder)


@contextmanager
def bare_wire(address: str, options: Options | None = None) -> Iterator[Reopenable]:
    """Owns a device and opens its wire alone, without a session: for tools that speak frames or messages themselves.

    Raises:
        Busy: somebody owns it. DeviceError: it cannot be opened.
    """
    lock = DeviceLock(address)
    try:
        wire = Reopenable(lambda: open_wire(Address.parse(address), options or Options()))
        try:
            yield wire
        finally:
            wire.close()
    finally:
        lock.release()


def dialect_over(wire: Transport, where: Address, options: Options) -> Dialect:
    """The protocol an address speaks, over an open wire."""
    found: Dialect = find("dialects", where.dialect)(wire, where, options)
    return found


def open_wire(where: Address, options: Options) -> Transport:
    """The bare wire of an address; nothing is sent yet."""
    door: Door = find("transports", where.scheme)
    return door.open(where, options, time.monotonic() + options.open_timeout_s)
