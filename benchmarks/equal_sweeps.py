"""A training step on an emulated chip beside one on `reference:`, at equal sweeps: what the chip's physics costs.

`python -m benchmarks.equal_sweeps`: steps of both in turn, in one process and one thread. Each needs another number of
sweeps; the chip's step at equal sweeps is its step with the time of its sweeps replaced by that of the reference's.
Settings from the environment as of `benchmarks.dense_step`. Needs llvmlite: sweeps are timed where they are one call.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import torch

from benchmarks.dense_step import COUNTERPARTS, STEPS, WARM, prepared
from emulator import chain_compiled

_swept = [0.0]


def timed(run: Callable[[], object]) -> tuple[float, float]:
    """CPU seconds of a step, and of its sweeps."""
    _swept[0], began = 0.0, time.process_time()
    for _ in range(STEPS):
        run()
    return (time.process_time() - began) / STEPS, _swept[0] / STEPS


def _watch() -> None:
    whole = chain_compiled._Phase.run

    def watched(phase: chain_compiled._Phase, first: int, last: int) -> bool:
        began = time.process_time()
        rest = whole(phase, first, last)
        _swept[0] += time.process_time() - began
        return rest

    chain_compiled._Phase.run = watched  # type: ignore[method-assign, assignment]


def main() -> None:
    """Prints a line an experiment and chip."""
    torch.set_num_threads(1)
    _watch()
    root, rounds = os.environ.get("DATA"), int(os.environ.get("ROUNDS", "9"))
    for name in ("digits", "mnist-dense") if root else ("digits",):
        runs = [prepared(name, device, Path(root or ".")) for device in COUNTERPARTS]
        for run in runs:
            for _ in range(WARM):
                run()
        taken = [[timed(run) for run in runs] for _ in range(rounds)]
        for number, device in enumerate(COUNTERPARTS[1:], 1):
            whole = median(each[number][0] / each[0][0] for each in taken)
            equal = median((each[number][0] - each[number][1] + each[0][1]) / each[0][0] for each in taken)
            print(f"{name:12s} {device:28s} {whole:.2f} times reference:, {equal:.2f} at equal sweeps", flush=True)


if __name__ == "__main__":
    main()
