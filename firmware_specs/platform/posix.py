"""Linux, macOS and the BSDs. `select.poll`, pseudo-terminals and signals that Windows lacks are used here alone."""

from __future__ import annotations

import sys

if sys.platform == "win32":
    raise ImportError("this is the module of the other platforms")

import contextlib
import errno
import getpass
import grp
import os
import select
import signal
import stat
import termios
import tty
from collections.abc import Callable
from pathlib import Path
from typing import Final

from firmware_specs.platform.proc import port_users as port_users
from firmware_specs.platform.processors import processor as processor
from firmware_specs.platform.shared import Handler, HasFileno

ASKING: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
STOPS: Final = (signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2)
TIMERS: Final = (signal.SIGALRM, signal.SIGVTALRM, signal.SIGPROF)
OPEN_FLAGS: Final = os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
SHARED: Final = 0o1777
TERMINALS: Final = True
CLOSED: Final = -1


def close_is_a_signal() -> None:
    """Makes the closing of the terminal a signal, which it is here already."""


def end_this_process() -> None:
    """Asks this process to end, as from outside; from any thread."""
    os.kill(os.getpid(), signal.SIGTERM)


class Alarm:
    """A timer that calls a handler in the main thread, a call that waits is broken off for it.

    Args:
        ring: The handler.
    """

    def __init__(self, ring: Handler) -> None:
        self._before = signal.signal(signal.SIGALRM, ring)

    def set(self, seconds: float) -> None:
        """Rings after so long; 0 never."""
        signal.setitimer(signal.ITIMER_REAL, seconds)

    def close(self) -> None:
        """Never rings again."""
        self.set(0)
        signal.signal(signal.SIGALRM, self._before)


def after_fork(forget: Callable[[], None]) -> None:
    """Calls something in every forked child."""
    os.register_at_fork(after_in_child=forget)


def user_number() -> int:
    """The account's number."""
    return os.getuid()


def is_mine(found: os.stat_result) -> bool:
    """Does a file or folder belong to this user?"""
    return found.st_uid == os.getuid()


def others_may_write(found: os.stat_result) -> bool:
    """May others than its owner change a file?"""
    return bool(found.st_mode & (stat.S_IWGRP | stat.S_IWOTH))


def open_to_all(descriptor: int) -> None:
    """Lets every user open a file, whatever the umask."""
    os.fchmod(descriptor, 0o666)


def refuse_unsafe(folder: Path, found: os.stat_result) -> None:
    """Makes a folder of ours one that all may share, as /tmp is; raises OSError where another's is none."""
    safe = bool(found.st_mode & stat.S_ISVTX) or not found.st_mode & 0o022
    if is_mine(found):
        if not safe:
            folder.chmod(SHARED)
    elif not safe:
        raise OSError(f"anybody can remove your files in it (mode {stat.S_IMODE(found.st_mode):o}, not {SHARED:o})")
    elif not os.access(folder, os.W_OK | os.X_OK):
        raise OSError(f"it belongs to user {found.st_uid} and is not shared (mode {SHARED:o})")


def drop_held(path: Path, descriptor: int) -> None:
    """Removes a file while it is held: nobody else can have the name yet."""
    with contextlib.suppress(OSError):  # in a shared folder it may have been made by another user
        path.unlink()


def replace(source: Path, target: Path) -> None:
    """Puts a file in the place of another, in one step."""
    source.replace(target)


