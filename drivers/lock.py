"""One owner per device: a held file that says who, by the device and not by how its address is spelled.

A killed owner leaves no lock behind. A person may remove or replace the file: told by `check`, which the run calls as
it goes.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import stat
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Self

from drivers.device_name import device_name
from drivers.errors import Busy, OutOfRange
from drivers.owner_file import HeldByOther, NotALock, Owner, OwnerFile, holder_of, left_in
from firmware_specs import platform

FOLDER_VARIABLE = "CROSSBAR_HIL_LOCKS"
TAKE_OVER = "Stop that process first; if it hangs, end it by its pid: the lock goes with it"


class DeviceLock:
    """Ownership of one device, from construction to `release` (or the end of the process).

    Args:
        device: Address; all spellings of one device are one.
        folder: Where lock files lie; shared by all users of the machine if not given.

    Raises:
        Busy: somebody else owns it. OutOfRange: the lock's folder or file is not fit for one.
    """

    def __init__(self, device: str, folder: Path | None = None) -> None:
        self.device = device
        self.path = lock_path(device, folder)
        try:
            self._file = OwnerFile(self.path, device)
        except HeldByOther as error:
            raise _in_use(device, str(error)) from error
        except NotALock as error:
            raise OutOfRange(str(error), device=device, todo="Look what it is, and move it away") from error
        except OSError as error:
            raise _unfit(self.path, str(error.strerror or error), device) from error

    @property
    def owner(self) -> Owner:
        """This process, as the lock says it."""
        return self._file.owner

    @property
    def stale(self) -> Owner | None:
        """Who had the device last and never gave it free, if anybody."""
        return self._file.stale

    def check(self) -> None:
        """Raises `Busy` when the lock was lost: the file was removed or is somebody else's."""
        if not self._file.held:
            owner = holder_of(self.path)
            raise Busy(
                "the ownership of the device was lost; outputs are switched off and the run stops",
                owner=str(owner) if owner else "nobody: its lock file was removed",
                device=self.device,
                todo="Find out who took it, then start again",
            )

    def release(self) -> None:
        """Gives the device free; calling it again does nothing."""
        self._file.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


def owner_of(device: str, folder: Path | None = None) -> Owner | None:
    """Who owns a device now; None when nobody does. Takes nothing and opens no device."""
    return holder_of(lock_path(device, folder))


def refuse_owned(device: str, folder: Path | None = None) -> None:
    """For those who have much to prepare before they open a device; the lock has the last word.

    Raises:
        Busy: somebody owns it.
    """
    if (owner := owner_of(device, folder)) is not None:
        raise _in_use(device, str(owner))


def _in_use(device: str, owner: str) -> Busy:
    return Busy("the device is in use", owner=owner, device=device, todo=TAKE_OVER)


def left_by(device: str, folder: Path | None = None) -> Owner | None:
    """Who had a free device last and never gave it free; None when nobody did, or somebody owns it."""
    return left_in(lock_path(device, folder))


def lock_path(device: str, folder: Path | None = None) -> Path:
    """Where the lock file of a device lies.

    Raises:
        OutOfRange: the folder is a link, a file, or one whose owner others could be tricked by.
    """
    chosen = os.environ.get(FOLDER_VARIABLE)
    where = folder or (Path(chosen) if chosen else Path(tempfile.gettempdir()) / "crossbar-hil-locks")
    try:
        _make(where)
    except OSError as error:
        raise _unfit(where, str(error.strerror or error), device) from error
    name = device_name(device)
    readable = re.sub(r"[^A-Za-z0-9]", "-", name)[-48:]
    return where / f"{readable}-{hashlib.sha256(name.encode(errors='surrogateescape')).hexdigest()[:12]}.lock"


def _make(where: Path) -> None:
    """A folder all users share, as /tmp is: everybody may lock, nobody may remove another's file."""
    if not where.is_dir():
        where.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(FileExistsError):  # another process was faster; or a file, told below
            where.mkdir()
            where.chmod(platform.SHARED)
    found = where.lstat()
    if not stat.S_ISDIR(found.st_mode):
        raise OSError("it is a link" if stat.S_ISLNK(found.st_mode) else "it is a file")
    platform.refuse_unsafe(where, found)


def _unfit(where: Path, why: str, device: str) -> OutOfRange:
    return OutOfRange(
        f"{where} is no place for the lock of a device: {why}",
        device=device,
        todo=f"Remove it, or name a folder of your own in the environment: {FOLDER_VARIABLE}=FOLDER",
    )
