"""Python starts with this when its folder is on the path: our packages then see what they would see on Windows.

Names that Windows lacks are gone from what they import (libraries keep theirs), `sys.platform` says win32, folders
cannot be opened, `select` takes sockets only, a socket is no file, only Windows' signals have handlers, an open file
can neither be removed nor replaced, names with a colon are refused, and text without an encoding is an error.
Ctrl-Break is played by SIGUSR1, and the closing of the console by SIGUSR2.
"""

import builtins
import errno
import os
import select
import selectors
import signal
import socket
import stat
import sys
import threading
import types
import warnings
from pathlib import Path

from removed import MODULES, NAMES, OURS

BREAK, CLOSE = signal.SIGUSR1, signal.SIGUSR2
FORBIDDEN = set('<>"|?*:')


class Without(types.ModuleType):
    """A module, but for some of its names."""

    def __init__(self, real, **instead):
        super().__init__(real.__name__)
        self.__dict__.update(instead)
        self.__dict__["_real"] = real

    def __getattr__(self, name):
        if name in NAMES.get(self._real.__name__, ()):
            raise AttributeError(f"module '{self._real.__name__}' has no attribute '{name}' on Windows")
        return getattr(self._real, name)


def handled(number, handler):
    """`signal.signal` of Windows."""
    if number not in (
        signal.SIGABRT,
        signal.SIGFPE,
        signal.SIGILL,
        signal.SIGINT,
        signal.SIGSEGV,
        signal.SIGTERM,
        BREAK,
    ):
        raise ValueError(f"signal {number} has no handler on Windows")
    return signal.signal(number, handler)


def opened(path, flags, mode=0o777, **options):
    """`os.open` of Windows."""
    if Path(path).is_dir():
        raise PermissionError(errno.EACCES, "a folder cannot be opened on Windows", str(path))
    return os.open(path, flags, mode, **options)


def only_sockets(reading, writing, failing, timeout=None):
    """`select.select` of Windows."""
    for one in (*reading, *writing, *failing):
        number = one if isinstance(one, int) else one.fileno()
        if not stat.S_ISSOCK(os.fstat(number).st_mode):
            raise OSError(errno.ENOTSOCK, "select takes sockets only on Windows")
    if not (reading or writing or failing):
        raise OSError(errno.EINVAL, "select needs a socket on Windows")
    return select.select(reading, writing, failing, timeout)


def no_socket(call):
    """`os.read`, `os.write`, `os.dup` of Windows, where a socket is no file."""

    def checked(number, *arguments):
        if stat.S_ISSOCK(os.fstat(number).st_mode):
            raise OSError(errno.EBADF, "a socket is no file on Windows")
        return call(number, *arguments)

    return checked


class Console:
    """`ctypes.windll.kernel32`, whose event comes as a signal."""

    def SetConsoleCtrlHandler(self, routine, add):
        def close(number, frame):
            threading.Thread(target=lambda: (routine(2), os._exit(0)), daemon=True).start()

        signal.signal(CLOSE, close)
        return 1


import ctypes  # noqa: E402 - after what is above, so that it reads in order

SEEN = {
    "os": Without(
        os, name="nt", open=opened, read=no_socket(os.read), write=no_socket(os.write), dup=no_socket(os.dup),
        O_BINARY=0, O_NOINHERIT=os.O_CLOEXEC,
    ),
    "sys": Without(sys, platform="win32"),
    "signal": Without(signal, SIGBREAK=BREAK, signal=handled),
    "select": Without(select, select=only_sockets),
    "selectors": Without(selectors, DefaultSelector=selectors.SelectSelector),
    "socket": Without(socket),
    "ctypes": Without(
        ctypes, WINFUNCTYPE=ctypes.CFUNCTYPE, windll=types.SimpleNamespace(kernel32=Console())
    ),
}  # fmt: skip
imported = builtins.__import__


def as_windows(name, globals=None, locals=None, fromlist=(), level=0):
    """`import` for our packages."""
    if level == 0 and globals and str(globals.get("__name__", "")).partition(".")[0] in OURS:
        if name.partition(".")[0] in MODULES:
            raise ModuleNotFoundError(f"No module named {name!r} on Windows", name=name)
        if name in SEEN:
            if any(wanted in NAMES.get(name, ()) for wanted in fromlist or ()):
                raise ImportError(f"cannot import {fromlist} from {name} on Windows", name=name)
            return SEEN[name]
    return imported(name, globals, locals, fromlist, level)


def is_open(path):
    """Has this process a file open?"""
    real = os.path.realpath(path)
    for number in os.listdir("/proc/self/fd"):  # noqa: PTH208 - pathlib would be watched, too
        try:
            if os.readlink(f"/proc/self/fd/{number}") == real:  # noqa: PTH115
                return True
        except OSError:
            pass
    return False


def watched(event, arguments):
    """What a file system of Windows refuses."""
    if event in ("os.remove", "os.rename"):
        for path in arguments[: 1 if event == "os.remove" else 2]:
            if isinstance(path, (str, os.PathLike)) and is_open(path):
                raise PermissionError(errno.EACCES, "it is open, and Windows keeps it", str(path))
    if event in ("open", "os.mkdir") and isinstance(arguments[0], str):
        made = event == "os.mkdir" or bool((arguments[2] or 0) & os.O_CREAT)
        name = arguments[0].rpartition("/")[2]
        if made and FORBIDDEN & set(name):
            raise OSError(errno.EINVAL, "no name of a file on Windows", arguments[0])


builtins.__import__ = as_windows
sys.addaudithook(watched)
if sys.flags.warn_default_encoding:
    warnings.filterwarnings("ignore", category=EncodingWarning)
    warnings.filterwarnings("error", category=EncodingWarning, module=rf"({'|'.join(OURS)})(\.|$)")
