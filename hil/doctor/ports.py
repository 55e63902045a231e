"""How devices are reached: VISA libraries, serial ports, USB instruments. Lists and permissions; nothing is opened."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from firmware_specs import platform
from hil.doctor.finding import Finding

WAYS = {
    "TCPIP SOCKET": ("visa:TCPIP...::SOCKET", ""),
    "TCPIP INSTR": ("visa:TCPIP...::INSTR (HiSLIP, VXI-11)", ""),
    "ASRL INSTR": ("visa:ASRL...", "python -m pip install pyserial"),
    "USB INSTR": ("visa:USB...", "python -m pip install pyusb"),
    "GPIB INTFC": ("visa:GPIB... of an adapter that needs a driver", "python -m pip install gpib-ctypes"),
}
"""Kinds of resources of pyvisa-py: the addresses they stand for, and what a missing library is had with."""
TMC = ("fe", "03")
"""USB interface class and subclass of instruments (USBTMC)."""
TREE = Path("/sys/bus/usb/devices")
"""Where Linux lists them."""


def visa() -> Iterator[Finding]:
    """Libraries of vendors, and what pyvisa-py can reach."""
    from pyvisa.ctwrapper.highlevel import IVIVisaLibrary
    from pyvisa_py.highlevel import PyVisaLibrary

    vendors = [str(path) for path in IVIVisaLibrary.get_library_paths()]
    said = ", ".join(vendors) or "none: `visa:` addresses are served by pyvisa-py"
    yield Finding("VISA", "library of a vendor", said)
    about = PyVisaLibrary.get_debug_info()
    for kind, (addresses, mend) in WAYS.items():
        words = about.get(kind, "unknown to this pyvisa-py")
        if isinstance(words, str) and words.startswith("Available"):
            yield Finding("VISA", kind, f"pyvisa-py {about['Version']}")
        else:
            why = words if isinstance(words, str) else words[-1]
            yield Finding("VISA", kind, _line(why), "ok" if vendors else "missing", addresses, "" if vendors else mend)


def _line(words: str) -> str:
    return " ".join(str(words).split())


def serial() -> Iterator[Finding]:
    """Serial ports, and whether this user may open them."""
    from serial.tools import list_ports

    ports = sorted(list_ports.comports(), key=lambda port: str(port.device))
    if not ports:
        yield Finding("serial ports", "ports", "none found", "note")
    for port in ports:
        words = "" if port.description in (None, "n/a") else str(port.description)
        yield allowed("serial ports", Path(port.device), words, f"serial:{port.device}")


def usb() -> Iterator[Finding]:
    """USB instruments by their interface class, and whether this user may open them (Linux)."""
    seen = 0
    for interface in sorted(TREE.glob("*:*")):
        kind = tuple(_read(interface / f"bInterface{part}") for part in ("Class", "SubClass"))
        if kind != TMC:
            continue
        seen += 1
        device = interface.resolve().parent
        number = [_read(device / part).zfill(3) for part in ("busnum", "devnum")]
        ids = "::".join(f"0x{_read(device / part).upper()}" for part in ("idVendor", "idProduct"))
        words = f"{_read(device / 'manufacturer')} {_read(device / 'product')}".strip()
        yield allowed("USB instruments", Path("/dev/bus/usb", *number), words, f"visa:USB::{ids}::INSTR")
    if not seen:
        where = "none found" if TREE.parents[1].is_dir() else "looked for on Linux only; `hil devices` lists them"
        yield Finding("USB instruments", "instruments", where, "note")


def allowed(section: str, node: Path, words: str, address: str) -> Finding:
    """Whether this user may read and write a device node; a node that is no file (Windows) is taken as allowed."""
    value = f"{words} ({address})" if words else address
    if not node.exists() or os.access(node, os.R_OK | os.W_OK):
        return Finding(section, str(node), value)
    return Finding(
        section, str(node), f"{value}: this user may not open it", "missing", address, platform.node_permission(node)
    )


def _read(path: Path) -> str:
    try:
        return path.read_text("utf-8", "replace").strip()
    except OSError:
        return ""
