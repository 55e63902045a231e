"""A file that one process holds and signs, so that a second one is told who does.

The lock is filelock's, the same call on every system, and the kernel drops it when its holder dies. Around it stands
what a file that others can reach needs: it is never opened through a link, never written unless it is empty or one of
ours, and a forked child never keeps its parent's. The first byte is a blank, because Windows locks that one even
against reading; the owner's words follow it.
"""

from __future__ import annotations

import contextlib
import getpass
import json
import os
import socket
import stat
import time
import weakref
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from filelock import lock_descriptor

from firmware_specs import platform

SIGNATURE = b" crossbar-hil lock "
MOST_BYTES = 4096
PATIENCE_S, PAUSE_S = 0.1, 0.005
"""Somebody who only looks holds a lock for a moment: a lock that stays taken this long has an owner."""


@dataclass(frozen=True)
class Owner:
    """Who holds something.

    Attributes:
        what: What is held, as it was named.
        pid: Process.
        host: Machine.
        user: Account.
        since: When it was taken, ISO 8601, UTC.
    """

    what: str
    pid: int
    host: str
    user: str
    since: str

    @classmethod
    def me(cls, what: str) -> Owner:
        """This process, now."""
        since = datetime.now(UTC).isoformat(timespec="seconds")
        return cls(what, os.getpid(), socket.gethostname(), user_name(), since)

    def __str__(self) -> str:
        return f"process {self.pid} of {self.user} on {self.host} since {self.since}"


UNKNOWN = "a process that has not signed"


class HeldByOther(Exception):
    """Another process holds the file.

    Attributes:
        owner: Who, where the file says so.
    """

    def __init__(self, owner: Owner | None) -> None:
        self.owner = owner
        super().__init__(str(owner) if owner else UNKNOWN)


class NotALock(Exception):
    """What lies at a lock's path is no lock file of ours and was left as it is; the message says what it is."""


class OwnerFile:
    """A held file, from construction to `release` or the end of the process.

    Args:
        path: In a folder that is there.
        what: What it stands for, in the owner's words.

    Attributes:
        owner: This process, as the file says it.
        stale: Who held it last and never released it, if anybody.

    Raises:
        HeldByOther: somebody else has it. NotALock: a link, another kind of file, or a file with other content.
    """

    def __init__(self, path: Path, what: str) -> None:
        self.path, self.owner = path, Owner.me(what)
        self.stale: Owner | None = None
        self._descriptor = self._acquire()
        _HELD.add(self)

    @property
    def held(self) -> bool:
        """False once it was released, removed or replaced."""
        return self._descriptor >= 0 and _same_file(self._descriptor, self.path)

    @property
    def lost(self) -> bool:
        """Removed or replaced by somebody else, or its folder moved away, while it was held."""
        return self._descriptor >= 0 and not _same_file(self._descriptor, self.path)

    def release(self) -> None:
        """Gives it free; calling it again does nothing."""
        if self._descriptor < 0:
            return
        descriptor, mine, self._descriptor = self._descriptor, self.held, -1
        if mine:
            platform.drop_held(self.path, descriptor)
        os.close(descriptor)

    def _acquire(self) -> int:
        until = time.monotonic() + PATIENCE_S
        while True:
            descriptor = _open(self.path)
            try:
                taken = lock_descriptor(descriptor, blocking=False)
                content = _checked(descriptor, self.path)
                if taken and _same_file(descriptor, self.path):
                    self.stale = _parse(content)
                    _sign(descriptor, self.owner)
                    return descriptor
            except BaseException:
                os.close(descriptor)
                raise
            os.close(descriptor)
            if not taken and time.monotonic() > until:
                raise HeldByOther(_parse(content))
            time.sleep(PAUSE_S)

    def _forget(self) -> None:
        """In a forked child: the lock is the parent's."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def holder_of(path: Path) -> Owner | None:
    """Who holds a file now; None when nobody does, or it is none of ours. Changes nothing."""
    taken, owner = _looked(path)
    return (owner or Owner("", 0, "?", "?", "?")) if taken else None


def left_in(path: Path) -> Owner | None:
    """Who held a file last and ended without releasing it; None when nobody did, or it is held. Changes nothing."""
    taken, owner = _looked(path)
    return None if taken else owner


def _looked(path: Path) -> tuple[bool, Owner | None]:
    """Whether somebody holds a file, and who signed it."""
    try:
        descriptor = os.open(path, os.O_RDWR | platform.OPEN_FLAGS)
    except OSError:
        return False, None
    try:
        content = _checked(descriptor, path)
        return not lock_descriptor(descriptor, blocking=False), _parse(content)
    except (NotALock, OSError):
        return False, None
    finally:
        os.close(descriptor)


def was_lost(path: Path) -> bool:
    """Does this process hold a file that is no longer the one of that name?"""
    return any(held.lost for held in list(_HELD) if held.path == path)


def user_name() -> str:
    """The account, by number where it has no name: in a container the password file may not know it."""
    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError):
        return str(platform.user_number())


def _open(path: Path) -> int:
    """Opens or makes the file. Not with O_CREAT where it exists: Linux refuses that for others' files in /tmp."""
    try:
        return os.open(path, os.O_RDWR | platform.OPEN_FLAGS)
    except FileNotFoundError:
        pass
    except OSError as error:
        raise NotALock(f"{path} cannot be opened as a lock file: {error.strerror}") from error
    with contextlib.suppress(FileExistsError):
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | platform.OPEN_FLAGS, 0o666)
        platform.open_to_all(descriptor)  # the next owner may be another user
        return descriptor
    if path.is_symlink():
        raise NotALock(f"{path} is a link, and a lock file is never opened through one")
    return _open(path)


def _checked(descriptor: int, path: Path) -> bytes:
    """What the file holds behind its first byte; raises `NotALock` unless it is empty or ours."""
    found = os.fstat(descriptor)
    if not stat.S_ISREG(found.st_mode) or found.st_nlink > 1:
        raise NotALock(f"{path} is no lock file: it is {'another name of a file' if found.st_nlink > 1 else 'no file'}")
    os.lseek(descriptor, 1, os.SEEK_SET)
    content = os.read(descriptor, MOST_BYTES)
    ours = SIGNATURE[1:]
    if found.st_size > MOST_BYTES or not (content.startswith(ours) or ours.startswith(content)):
        raise NotALock(f"{path} is no lock file of ours: it holds something else, and was left as it is")
    return content


def _sign(descriptor: int, owner: Owner) -> None:
    os.ftruncate(descriptor, 0)
    os.lseek(descriptor, 0, os.SEEK_SET)
    os.write(descriptor, SIGNATURE + json.dumps(asdict(owner)).encode()[: MOST_BYTES - len(SIGNATURE)])


def _parse(content: bytes) -> Owner | None:
    try:
        owner = Owner(**json.loads(content.removeprefix(SIGNATURE[1:])))
    except (ValueError, TypeError, RecursionError):
        return None
    texts = (owner.what, owner.host, owner.user, owner.since)
    return owner if isinstance(owner.pid, int) and all(isinstance(text, str) for text in texts) else None


def _same_file(descriptor: int, path: Path) -> bool:
    try:
        there, here = path.lstat(), os.fstat(descriptor)
    except OSError:
        return False
    return (there.st_dev, there.st_ino) == (here.st_dev, here.st_ino)


_HELD: weakref.WeakSet[OwnerFile] = weakref.WeakSet()


def _forget_all() -> None:
    for held in list(_HELD):
        held._forget()


platform.after_fork(_forget_all)
