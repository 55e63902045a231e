"""A training step on an emulated chip beside one on `reference:`, at equal sweeps: what the chip's physics costs.

`python -m benchmarks.equal_sweeps`: steps of both in turn, in one process and one thread. Each needs another number of
sweeps. The chip's step at equal sweeps is, where they are compiled and the same function on both, its step with the
time of its sweeps replaced by that of the reference's; elsewhere its step with as many of its own sweeps of a sample as
the reference makes. Settings from the environment as of `benchmarks.dense_step`; DATA has CIFAR-10, too, or ONLY leaves
it out. Needs llvmlite: dense sweeps are timed where they are one call.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import NamedTuple

import torch
from torch import Tensor

from benchmarks.dense_step import COUNTERPARTS, STEPS, WARM, prepared
from emulator import chain_compiled
from emulator.currents import Team


class Taken(NamedTuple):
    """CPU seconds of a step, those of its sweeps, and how many sweeps of a sample it made by tensors."""

    step_s: float
    sweeps_s: float
    sweeps: float

    def with_sweeps_of(self, other: Taken) -> float:
        """Seconds at equal sweeps."""
        share = other.sweeps / self.sweeps if self.sweeps else other.sweeps_s / self.sweeps_s
        return self.step_s - self.sweeps_s * (1 - share)


_swept = [0.0, 0.0]


def timed(run: Callable[[], object]) -> Taken:
    """A step, in the mean of several."""
    _swept[:], began = (0.0, 0.0), time.process_time()
    for _ in range(STEPS):
        run()
    return Taken(*(value / STEPS for value in (time.process_time() - began, *_swept)))


def _watch() -> None:
    compiled, tensors = chain_compiled._Phase.run, Team.sweep

    def run(phase: chain_compiled._Phase, first: int, last: int) -> bool:
        began = time.process_time()
        rest = compiled(phase, first, last)
        _swept[0] += time.process_time() - began
        return rest

    def sweep(team: Team, groups: list[tuple[int, ...]], measure: bool) -> Tensor:
        began = time.process_time()
        changes = tensors(team, groups, measure)
        _swept[0] += time.process_time() - began
        _swept[1] += len(team.currents.drive)
        return changes

    chain_compiled._Phase.run = run  # type: ignore[method-assign, assignment]
    Team.sweep = sweep  # type: ignore[method-assign, assignment]


def main() -> None:
    """Prints a line an experiment and chip."""
    torch.set_num_threads(1)
    _watch()
    root, rounds = os.environ.get("DATA"), int(os.environ.get("ROUNDS", "9"))
    for name in ("digits", "mnist-dense", "cifar10-hybrid") if root else ("digits",):
        if os.environ.get("ONLY", "") not in name:
            continue
        runs = [prepared(name, device, Path(root or ".")) for device in COUNTERPARTS]
        for run in runs:
            for _ in range(WARM):
                run()
        taken = [[timed(run) for run in runs] for _ in range(rounds)]
        for number, device in enumerate(COUNTERPARTS[1:], 1):
            whole = median(each[number].step_s / each[0].step_s for each in taken)
            equal = median(each[number].with_sweeps_of(each[0]) / each[0].step_s for each in taken)
            print(f"{name:14s} {device:28s} {whole:.2f} times reference:, {equal:.2f} at equal sweeps", flush=True)


if __name__ == "__main__":
    main()
