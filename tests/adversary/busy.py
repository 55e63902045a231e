"""What a busy machine took from this process, so that a bound on time holds the code to it and not the machine.

Linux counts for every thread how long it was ready to run and had no processor (`/proc/PID/task/*/schedstat`, its
second figure, in nanoseconds). Where it is not counted, nothing is taken off.
"""

import contextlib
import time
from pathlib import Path

LONGEST = 10
"""However busy it is: what takes so many times its bound is late."""


class Clock:
    """Seconds since it was made: `took_s` as a clock on the wall says, `own_s` without those it was kept waiting."""

    def __init__(self):
        self._begin, self._waits = time.monotonic(), waits()

    @property
    def took_s(self):
        return time.monotonic() - self._begin

    @property
    def own_s(self):
        took_s = self.took_s
        kept = sum(ns - self._waits.get(thread, 0) for thread, ns in waits().items())
        return max(took_s / LONGEST, took_s - kept / 1e9)  # threads that wait at the same time wait once


def waits():
    """Nanoseconds that each thread of this process has waited for a processor."""
    found = {}
    for path in Path("/proc/self/task").glob("*/schedstat"):
        with contextlib.suppress(OSError, IndexError):
            found[path.parent.name] = int(path.read_text().split()[1])
    return found
