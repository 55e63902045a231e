"""What answers on this machine's ports, and who owns it. A port that is in use is named, never opened."""

from __future__ import annotations

import contextlib
import os
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pyvisa.constants import InterfaceType
from serial.tools import list_ports

from drivers.connect import Address, Options, dialect_over, open_wire
from drivers.errors import Busy, DeviceError, LinkLost, LinkTimeout
from drivers.lock import DeviceLock, owner_of

PROBE_S = 1.0
State = Literal["free", "in use", "silent", "refused"]


@dataclass(frozen=True)
class Found:
    """One address.

    Attributes:
        address: As `--device` takes it.
        state: `free` (it answers), `in use`, `silent` (opened, no answer), or `refused` (cannot be opened).
        who: Vendor, model, serial number and firmware of what answers; else what the port says of itself and why
            it did not open.
        owner: Who has it, where it is in use.
    """

    address: str
    state: State
    who: str = ""
    owner: str = ""


def discover(addresses: Sequence[str] = (), *, lan: bool = False, probe_s: float = PROBE_S) -> list[Found]:
    """Looks at every serial port, USB and GPIB instrument of this machine, and at some addresses besides.

    A port that nobody uses is opened and asked who it is. That switches the outputs of a crossbar device off.

    Args:
        addresses: Further device addresses: sockets, HiSLIP, virtual instruments.
        lan: Broadcast for instruments on the network, too.
        probe_s: How long one may take to answer.
    """
    described = {f"serial:{port.device}": _port_words(port.description, port.serial_number) for port in _ports()}
    described |= {f"visa:{name}": "" for name in _visa_resources(lan)}
    described |= {address: described.get(address, "") for address in addresses}
    return [look_at(address, words, probe_s) for address, words in described.items()]


def look_at(address: str, words: str = "", probe_s: float = PROBE_S) -> Found:
    """One address: who owns it, else who answers there."""
    where = Address.parse(address)
    owner = owner_of(address)
    if owner is not None:
        return Found(address, "in use", words, str(owner))
    users = port_users(where.target) if where.scheme == "serial" else []
    if users:
        return Found(address, "in use", words, ", ".join(users))
    try:
        with DeviceLock(address):
            return Found(address, "free", _identity(where, probe_s))
    except Busy as error:
        return Found(address, "in use", words, error.owner)
    except (LinkLost, OSError) as error:
        why = error.what if isinstance(error, LinkLost) else str(error)
        return Found(address, "refused", f"{words} ({why})".strip())
    except LinkTimeout:
        return Found(address, "silent", words)
    except DeviceError as error:
        return Found(address, "silent", f"{words} ({error.what})".strip())


def port_users(port: str) -> list[str]:
    """Processes that have a port open, as far as this user may see them; programs that only leave a lock file, too."""
    if not port.startswith("/"):
        return []
    real = os.path.realpath(port)
    found = [_process(pid) for pid in _holders(real)]
    with contextlib.suppress(OSError, ValueError):
        pid = int(Path(f"/var/lock/LCK..{Path(real).name}").read_text().split()[0])
        os.kill(pid, 0)
        found.append(_process(pid))
    return sorted(set(found))


def _identity(where: Address, probe_s: float) -> str:
    options = Options(timeout_s=probe_s)
    wire = open_wire(where, options)
    try:
        dialect = dialect_over(wire, where, options)
        dialect.open(probe_s)
        identity = dialect.identify()
    finally:
        wire.close()
    return f"{identity.vendor} {identity.model}, serial number {identity.serial}, firmware {identity.firmware}"


def _holders(device: str) -> Iterable[int]:
    """Processes with the port open; not the one that plays the device behind a pseudo-terminal."""
    for folder in Path("/proc").glob("[0-9]*"):
        links = _open_files(folder)
        if device in links.values() and not _plays_device(folder, links, device):
            yield int(folder.name)


def _open_files(process: Path) -> dict[str, str]:
    found = {}
    with contextlib.suppress(OSError):  # ended meanwhile, or another user's
        for entry in (process / "fd").iterdir():
            with contextlib.suppress(OSError):
                found[entry.name] = str(entry.readlink())
    return found


def _plays_device(process: Path, links: Mapping[str, str], device: str) -> bool:
    if not device.startswith("/dev/pts/"):
        return False
    index = f"tty-index:\t{device.rpartition('/')[2]}"
    for number, link in links.items():
        if link.endswith("ptmx"):
            with contextlib.suppress(OSError):
                if index in (process / "fdinfo" / number).read_text().splitlines():
                    return True
    return False


def _process(pid: int) -> str:
    try:
        name = Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        name = "?"
    return f"process {pid} ({name})"


def _ports() -> Iterable[list_ports.ListPortInfo]:
    return sorted(list_ports.comports(), key=lambda port: str(port.device))


def _port_words(description: str | None, serial_number: str | None) -> str:
    words = "" if description in (None, "n/a") else str(description)
    return f"{words}, serial number {serial_number}" if serial_number else words


def _visa_resources(lan: bool) -> list[str]:
    """USB and GPIB resources of pyvisa-py; of the network only where asked, since finding those means broadcasting."""
    from pyvisa_py.sessions import Session

    kinds = {InterfaceType.usb, InterfaceType.gpib} | ({InterfaceType.tcpip} if lan else set())
    names: list[str] = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for (interface, _), session in Session.iter_valid_session_classes():
            if interface in kinds:
                with contextlib.suppress(Exception):  # a missing USB library is no reason to list nothing
                    names += session.list_resources()
    return sorted(set(names))
