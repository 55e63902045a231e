"""Which processes have a serial port open, as far as this user may see them (Linux; psutil knows of files only)."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Mapping
from pathlib import Path

import psutil


def port_users(port: str) -> list[str]:
    """Processes that have a port open; programs that only leave a lock file, too."""
    if not port.startswith("/"):
        return []
    real = os.path.realpath(port)
    found = [_process(pid) for pid in _holders(real)]
    with contextlib.suppress(OSError, ValueError, IndexError, OverflowError):
        pid = int(Path(f"/var/lock/LCK..{Path(real).name}").read_text("ascii", "replace").split()[0])
        if psutil.pid_exists(pid):
            found.append(_process(pid))
    return sorted(set(found))


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
                if index in (process / "fdinfo" / number).read_text("ascii", "replace").splitlines():
                    return True
    return False


def _process(pid: int) -> str:
    try:
        name = psutil.Process(pid).name()
    except psutil.Error:
        name = "?"
    return f"process {pid} ({name})"
