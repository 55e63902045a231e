"""One name per physical device, whatever the spelling of its address: what locks go by.

`serial:/dev/x`, a link to it and `visa:ASRL/dev/x::INSTR` are one port; `localhost`, `127.0.0.1` and this machine's
own addresses are one host; `COM3` and `ASRL3` are one port; the standard doors of a network instrument (VXI-11 `inst0`,
HiSLIP `hislip0`, SCPI sockets 5024 and 5025) are one instrument. Other ports of a host are other devices: what sits
there may be a server of many.
"""

from __future__ import annotations

import contextlib
import ipaddress
import re
import socket
import time
from urllib.parse import urlsplit

from pyvisa.rname import InvalidResourceName, ResourceName, to_canonical_name
from serial.tools import list_ports

from drivers.errors import LinkTimeout
from drivers.transport import within
from firmware_specs import platform

RESOLVE_S = 2.0
LOCAL = "this-host"
_COM = re.compile(r"(?:\\\\\.\\|//\./)?com(\d+):?", re.IGNORECASE)
_DOORS = re.compile(r"(?:inst0|hislip0(?:,4880)?)?", re.IGNORECASE)
_HISLIP_PORT = re.compile(r"hislip0,(\d+)", re.IGNORECASE)
_SCPI_PORTS = (5024, 5025)
_WRAPPERS = ("spy", "alt")


def device_name(address: str) -> str:
    """The same text for every way to write the address of one device.

    Args:
        address: `serial:...`, `visa:...`, or anything else, which is taken as it is.
    """
    scheme, _, rest = address.partition(":")
    if scheme == "visa":
        return _visa(rest)
    return _serial(rest) if scheme == "serial" else address


def _serial(target: str) -> str:
    scheme, found, rest = target.partition("://")
    if not found:
        return _port(target.partition("?")[0])
    scheme = scheme.lower()  # as pyserial takes it
    if scheme in _WRAPPERS:
        return _serial(rest.partition("?")[0])
    if scheme == "hwgrep":
        ports = sorted(str(port.device) for port in list_ports.grep(rest.partition("&")[0]))
        return _port(ports[0]) if ports else target
    if scheme in ("socket", "rfc2217"):
        with contextlib.suppress(ValueError):
            parts = urlsplit(target)
            return _network(parts.hostname or "", parts.port or 0)
    return target.partition("?")[0]


def _port(port: str) -> str:
    """A serial port: by its number where Windows numbers it, else by the device behind its node."""
    if com := _COM.fullmatch(port):
        return f"COM{int(com[1])}"
    return platform.port_device(port)


def _visa(resource: str) -> str:
    try:
        parsed = ResourceName.from_string(resource)
    except (InvalidResourceName, ValueError):
        return f"visa:{resource.lower()}"
    kind, of = type(parsed).interface_type, vars(parsed)
    if kind == "ASRL":
        board = str(of["board"])
        return f"COM{int(board)}" if board.isdigit() else _port(board)
    if kind == "TCPIP" and "host_address" in of:
        return _instrument(str(of["host_address"]), str(of.get("port", "")), str(of.get("lan_device_name", "")))
    if kind == "USB" and "serial_number" in of:
        ids = (_number(str(of["manufacturer_id"])), _number(str(of["model_code"])))
        return f"usb {ids[0]}:{ids[1]}:{str(of['serial_number']).lower()}"
    return f"visa:{to_canonical_name(resource).lower()}"


def _instrument(host: str, port: str, name: str) -> str:
    """An instrument on the network: by its host where it is met at a standard door."""
    if other := _HISLIP_PORT.fullmatch(name):
        port = other[1] if int(other[1]) != 4880 else port
    if port.isdigit() and int(port) not in _SCPI_PORTS:
        return _network(host, int(port))
    if port or _DOORS.fullmatch(name):
        return f"tcp {_host(host)}"
    return f"tcp {_host(host)} {name.lower()}"


def _network(host: str, port: int) -> str:
    return f"tcp {_host(host)} {port}"


def _host(name: str) -> str:
    """A host: this one by one name, others by their lowest address; by name where it has none."""
    plain = name.strip("[]").rstrip(".").lower()
    try:
        found = within(
            time.monotonic() + RESOLVE_S,
            lambda: socket.getaddrinfo(plain, None, type=socket.SOCK_STREAM),
            lambda _: None,
            "resolving the host",
            name,
        )
    except (OSError, UnicodeError, LinkTimeout):
        return plain
    addresses = sorted({_address(str(entry[4][0])) for entry in found}, key=lambda a: (a.version, int(a)))
    if any(address.is_loopback or address.is_unspecified or _is_ours(address) for address in addresses):
        return LOCAL
    return str(addresses[0]) if addresses else plain


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    address = ipaddress.ip_address(text.partition("%")[0])
    return getattr(address, "ipv4_mapped", None) or address


def _is_ours(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    """Is it an address of this machine? One can be bound to, and no other."""
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    with contextlib.suppress(OSError), socket.socket(family, socket.SOCK_DGRAM) as probe:
        probe.bind((str(address), 0))
        return True
    return False


def _number(text: str) -> str:
    try:
        return f"{int(text, 0):04x}"
    except ValueError:
        return text.lower()
