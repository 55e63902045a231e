"""The folder of a pseudo-terminal's link, named for the process that serves it."""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path

import psutil

PREFIX = "crossbar-pty-"
LINK = "tty"


def make() -> tempfile.TemporaryDirectory[str]:
    """A fresh one, after those were removed whose processes were killed before they could."""
    for left in Path(tempfile.gettempdir()).glob(f"{PREFIX}*-*"):
        pid = left.name.removeprefix(PREFIX).partition("-")[0]
        if pid.isdigit() and not psutil.pid_exists(int(pid)):
            with contextlib.suppress(OSError):  # somebody else's, or somebody else was faster
                (left / LINK).unlink(missing_ok=True)
                left.rmdir()
    return tempfile.TemporaryDirectory(prefix=f"{PREFIX}{os.getpid()}-")
