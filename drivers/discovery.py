"""What answers on this machine's ports, and who owns it: nobody's property is touched.

Instruments that the machine lists are asked `*IDN?` and nothing else. A serial port may be anybody's: a printer, a
UPS, a door. One is opened only where it was named, or where its USB identity is one that was said to be a crossbar's. A
port that is in use is named, never opened.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import pyvisa
from pyvisa.constants import InterfaceType
from serial.tools import list_ports

from drivers import answers, flight_log
from drivers.connect import dialect_over, open_wire
from drivers.device_kind import is_served
from drivers.doors import BAUD, SCPI, Address, Options
from drivers.errors import Busy, CorruptFrame, DeviceError, LinkLost, LinkTimeout, ProtocolViolation
from drivers.library_errors import LIBRARY_ERRORS, translate
from drivers.library_warnings import unheard
from drivers.lock import DeviceLock, owner_of
from drivers.recording import Recorded
from firmware_specs import platform
from firmware_specs.addresses import split_options
from firmware_specs.printable import printable

PROBE_S = 1.0
PLAIN = Options(timeout_s=PROBE_S, open_timeout_s=PROBE_S)
MOST_NAMED = 4
"""Programs that have a port open, in its line."""
MAX_IDENTITY = 1024
ALONE = "no byte came; a server may take one client at a time: is another program connected to it?"
MOST_SHOWN = 160
State = Literal["free", "in use", "silent", "damaged", "refused", "not opened"]


@dataclass(frozen=True)
class Found:
    """One address.

    Attributes:
        address: As `--device` takes it.
        state: `free` (it answers), `in use`, `silent` (opened, no byte came), `damaged` (bytes came that are no
            answer), `refused` (cannot be opened), or `not opened` (a serial port that nobody named).
        who: What an instrument answers to `*IDN?`; of a crossbar vendor, model, serial number and firmware; else what
            the port says of itself and why there is no answer.
        owner: Who has it, where it is in use.
    """

    address: str
    state: State
    who: str = ""
    owner: str = ""


def discover(
    addresses: Sequence[str] = (),
    *,
    known_usb: Collection[str] = (),
    probe: bool = False,
    lan: bool = False,
    probe_s: float = PROBE_S,
    visa_library: str = "@py",
    options: Mapping[str, Options] | None = None,
) -> list[Found]:
    """Lists every serial port, USB and GPIB instrument of this machine, and some addresses besides.

    A serial port that is opened is asked who it is; that switches the outputs of a crossbar device off.

    Args:
        addresses: Further device addresses, looked at because they were named: ports, sockets, HiSLIP.
        known_usb: USB identities of crossbar boards, `VVVV:PPPP`; ports with one of them are opened, too.
        probe: Named override: open all other serial ports as well.
        lan: Broadcast for instruments on the network, too.
        probe_s: How long one may take to answer.
        visa_library: VISA library as pyvisa names it; any other than pyvisa-py is asked for its own list.
        options: How some of the addresses are opened, as a bench file says.
    """
    said_of = options or {}
    known = {identity.upper() for identity in known_usb}
    found: dict[str, Found | str] = {}
    for port in _ports():
        words, usb = _port_words(port), _usb(port)
        address = f"serial:{port.device}"
        wanted = probe or usb in known or address in {split_options(a)[0] for a in addresses}
        found[address] = words if wanted else Found(address, "not opened", words)
    try:
        names = _visa_resources(lan) if visa_library == "@py" else _listed_by(visa_library)
        found |= {f"visa:{name}": "" for name in names}
    except DeviceError as error:  # what else there is can be looked at all the same
        everything = f"visa:?* of {printable(visa_library, 80)}"
        found[everything] = Found(everything, "refused", _with("", _said(error)))
    for address in addresses:
        said = found.pop(split_options(address)[0], "")
        found[address] = said if isinstance(said, str) else said.who
    plain = Options(timeout_s=probe_s, open_timeout_s=probe_s, visa_library=visa_library)
    return [said if isinstance(said, Found) else look_at(a, said, said_of.get(a, plain)) for a, said in found.items()]


def look_at(address: str, words: str = "", options: Options = PLAIN) -> Found:
    """One address: who owns it, else who answers there; whatever is there, the others are looked at all the same."""
    try:
        return _look_at(address, words, options)
    except (DeviceError, OSError) as error:
        return Found(address, "refused", _with(words, _said(error)))
    except Exception as error:  # a stranger's answer, or a library's defect, is one line of the table
        return Found(address, "refused", _with(words, f"looking failed with {type(error).__name__}: {error}"))


def _look_at(address: str, words: str, options: Options) -> Found:
    where = Address.parse(address)
    owner = owner_of(address)
    if owner is not None:
        return Found(address, "in use", words, printable(str(owner)))
    users = platform.port_users(where.target) if where.scheme == "serial" else []
    if users:
        more = f" and {len(users) - MOST_NAMED} more" if len(users) > MOST_NAMED else ""
        return Found(address, "in use", words, ", ".join(users[:MOST_NAMED]) + more)
    try:
        with DeviceLock(address):
            return _ask(address, where, words, options)
    except Busy as error:
        return Found(address, "in use", words, error.owner)


def _ask(address: str, where: Address, words: str, options: Options) -> Found:
    """Opens it and asks; raises what the opening raises."""
    wire = Recorded(open_wire(where, options))
    probe_s = options.open_timeout_s
    try:
        who = _identified(wire, probe_s) if where.dialect == SCPI else _identity(wire, where, options)
        return Found(address, "free", printable(who, MOST_SHOWN))
    except DeviceError as error:
        came = b"".join(entry.data for entry in wire.recorder.entries if entry.way == "<")
        if isinstance(error, LinkLost) and not came:
            return Found(address, "refused", _with(words, _said(error)))
        if not came:
            return Found(address, "silent", _with(words, ALONE) if is_served(address) else words)
        log = flight_log.keep(wire.recorder, address)
        said = _damaged(where, came, error) + (f"; the traffic is in {log}" if log else "")
        return Found(address, "damaged", _with(words, said))
    finally:
        wire.close()


def _identified(wire: Recorded, probe_s: float) -> str:
    """What an instrument answers to `*IDN?`, and nothing else is asked."""
    until = time.monotonic() + probe_s
    wire.write(b"*IDN?\n", until)
    line = b""
    while not line.endswith(b"\n") or answers.is_prompt(line):
        line = line if not line.endswith(b"\n") else b""
        if len(line) >= MAX_IDENTITY:
            raise CorruptFrame(f"{len(line)} bytes came without an end", device=wire.address, last=line)
        line += wire.read_piece(b"\n", MAX_IDENTITY, until)
    if not (said := answers.line(line)):
        raise ProtocolViolation("*IDN? was answered with an empty line", device=wire.address, last=line)
    return said


def _identity(wire: Recorded, where: Address, options: Options) -> str:
    dialect = dialect_over(wire, where, options)
    dialect.open(options.open_timeout_s)
    identity = dialect.identify()
    return f"{identity.vendor} {identity.model}, serial number {identity.serial}, firmware {identity.firmware}"


def _damaged(where: Address, came: bytes, error: DeviceError) -> str:
    """What came, told from silence."""
    shown = printable(came, 40)
    if where.dialect == SCPI:
        return f"{len(came)} bytes came that are no answer to *IDN?: {shown}"
    if isinstance(error, LinkTimeout):
        speed = "" if "://" in where.target else f": another baud rate than {where.baud or BAUD}, or other firmware?"
        return f"{len(came)} bytes came that are no frame{speed} They begin with {shown}"
    return f"{len(came)} bytes came: {error.what}"


def _said(error: DeviceError | OSError) -> str:
    """What is wrong, and the next step; the address stands before it already."""
    if isinstance(error, DeviceError):
        return f"{error.what}. {error.todo}" if error.todo else error.what
    return str(error)


def _with(words: str, why: str) -> str:
    return printable(f"{words} ({why})".strip(), 4 * MOST_SHOWN)


def _ports() -> Iterable[list_ports.ListPortInfo]:
    return sorted(list_ports.comports(), key=lambda port: str(port.device))


def _usb(port: list_ports.ListPortInfo) -> str:
    """USB identity of a port; empty where it has none."""
    return "" if port.vid is None or port.pid is None else f"{port.vid:04X}:{port.pid:04X}"


def _port_words(port: list_ports.ListPortInfo) -> str:
    """What a port says of itself: whoever made the plug chose the text."""
    description = "" if port.description in (None, "n/a") else str(port.description)
    usb = _usb(port)
    parts = (
        description,
        f"USB {usb}" if usb else "",
        f"serial number {port.serial_number}" if port.serial_number else "",
    )
    return printable(", ".join(part for part in parts if part), MOST_SHOWN)


def _listed_by(library: str) -> list[str]:
    """Instruments that another VISA library knows, those its own tool was told of on the network among them.

    Raises:
        OutOfRange: it is not installed.
    """
    try:
        names = pyvisa.ResourceManager(library).list_resources("?*")
    except LIBRARY_ERRORS as error:
        raise translate(error, "listing instruments", f"VISA library {library}") from error
    return sorted({name for name in names if not name.upper().startswith("ASRL")})


def _visa_resources(lan: bool) -> list[str]:
    """USB and GPIB resources of pyvisa-py; of the network only where asked, since finding those means broadcasting."""
    from pyvisa_py.sessions import Session

    kinds = {InterfaceType.usb, InterfaceType.gpib} | ({InterfaceType.tcpip} if lan else set())
    names: list[str] = []
    with unheard():
        for (interface, _), session in Session.iter_valid_session_classes():
            if interface in kinds:
                with contextlib.suppress(Exception):  # a missing USB library is no reason to list nothing
                    names += session.list_resources()
    return sorted(set(names))
