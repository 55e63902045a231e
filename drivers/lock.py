"""One owner per device: a lock file that says who, and that the kernel releases when the owner dies.

The file is locked with `flock`, so a killed owner leaves no lock behind, and it holds the owner in words. Two traps: a
worker forked from a killed owner keeps its `flock` (told by the owner's process being gone), and a person may remove or
replace the file (told by `check`, which the run calls as it goes).
"""

from __future__ import annotations

import contextlib
import fcntl
import getpass
import hashlib
import json
import os
import socket
import tempfile
import time
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Self

from pyvisa.rname import to_canonical_name

from drivers.errors import Busy

FOLDER_VARIABLE = "CROSSBAR_HIL_LOCKS"
TAKE_OVER = "Stop that process first; if it hangs, end it by its pid: the lock goes with it"


@dataclass(frozen=True)
class Owner:
    """Who holds a device.

    Attributes:
        device: Address as it was opened.
        pid: Process, with its start time so that a reused number is not mistaken for it.
        started: Start of the process, clock ticks since boot; 0 where unknown.
        host: Machine.
        user: Account.
        since: When the lock was taken, ISO 8601, UTC.
    """

    device: str
    pid: int
    started: int
    host: str
    user: str
    since: str

    def __str__(self) -> str:
        return f"process {self.pid} of {self.user} on {self.host} since {self.since}"

    @property
    def alive(self) -> bool:
        """False where the process is known to be gone."""
        if self.host != socket.gethostname():
            return True
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return False
        except PermissionError:
            return True
        return self.started == _started(self.pid)


class DeviceLock:
    """Ownership of one device, from construction to `release` (or the end of the process).

    Args:
        device: Address; a serial port's symbolic links are followed, so two names of one port are one device.
        folder: Where lock files lie; shared by all users of the machine if not given.

    Raises:
        Busy: somebody else owns it.
    """

    def __init__(self, device: str, folder: Path | None = None) -> None:
        self.device = device
        self.path = lock_path(device, folder)
        self.owner = Owner(
            device,
            os.getpid(),
            _started(os.getpid()),
            socket.gethostname(),
            _user(),
            datetime.now(UTC).isoformat(timespec="seconds"),
        )
        self.stale: Owner | None = None
        self._descriptor = self._acquire()

    def check(self) -> None:
        """Raises `Busy` when the lock was lost: the file was removed or is somebody else's."""
        if self._descriptor < 0 or not _same_file(self._descriptor, self.path):
            owner = read_owner(self.path)
            raise Busy(
                "the ownership of the device was lost; outputs are switched off and the run stops",
                owner=str(owner) if owner else "nobody: its lock file was removed",
                device=self.device,
                todo="Find out who took it, then start again",
            )

    def release(self) -> None:
        """Gives the device free; calling it again does nothing."""
        if self._descriptor < 0:
            return
        if _same_file(self._descriptor, self.path):
            self.path.unlink()
        os.close(self._descriptor)
        self._descriptor = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()

    def _acquire(self) -> int:
        for _ in range(20):  # each turn means that somebody took, released or replaced the file this moment
            descriptor = self._open()
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                self._refuse_unless_orphaned(descriptor)
                continue
            if not _same_file(descriptor, self.path):
                os.close(descriptor)
                continue
            self.stale = _parse(os.pread(descriptor, 65536, 0))
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, json.dumps(asdict(self.owner)).encode(), 0)
            return descriptor
        raise Busy("the device's lock changes hands too fast", owner="several processes", device=self.device)

    def _open(self) -> int:
        """Opens the lock file. Not with O_CREAT where it exists: Linux refuses that for others' files in /tmp."""
        try:
            return os.open(self.path, os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            descriptor = os.open(self.path, os.O_RDWR | os.O_CLOEXEC | os.O_CREAT, 0o666)
            os.fchmod(descriptor, 0o666)  # whatever the umask: the next owner may be another user
            return descriptor

    def _refuse_unless_orphaned(self, descriptor: int) -> None:
        """The lock is held: raises `Busy`, or removes the file of a dead owner whose children keep it locked."""
        holder = _parse(os.pread(descriptor, 65536, 0))
        if holder is None:
            time.sleep(0.005)  # its owner has it, but has not signed yet
        elif not holder.alive and _same_file(descriptor, self.path):
            self.path.unlink(missing_ok=True)
        os.close(descriptor)
        if holder is not None and holder.alive:
            raise Busy("the device is in use", owner=str(holder), device=self.device, todo=TAKE_OVER)


def owner_of(device: str, folder: Path | None = None) -> Owner | None:
    """Who owns a device now; None when nobody does. Takes nothing and opens no device."""
    holder = read_owner(lock_path(device, folder))
    return holder if holder is not None and holder.alive else None


def read_owner(path: Path) -> Owner | None:
    """The owner a lock file names; None when there is none."""
    try:
        return _parse(path.read_bytes())
    except OSError:
        return None


def lock_path(device: str, folder: Path | None = None) -> Path:
    """Where the lock file of a device lies."""
    where = Path(os.environ.get(FOLDER_VARIABLE) or Path(tempfile.gettempdir()) / "crossbar-hil-locks")
    where = where if folder is None else folder
    if not where.is_dir():
        where.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(PermissionError):  # another user was faster
            where.chmod(0o1777)  # like /tmp: everybody may lock, nobody may remove another's file
    name = _one_name(device)
    readable = "".join(c if c.isalnum() else "-" for c in name)[-48:]
    return where / f"{readable}-{hashlib.sha256(name.lower().encode()).hexdigest()[:12]}.lock"


def _one_name(device: str) -> str:
    """The same for all ways to write one address: links of a port, options, spellings of a VISA resource."""
    scheme, _, rest = device.partition(":")
    if scheme == "visa":
        with contextlib.suppress(ValueError):
            rest = to_canonical_name(rest)
        return f"{scheme}:{rest}"
    rest = rest.partition("?")[0]
    return f"{scheme}:{os.path.realpath(rest)}" if rest.startswith("/") else f"{scheme}:{rest}"


def _parse(text: bytes) -> Owner | None:
    try:
        return Owner(**json.loads(text))
    except (ValueError, TypeError):
        return None


def _same_file(descriptor: int, path: Path) -> bool:
    try:
        there, here = path.stat(), os.fstat(descriptor)
    except OSError:
        return False
    return (there.st_dev, there.st_ino) == (here.st_dev, here.st_ino)


def _started(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19])
    except (OSError, ValueError, IndexError):
        return 0


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())
