"""Windows. There is no `poll` but `select` for sockets, no pseudo-terminal, and a file that is open keeps its name."""

from __future__ import annotations

import sys

if sys.platform != "win32":
    raise ImportError("this is the module of Windows")

import contextlib
import ctypes
import os
import platform
import select
import signal
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from firmware_specs.platform.shared import Handler, HasFileno, NoTerminal, Terminal

ASKING: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGBREAK)
STOPS: Final = (signal.SIGTERM, signal.SIGBREAK)
TIMERS: Final[tuple[signal.Signals, ...]] = ()
OPEN_FLAGS: Final = os.O_BINARY | os.O_NOINHERIT
SHARED: Final = 0o777
TERMINALS: Final = False
CLOSING: Final = (2, 5, 6)
"""Events of a console: its window is closed, the user logs off, the machine shuts down."""
GRACE_S: Final = 4.5
"""Windows ends a process five seconds after its window was closed."""
REPLACE_S: Final = 2.0
"""For so long somebody may read a file that is to be replaced: an indexer, a virus scanner, a report."""
_handlers: list[Any] = []


def close_is_a_signal() -> None:
    """Makes the closing of the console, log-off and shutdown the signal of Ctrl-Break, and gives it time.

    The C library would raise that signal, too, but the process ends when its handler returns, which in Python is
    before anything was done about it. So this handler does not return while the main thread switches outputs off.
    """
    if _handlers:
        return
    routine = ctypes.WINFUNCTYPE(ctypes.c_int, ctypes.c_uint)(_console)
    if ctypes.windll.kernel32.SetConsoleCtrlHandler(routine, 1):
        _handlers.append(routine)  # Windows calls it as long as the process lives


def _console(event: int) -> int:
    if event not in CLOSING:
        return 0  # Ctrl-C and Ctrl-Break go their usual way
    signal.raise_signal(signal.SIGBREAK)
    threading.main_thread().join(GRACE_S)
    return 1


def end_this_process() -> None:
    """Asks this process to end, as from outside; from any thread. `os.kill` would end it at once."""
    signal.raise_signal(signal.SIGTERM)


class Alarm:
    """A timer that calls a handler in the main thread, at its next step.

    Args:
        ring: The handler of Ctrl-C, which it comes as: that one wakes what waits.
    """

    def __init__(self, ring: Handler) -> None:
        self._timer: threading.Timer | None = None

    def set(self, seconds: float) -> None:
        """Rings after so long; 0 never."""
        if self._timer is not None:
            self._timer.cancel()
        self._timer = threading.Timer(seconds, signal.raise_signal, (signal.SIGINT,)) if seconds else None
        if self._timer is not None:
            self._timer.daemon = True
            self._timer.start()

    def close(self) -> None:
        """Never rings again."""
        self.set(0)


def after_fork(forget: Callable[[], None]) -> None:
    """Nothing: no process is forked here."""


def processor() -> str:
    """The processor's name, with the numbers by which its maker tells models apart."""
    return platform.processor() or platform.machine()


def user_number() -> int:
    """Accounts have no number; their temporary folders are apart already."""
    return 0


def is_mine(found: os.stat_result) -> bool:
    """Taken as ours: Windows keeps the owner elsewhere, and a user's temporary folder to himself."""
    return True


def others_may_write(found: os.stat_result) -> bool:
    """Not known: Windows keeps rights elsewhere, and a user's folder to himself."""
    return False


def open_to_all(descriptor: int) -> None:
    """Nothing: a file has the rights of its folder."""


def refuse_unsafe(folder: Path, found: os.stat_result) -> None:
    """Nothing: a folder has the rights of the one above."""


def drop_held(path: Path, descriptor: int) -> None:
    """Empties a file that is held: it cannot be removed while it is open, and nobody signed an empty one."""
    with contextlib.suppress(OSError):
        os.ftruncate(descriptor, 0)


def replace(source: Path, target: Path) -> None:
    """Puts a file in the place of another, waiting a moment for those that have it open.

    Raises:
        PermissionError: somebody keeps it open, or it may not be written.
    """
    until = time.monotonic() + REPLACE_S
    while True:
        try:
            source.replace(target)
            return
        except PermissionError:
            if time.monotonic() > until:
                raise
            time.sleep(0.01)


def sync_folder(folder: Path) -> None:
    """Nothing: a folder cannot be opened, and NTFS journals its names."""


def port_device(port: str) -> str:
    """A serial port by its name: letters are alike here."""
    return port.upper()


def port_users(port: str) -> list[str]:
    """Nobody: a port that is open cannot be opened twice, and Windows does not say by whom it is."""
    return []


def keep_lines_at_close(port: HasFileno) -> None:
    """Nothing: a driver leaves the lines as they are when a port is closed."""


def node_permission(node: Path) -> str:
    """What lets this user open a port."""
    return "close the program that has it open, or look into the Device Manager"


class Select:
    """A socket waited for with `select`.

    Args:
        connection: The socket, non-blocking; it stays its owner's to close.
    """

    def __init__(self, connection: socket.socket) -> None:
        self._socket: socket.socket | None = connection

    def readable(self, timeout_s: float) -> bool:
        """Waits until something can be read."""
        return bool(select.select([self._open()], [], [], timeout_s)[0])

    def ready(self, timeout_s: float) -> tuple[bool, bool]:
        """Waits until something can be read or written; says which."""
        one = [self._open()]
        readable, writable, _ = select.select(one, one, [], timeout_s)
        return bool(readable), bool(writable)

    def writable(self, timeout_s: float) -> bool:
        """Waits until something can be written."""
        return bool(select.select([], [self._open()], [], timeout_s)[1])

    def read(self, most: int) -> bytes:
        """What is here."""
        return self._open().recv(most)

    def write(self, data: memoryview) -> int:
        """Sends what goes out at once."""
        return self._open().send(data)

    def forget(self) -> None:
        """Its owner closes it."""
        self._socket = None

    def _open(self) -> socket.socket:
        if self._socket is None:
            raise OSError("the connection is closed")
        return self._socket


def wire(source: HasFileno) -> Select | None:
    """What can be waited for: a socket; a port is read by its library."""
    return Select(source) if isinstance(source, socket.socket) else None


def open_terminal() -> Terminal:
    """Raises `NoTerminal`."""
    raise NoTerminal("Windows has no pseudo-terminals: --tcp 0 serves the same frames on a socket")
