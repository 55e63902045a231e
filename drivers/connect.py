"""From an address to an open Crossbar: `serial:PORT?baud=N` (any pyserial URL) and `visa:RESOURCE`."""

from __future__ import annotations

import getpass
import os
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, urlencode

from drivers import flight_log
from drivers.chip_ledger import ChipLedger
from drivers.crossbar import Crossbar
from drivers.device_info import DeviceInfo
from drivers.dialect import Dialect
from drivers.errors import BadAddress
from drivers.framed import Framed
from drivers.lease import LEASE_S
from drivers.link import FramedLink
from drivers.lock import DeviceLock
from drivers.recording import FlightRecorder, Recorded
from drivers.reopenable import Reopenable
from drivers.scpi_dialect import Scpi
from drivers.scpi_link import ScpiLink
from drivers.serial_port import SerialPort
from drivers.session import WATCHDOG_S, Session
from drivers.transport import Transport
from drivers.visa import VisaSession

FORMS = "serial:PORT?baud=N (any pyserial URL), visa:RESOURCE (any VISA resource name)"
BAUD = 115200
BITS_A_BYTE = 10


def _any_device(info: DeviceInfo) -> None:
    """Whoever answers will do."""


@dataclass(frozen=True)
class Options:
    """How a device is opened.

    Attributes:
        limits: Limits by source name, in addition to the device's own.
        watchdog_s: The device turns its outputs off this long after the last sign of life of this process.
        lease_s: The session turns them off this long after the last verb of its owner.
        expected: Raises where this is not the device that was meant: asked before anything is set or cleared.
        allow_no_watchdog: Named override for a device that has none.
        allow_long_requests: Named override: what cannot be cut may hold up switching off for more than half a second.
        clear_trip: Named override: a person has looked at a device that tripped for another reason than its host.
        timeout_s: Deadline of a transaction beyond what the device itself needs.
        visa_library: VISA library as pyvisa names it.
    """

    limits: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    watchdog_s: float = WATCHDOG_S
    lease_s: float = LEASE_S
    expected: Callable[[DeviceInfo], None] = _any_device
    allow_no_watchdog: bool = False
    allow_long_requests: bool = False
    clear_trip: bool = False
    timeout_s: float = 10.0
    visa_library: str = "@py"


@dataclass(frozen=True)
class Address:
    """A parsed address.

    Attributes:
        scheme: `serial` or `visa`.
        target: Port, URL or resource name.
        baud: Bits per second of a serial port.
    """

    scheme: str
    target: str
    baud: int = BAUD

    @classmethod
    def parse(cls, address: str) -> Address:
        """From text; raises `BadAddress` with the forms there are."""
        scheme, _, rest = address.partition(":")
        if scheme == "visa" and rest:
            return cls(scheme, rest)
        if scheme != "serial" or not rest:
            raise BadAddress(f"{address!r} is no device address.{meant(address)} There are {FORMS}")
        target, _, query = rest.partition("?")
        options = dict(parse_qsl(query, keep_blank_values=True))
        baud = options.pop("baud", str(BAUD))
        if not (baud.isascii() and baud.isdigit() and len(baud) < 10 and int(baud)):
            raise BadAddress(f"{address!r}: baud is {baud!r}, a positive integer is needed")
        if options and "://" not in target:
            raise BadAddress(f"{address!r}: unknown option {', '.join(sorted(options))}; a port takes baud")
        return cls(scheme, f"{target}?{urlencode(options)}" if options else target, int(baud))


def meant(address: str) -> str:
    """What an address without a scheme probably is, as a sentence with a leading blank; empty if nothing known."""
    if address.startswith("/") or "://" in address:
        return f" Did you mean serial:{address}?"
    return f" Did you mean visa:{address}?" if "::" in address else ""


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
    if where.scheme == "visa":
        return Scpi(ScpiLink(wire), options.timeout_s)
    byte_s = 0.0 if "://" in where.target else BITS_A_BYTE / where.baud
    return Framed(FramedLink(wire, owner=whoami()), options.timeout_s, byte_s)


def whoami() -> str:
    """Who asks, for the device's records."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        user = "?"
    return f"{user}@{socket.gethostname()} process {os.getpid()}"


def open_wire(where: Address, options: Options) -> Transport:
    """The bare wire of an address; nothing is sent yet."""
    deadline = time.monotonic() + min(5.0, options.timeout_s)
    if where.scheme == "visa":
        return VisaSession(where.target, options.visa_library, deadline=deadline)
    return SerialPort(where.target, where.baud, deadline=deadline)
