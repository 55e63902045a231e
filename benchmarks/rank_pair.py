"""Two ranks against one on the same joined batches: `python -m benchmarks.rank_pair [EXPERIMENT [SET ...]]`.

One rank has one thread, and so has each of two: the ratio is what the second process and its messages leave of 2. The
time is that of whole training steps, exchange and update included, after one that warms up; start and data are not in
it. About a minute with the default experiment where two cores are free.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time

import torch

from benchmarks.nets import build_named
from hil.learning.loss import task
from hil.training.loop import step
from hil.training.optimize import optimizer
from hil.training.ranks import Ranks, joined
from hil.training.state import Position, TrainState
from hil.training.update import CellUpdates

EXPERIMENT = ("cifar10-6layer-3block", "settle.tolerance=1e-5", "settle.nudged_tolerance=0.0")
JOINED_BATCH, STEPS = 32, 4


def seconds_a_step(ranks: Ranks, name: str, settings: list[str]) -> float:
    """Wall time of a training step on this rank's part of the joined batch, from barrier to barrier."""
    experiment, model, classes, bench = build_named(name, settings)
    cells = CellUpdates(model, experiment.update, experiment.run.seed)
    state = TrainState(model, optimizer(experiment.optimizer, cells.host_parameters), bench, Position())
    images = torch.randn(JOINED_BATCH, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    labels = torch.arange(JOINED_BATCH) % classes
    mine = slice(ranks.rank, None, ranks.count)
    loss = task(experiment.loss)
    model.train()
    began = 0.0
    for number in range(1 + STEPS):
        if number == 1:
            ranks.wait()
            began = time.perf_counter()
        step(state, cells, experiment.optimizer.lr, loss, images[mine], labels[mine], ranks)
    ranks.wait()
    return (time.perf_counter() - began) / STEPS


def measured(count: int, arguments: list[str]) -> float:
    """The same in so many processes of their own, one thread each."""
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(count)]
    command = [*(launch if count > 1 else [sys.executable]), "-m", "benchmarks.rank_pair", "--rank", *arguments]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, check=True, env=environment, capture_output=True, text=True, encoding="utf-8")
    return float(json.loads(done.stdout.strip().splitlines()[-1]))


def main() -> None:
    """Prints the table; with `--rank`, in a process of its own, one figure."""
    if sys.argv[1:2] == ["--rank"]:
        with joined() as ranks:
            seconds = seconds_a_step(ranks, sys.argv[2], sys.argv[3:])
            if ranks.first:
                print(json.dumps(seconds))
        return
    arguments = sys.argv[1:] or list(EXPERIMENT)
    print(f"{arguments[0]}, joined batch {JOINED_BATCH}, {STEPS} steps, one thread a rank")
    for _ in range(2):
        one, two = measured(1, arguments), measured(2, arguments)
        print(f"  one rank {one:.3f} s a step, two ranks {two:.3f} s: {one / two:.2f} times", flush=True)


if __name__ == "__main__":
    main()