def sync_folder(folder: Path) -> None:
    """Puts a folder's names on disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def port_device(port: str) -> str:
    """A serial port by the device behind its node, so that all its names are one; the name where nothing is there."""
    try:
        real = os.path.realpath(port) if port else port
        node = os.stat(real)  # noqa: PTH116 - a port need not be a path
        if stat.S_ISCHR(node.st_mode) and sys.platform.startswith("linux"):
            return f"port {node.st_rdev:x}"
    except OSError:
        pass  # nothing there, now
    except ValueError:
        return port
    return real.replace("/dev/tty.", "/dev/cu.", 1) if sys.platform == "darwin" else real


def keep_lines_at_close(port: HasFileno) -> None:
    """The system lowers DTR at the last close of a port (HUPCL), and raises it at the next opening: not of this one."""
    with contextlib.suppress(OSError, AttributeError, ValueError, termios.error):
        settings = termios.tcgetattr(port.fileno())
        settings[2] &= ~termios.HUPCL
        termios.tcsetattr(port.fileno(), termios.TCSANOW, settings)


def node_permission(node: Path) -> str:
    """What lets this user open a device node."""
    group, mode = node.stat().st_gid, node.stat().st_mode
    name = grp.getgrgid(group).gr_name
    if mode & 0o060 == 0o060 and name != "root":
        return f"sudo usermod -aG {name} {getpass.getuser()}    # then log in again"
    rule = f'SUBSYSTEM=="{"usb" if "usb" in node.parts else "tty"}", MODE="0660", GROUP="plugdev"'
    return f"echo '{rule}' | sudo tee /etc/udev/rules.d/99-crossbar.rules; sudo udevadm control --reload"


class Poll:
    """A descriptor, a terminal or a socket, waited for with `poll`, whose milliseconds Python rounds up: 0 stays 0.

    Args:
        number: The descriptor, non-blocking; it stays its owner's to close.
    """

    def __init__(self, number: int) -> None:
        self._number, self._terminal = number, os.isatty(number)
        self._in, self._both, self._out = select.poll(), select.poll(), select.poll()
        self._in.register(number, select.POLLIN)
        self._both.register(number, select.POLLIN | select.POLLOUT)
        self._out.register(number, select.POLLOUT)

    def readable(self, timeout_s: float) -> bool:
        """Waits until something can be read."""
        return bool(self._in.poll(timeout_s * 1000.0))

    def ready(self, timeout_s: float) -> tuple[bool, bool]:
        """Waits until something can be read or written; says which."""
        events = self._both.poll(timeout_s * 1000.0)
        happened = events[0][1] if events else 0
        return bool(happened & ~select.POLLOUT), bool(happened & select.POLLOUT)

    def writable(self, timeout_s: float) -> bool:
        """Waits until something can be written."""
        return bool(self._out.poll(timeout_s * 1000.0))

    def read(self, most: int) -> bytes:
        """What is here; b"" where the other side hung up.

        Raises:
            BlockingIOError: nothing is; a terminal says so in the words of one that hung up where it waits for no least
                number of bytes (VMIN 0, termios(3)).
        """
        chunk = os.read(self._number, most)
        if self._terminal and not chunk and not self._hung_up():
            raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))
        return chunk

    def _hung_up(self) -> bool:
        return any(happened & ~select.POLLIN for _, happened in self._in.poll(0))

    def write(self, data: memoryview) -> int:
        """Sends what goes out at once."""
        return os.write(self._number, data)

    def forget(self) -> None:
        """Its owner closes it."""
        self._number = CLOSED


def wire(source: HasFileno) -> Poll | None:
    """What can be waited for, of a port or a socket; None where it has no descriptor."""
    try:
        return Poll(source.fileno())
    except (OSError, AttributeError):  # io.UnsupportedOperation is an OSError
        return None


class PosixTerminal:
    """A pseudo-terminal."""

    def __init__(self) -> None:
        self._ours, self._theirs = os.openpty()
        tty.setraw(self._theirs)  # no echo and no translation, also before a client sets the port up
        os.set_blocking(self._ours, False)
        self.path = Path(os.ttyname(self._theirs))

    def fileno(self) -> int:
        """Our side."""
        return self._ours

    def read(self, most: int) -> bytes:
        """What the client sent."""
        return os.read(self._ours, most)

    def write(self, data: bytes | memoryview) -> int:
        """Sends what goes out at once."""
        try:
            return os.write(self._ours, data)
        except OSError as error:
            if error.errno == errno.EAGAIN:
                raise BlockingIOError from error
            raise

    def link_from(self, link: Path) -> None:
        """Makes a symbolic link lead here."""
        fresh = link.with_name(link.name + ".new")
        fresh.unlink(missing_ok=True)
        fresh.symlink_to(self.path)
        fresh.replace(link)

    def close(self) -> None:
        """Hangs up; whatever is done with it afterwards fails, and touches nothing that has its number by then."""
        theirs, self._theirs = self._theirs, CLOSED
        ours, self._ours = self._ours, CLOSED
        try:
            os.close(theirs)
        finally:
            os.close(ours)


def open_terminal() -> PosixTerminal:
    """A fresh pseudo-terminal."""
    return PosixTerminal()
