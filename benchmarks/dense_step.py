"""A training step of the small dense nets: tensor calls and CPU time, beside another version of the project.

`python -m benchmarks.dense_step [TREE]`: TREE is a checkout of the version to compare with, whose steps run in a
process of its own, in turn with ours. Settings from the environment: DATA, the folder of the data sets (without it
MNIST is left out); ROUNDS; ONLY, a part of the lines' names; THREADS, one unless said.

CPU time of all threads: other work on the machine does not count, but for what it does to the caches.
"""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
import time
from collections.abc import Callable
from itertools import cycle
from pathlib import Path
from statistics import median
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

COUNTERPARTS = ("reference:", "emulator:mixed-8bit?seed=1", "emulator:reram?seed=1")
STEPS, WARM = 10, 15


def _one_of(*names: str) -> object:
    """The first module there is: the other version may have it elsewhere."""
    for name in names:
        try:
            return importlib.import_module(name)
        except ModuleNotFoundError:
            continue
    raise ModuleNotFoundError(names)


class Counter(TorchDispatchMode):
    """Counts tensor calls."""

    calls = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
        """One more."""
        self.calls += 1
        return func(*args, **(kwargs or {}))


def prepared(name: str, device: str, root: Path) -> Callable[[], object]:
    """A training step of an experiment on real images, the next batch at every call."""
    from hil import data
    from hil.experiments import experiment_file
    from hil.training.optimize import optimizer
    from hil.training.ranks import ALONE
    from hil.training.state import Position, TrainState
    from hil.training.stopping import stops
    from hil.training.update import CellUpdates

    opening = _one_of("hil.counterparts.opening.bench", "hil.bench")
    build = _one_of("hil.learning.model", "hil.model").build  # type: ignore[attr-defined]
    losses = _one_of("hil.learning.loss", "hil.loss")
    step = _one_of("hil.training.loop", "hil.train").step  # type: ignore[attr-defined]
    torch.manual_seed(0)
    experiment = experiment_file.load(name, [f"device={device}"])
    dataset: Any = data.load(experiment.data, root)
    free, nudged = stops(experiment.settle)
    bench = opening.open_bench(device, dtype=torch.float32, stop=free, nudged_stop=nudged)  # type: ignore[attr-defined]
    size = experiment.run.batch
    some = dataset.train.images[: 40 * size]
    images = dataset.prepare(some, torch.device("cpu"), torch.float32)
    model = build(experiment, bench, tuple(images.shape[1:]), dataset.classes)
    cells = CellUpdates(model, experiment.update, experiment.run.seed)
    state = TrainState(model, optimizer(experiment.optimizer, cells.host_parameters), bench, Position())
    model.train()
    labels = dataset.train.labels[: len(some)]
    batches = cycle(range(0, len(some) - size + 1, size))
    goal = losses.task(experiment.loss) if hasattr(losses, "task") else losses.LOSSES[experiment.loss]  # type: ignore[attr-defined]
    rate = experiment.optimizer.lr

    def run() -> object:
        at = next(batches)
        return step(state, cells, rate, goal, images[at : at + size], labels[at : at + size], ALONE)

    return run


def serve(name: str, device: str, root: Path) -> None:
    """Answers every line on standard input: `run` with the CPU seconds of a step, `count` with its tensor calls."""
    # an editable installation would answer for what the other version does not have
    sys.meta_path[:] = [f for f in sys.meta_path if not getattr(f, "__module__", "").startswith("__editable__")]
    torch.set_num_threads(int(os.environ.get("THREADS", "1")))
    run = prepared(name, device, root)
    for _ in range(WARM):
        run()
    print("ready", flush=True)
    for line in sys.stdin:
        if line.strip() == "count":
            with Counter() as counter:
                run()
            print(counter.calls, flush=True)
            continue
        began = time.process_time()
        for _ in range(STEPS):
            run()
        print((time.process_time() - began) / STEPS, flush=True)


class Version:
    """A process that trains one experiment with one version of the project."""

    def __init__(self, tree: Path, name: str, device: str, root: Path) -> None:
        threads = os.environ.get("THREADS", "1")
        settings = {**os.environ, "PYTHONPATH": str(tree), "OMP_NUM_THREADS": threads, "MKL_NUM_THREADS": threads}
        command = [sys.executable, str(Path(__file__).resolve()), "serve", name, device, str(root)]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, encoding="utf-8", env=settings, cwd=tree
        )
        self._line()

    def ask(self, what: str) -> float:
        """`run` or `count`."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{what}\n")
        self._process.stdin.flush()
        return float(self._line())

    def _line(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError("the process of a version ended")
        return line

    def close(self) -> None:
        """Ends the process."""
        self._process.communicate()


def lines(name: str, root: Path, other: Path | None, rounds: int) -> list[str]:
    """Lines of the table of one experiment."""
    here, found = Path(__file__).resolve().parents[1], []
    for device in COUNTERPARTS:
        if os.environ.get("ONLY", "") not in f"{name} {device}":
            continue
        versions = [Version(tree, name, device, root) for tree in (here, other) if tree is not None]
        times: list[list[float]] = [[] for _ in versions]
        for _ in range(rounds):
            for version, taken in zip(versions, times, strict=True):
                taken.append(version.ask("run") * 1e3)
        told = "  ".join(
            f"{version.ask('count'):6.0f} calls {median(taken):6.2f} ms (least {min(taken):6.2f})"
            for version, taken in zip(versions, times, strict=True)
        )
        for version in versions:
            version.close()
        factor = f"  {median(times[1]) / median(times[0]):.2f} times" if other is not None else ""
        found.append(f"{name:12s} {device:28s} {told}{factor}")
    return found


def main() -> None:
    """Prints the table."""
    if sys.argv[1:2] == ["serve"]:
        return serve(sys.argv[2], sys.argv[3], Path(sys.argv[4]))
    other = Path(sys.argv[1]) if sys.argv[1:] else None
    rounds, root = int(os.environ.get("ROUNDS", "9")), os.environ.get("DATA")
    print("a step of this version" + ("" if other is None else ", of the other one, and how many times faster"))
    for name in ("digits", "mnist-dense") if root else ("digits",):
        for line in lines(name, Path(root or "."), other, rounds):
            print(line, flush=True)
    return None


if __name__ == "__main__":
    main()
