"""From an address to an open Crossbar: `serial:PORT?baud=N` (any pyserial URL) and `visa:RESOURCE`."""

from __future__ import annotations

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
from drivers.owner_file import user_name
from drivers.port_opening import ControlLines
from drivers.recording import FlightRecorder, Recorded
from drivers.reopenable import Reopenable
from drivers.scpi_dialect import Scpi
from drivers.scpi_link import ScpiLink
from drivers.serial_port import SerialPort
from drivers.session import WATCHDOG_S, Session
from drivers.transport import Transport
from drivers.visa import VisaSession
from firmware_specs.addresses import split_options

FORMS = "serial:PORT?baud=N (any pyserial URL), visa:RESOURCE (any VISA resource name)"
BAUD = 115200
BITS_A_BYTE = 10
OPEN_S = 5.0
"""Boards that start anew when their port opens are deaf for up to three seconds."""


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
        open_timeout_s: By when the port must be open, and by when the first answer must be there after that.
        settle_after_open_s: Wait so long after the opening, and leave unread what came: a board that starts anew.
        lines: What becomes of DTR and RTS of a serial port.
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
    open_timeout_s: float = OPEN_S
    settle_after_open_s: float = 0.0
    lines: ControlLines = field(default_factory=ControlLines)
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
        target, query = split_options(rest)
        pairs = parse_qsl(query, keep_blank_values=True)
        options = dict(pairs)
        if twice := sorted({name for name, _ in pairs if [key for key, _ in pairs].count(name) > 1}):
            raise BadAddress(f"{address!r}: {', '.join(twice)} is given twice; which one is meant?")
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
    if where.scheme == "visa":
        return Scpi(ScpiLink(wire), options.timeout_s)
    byte_s = 0.0 if "://" in where.target else BITS_A_BYTE / where.baud
    return Framed(FramedLink(wire, owner=whoami()), options.timeout_s, byte_s)


def whoami() -> str:
    """Who asks, for the device's records."""
    return f"{user_name()}@{socket.gethostname()} process {os.getpid()}"


def open_wire(where: Address, options: Options) -> Transport:
    """The bare wire of an address; nothing is sent yet."""
    deadline = time.monotonic() + options.open_timeout_s
    if where.scheme == "visa":
        return VisaSession(where.target, options.visa_library, deadline=deadline)
    port = SerialPort(where.target, where.baud, deadline=deadline, lines=options.lines)
    if options.settle_after_open_s:
        time.sleep(options.settle_after_open_s)
        port.waiting()
    return port
