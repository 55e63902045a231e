"""Times of functions run in turn, with samples dropped while other processes held the cores."""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

BUSY = 0.15


@dataclass(frozen=True)
class Timing:
    """Seconds of each clean sample of one function, how many samples there were in all, and the CPU time of each.

    CPU time holds where other processes press in and no sample is clean; with one thread it is the time of the work.
    """

    seconds: tuple[float, ...]
    samples: int
    cpu_s: tuple[float, ...] = ()
    clean: int = 0

    @property
    def told(self) -> str:
        """Clean samples of all: where it starts with 0, `seconds` are those of a busy machine."""
        return f"{self.clean}/{self.samples}"

    @property
    def cpu(self) -> float:
        """Least CPU time of a sample."""
        return min(self.cpu_s, default=float("inf"))

    @property
    def best(self) -> float:
        """Fastest sample; infinite when none was clean."""
        return min(self.seconds, default=float("inf"))

    @property
    def median(self) -> float:
        """Median sample."""
        ordered = sorted(self.seconds)
        return ordered[len(ordered) // 2] if ordered else float("inf")


def alternate(functions: Mapping[str, Callable[[], object]], rounds: int, patience: int = 3) -> dict[str, Timing]:
    """Runs the functions in turn, `rounds` times each, after one warm-up.

    A sample during which other processes used more than 15 % of the cores is dropped and taken again, up to `patience`
    times the rounds; where no clean sample could be had, all are kept, and `Timing.samples` tells.
    """
    for function in functions.values():
        function()
    clean: dict[str, list[float]] = {name: [] for name in functions}
    every: dict[str, list[float]] = {name: [] for name in functions}
    cpu: dict[str, list[float]] = {name: [] for name in functions}
    for _ in range(rounds * patience):
        for name, function in functions.items():
            if len(clean[name]) >= rounds:
                continue
            began_cpu_s = time.process_time()
            seconds, foreign = _timed(function)
            cpu[name].append(time.process_time() - began_cpu_s)
            every[name].append(seconds)
            if foreign <= BUSY:
                clean[name].append(seconds)
        if all(len(v) >= rounds for v in clean.values()):
            break
    return {
        name: Timing(tuple(clean[name] or every[name]), len(every[name]), tuple(cpu[name]), len(clean[name]))
        for name in functions
    }


def _timed(function: Callable[[], object]) -> tuple[float, float]:
    """Seconds, and the share of all cores that other processes used meanwhile."""
    busy, own, began = _machine_busy_s(), time.process_time(), time.perf_counter()
    function()
    seconds = time.perf_counter() - began
    foreign = _machine_busy_s() - busy - (time.process_time() - own)
    return seconds, max(0.0, foreign) / (seconds * (os.cpu_count() or 1))


def _machine_busy_s() -> float:
    """CPU time all processes have used, where the system tells."""
    stat = Path("/proc/stat")
    if not stat.exists():
        return 0.0
    user, nice, system, _, _, irq, soft, *_ = map(int, stat.read_text("utf-8").split("\n", 1)[0].split()[1:])
    return (user + nice + system + irq + soft) / os.sysconf("SC_CLK_TCK")


def cpu_seconds(functions: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Median CPU time of this process in each function, run in turn after once for nothing: others disturb it least."""
    return {name: cpu_s for name, (cpu_s, _) in spent_seconds(functions, rounds).items()}


def spent_seconds(functions: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, tuple[float, float]]:
    """Median CPU time and least wall time of each function, run in turn after once for nothing."""
    spent: dict[str, list[tuple[float, float]]] = {name: [] for name in functions}
    for function in functions.values():
        function()
    for _ in range(rounds):
        for name, function in functions.items():
            began, began_cpu = time.perf_counter(), time.process_time()
            function()
            spent[name].append((time.process_time() - began_cpu, time.perf_counter() - began))
    return {
        name: (statistics.median(cpu for cpu, _ in taken), min(wall for _, wall in taken))
        for name, taken in spent.items()
    }
