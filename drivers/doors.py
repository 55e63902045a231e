"""Kinds of wire, the registry's `transports`: how their addresses are read, and how one is opened.

A device's address is `SCHEME:TARGET?OPTION=VALUE`; the scheme is the name of a door. `dialect=NAME` among the options
names what is spoken on it, one of the registry's `dialects`, in place of what is usual there.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from urllib.parse import parse_qsl, urlencode

from drivers.device_info import DeviceInfo
from drivers.errors import BadAddress
from drivers.lease import LEASE_S
from drivers.port_opening import ControlLines
from drivers.serial_port import SerialPort
from drivers.session import WATCHDOG_S
from drivers.transport import Transport
from drivers.visa import VisaSession
from firmware_specs.addresses import split_options
from firmware_specs.refusals import close
from firmware_specs.registry import UnknownName, find, known, names, scheme_of

FORMS = "serial:PORT?baud=N (any pyserial URL), visa:RESOURCE (any VISA resource name)"
BAUD = 115200
BITS_A_BYTE = 10
HAS_NO_BAUD = re.compile(r"://|/pts/|ttyACM|usbmodem")
OPEN_S = 5.0
"""Boards that start anew when their port opens are deaf for up to three seconds."""
SCPI, FRAMES = "scpi", "frames"
NO_DEVICES = ("reference", "emulator", "rack", "bench")
"""Schemes of counterparts that are no single device behind a wire."""


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
        scheme: Name of a door.
        target: Port, URL, resource name: what the door opens.
        baud: Bits per second of a serial port; None where nothing is said.
        dialect: What is spoken there.
        options: Of a door of one's own, by name.
    """

    scheme: str
    target: str
    baud: int | None = None
    dialect: str = FRAMES
    options: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))

    @classmethod
    def parse(cls, address: str) -> Address:
        """From text; raises `BadAddress` with the forms there are."""
        scheme, _, rest = scheme_of(address)
        try:
            door: Door = find("transports", scheme)
        except UnknownName as error:
            if known("transports", scheme):
                raise BadAddress(f"{address!r}: {error}") from error
            near = "" if meant(address) else f" {close(scheme, names('transports'), 'schemes')}"
            raise BadAddress(f"{address!r} is no device address.{meant(address)} There are {FORMS}{near}") from error
        if not rest:
            raise BadAddress(f"{address!r} is no device address. There are {FORMS}")
        where = door.parse(address, scheme, rest)
        try:
            find("dialects", where.dialect)
        except UnknownName as error:
            raise BadAddress(f"{address!r}: {error}") from error
        return where


@dataclass(frozen=True)
class Door:
    """A kind of wire.

    Attributes:
        open: `f(where, options, deadline) -> Transport` (`drivers.transport`); nothing is sent yet.
        dialect: What is usually spoken on it.
        takes: Options of its addresses, beside `dialect`.
        read: `f(address, scheme, rest) -> Address`; by default target and options.
        byte_s: Seconds that a byte takes on it, for deadlines and the cutting of requests; by default none.
        summary: One line for `hil list`.
    """

    open: Callable[[Address, Options, float], Transport]
    dialect: str = FRAMES
    takes: tuple[str, ...] = ()
    read: Callable[[str, str, str], Address] | None = None
    byte_s: Callable[[Address], float] = lambda where: 0.0
    summary: str = ""

    def parse(self, address: str, scheme: str, rest: str) -> Address:
        """An address of this kind, by its own reader where it has one; raises `BadAddress`."""
        if self.read is not None:
            return self.read(address, scheme, rest)
        target, options = options_of(address, rest)
        if wrong := sorted(set(options) - {*self.takes, "dialect"}):
            raise BadAddress(
                f"{address!r}: unknown option {', '.join(wrong)}; {close(wrong[0], [*self.takes, 'dialect'])}"
            )
        dialect = options.pop("dialect", self.dialect)
        return Address(scheme, target, dialect=dialect, options=MappingProxyType(options))


def is_wire(address: str) -> bool:
    """Whether an address is of a device behind a wire; nothing is loaded, unless a person named it by its place."""
    scheme, found, _ = scheme_of(address)
    if ":" in scheme:
        try:
            return find("transports", scheme) is not None
        except UnknownName:
            return False
    return found and scheme not in NO_DEVICES and known("transports", scheme)


def options_of(address: str, rest: str) -> tuple[str, dict[str, str]]:
    """Target and options behind a scheme.

    Raises:
        BadAddress: an option is given twice.
    """
    target, query = split_options(rest)
    pairs = parse_qsl(query, keep_blank_values=True)
    options = dict(pairs)
    if twice := sorted({name for name, _ in pairs if [key for key, _ in pairs].count(name) > 1}):
        raise BadAddress(f"{address!r}: {', '.join(twice)} is given twice; which one is meant?")
    return target, options


def meant(address: str) -> str:
    """What an address without a scheme probably is, as a sentence with a leading blank; empty if nothing known."""
    if address.startswith("/") or "://" in address:
        return f" Did you mean serial:{address}?"
    return f" Did you mean visa:{address}?" if "::" in address else ""


def _read_serial(address: str, scheme: str, rest: str) -> Address:
    target, options = options_of(address, rest)
    baud, dialect = options.pop("baud", None), options.pop("dialect", FRAMES)
    if baud is not None and not (baud.isascii() and baud.isdigit() and len(baud) < 10 and int(baud)):
        raise BadAddress(f"{address!r}: baud is {baud!r}, a positive integer is needed")
    if options and "://" not in target:
        raise BadAddress(f"{address!r}: unknown option {', '.join(sorted(options))}; a port takes baud and dialect")
    url = f"{target}?{urlencode(options)}" if options else target
    return Address(scheme, url, None if baud is None else int(baud), dialect)


def _read_visa(address: str, scheme: str, rest: str) -> Address:
    resource, named, dialect = rest.partition("?dialect=")
    return Address(scheme, resource, dialect=dialect if named else SCPI)


def _open_serial(where: Address, options: Options, deadline: float) -> Transport:
    port = SerialPort(where.target, where.baud or BAUD, deadline=deadline, lines=options.lines)
    if options.settle_after_open_s:
        time.sleep(options.settle_after_open_s)
        port.waiting()
    return port


def _byte_s(where: Address) -> float:
    """A baud rate counts where it is said, or where the port has one: a USB board's and a terminal's mean nothing."""
    port = where.target if "://" in where.target else os.path.realpath(where.target)
    if port.lower().startswith("socket://") or (where.baud is None and HAS_NO_BAUD.search(port)):
        return 0.0
    return BITS_A_BYTE / (where.baud or BAUD)


def _open_visa(where: Address, options: Options, deadline: float) -> Transport:
    return VisaSession(where.target, options.visa_library, deadline=deadline)


SERIAL = Door(
    _open_serial,
    read=_read_serial,
    byte_s=_byte_s,
    summary="A serial port, or any pyserial URL: `serial:PORT?baud=N`.",
)
VISA = Door(_open_visa, SCPI, read=_read_visa, summary="A VISA resource: `visa:RESOURCE`.")
