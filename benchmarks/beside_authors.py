"""Settles and training steps beside the authors' code, on one thread and on two, in turn; no float64 reference.

    PEER=DIR [BATCH=16] [ROUNDS=2] python -m benchmarks.beside_authors settle|step [EXPERIMENT ...]

PEER is a checkout of rain-neuromorphics/hybrid_bp_ep_official, which needs `omegaconf`. What errors these settles have:
`python -m benchmarks`. Where other processes are at work, one thread's CPU time and nothing else holds.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

import torch

from benchmarks.__main__ import peak_flops
from benchmarks.clock import alternate
from benchmarks.nets import build_like, build_named
from benchmarks.peer import Peer
from benchmarks.settle_states import settled
from benchmarks.training_step import TOLERANCE, training_step
from emulator.network import Stop
from hil.training.optimize import optimizer

DEFAULT = ("cifar10-6layer-3block", "cifar10-12layer-6block", "cifar100-15layer")


def runs(what: str, name: str, batch: int, checkout: Path) -> dict[str, Callable[[], object]]:
    """The authors' code, ours at the same sweeps, ours to a tolerance."""
    torch.manual_seed(0)
    built = build_named(name)
    experiment, model, classes, _ = built
    images, labels = torch.randn(batch, 3, 32, 32), torch.arange(batch) % classes
    peer = Peer.like(checkout, name, model, experiment, classes)
    if what == "settle":
        sweeps = Stop(experiment.settle.max_iterations, 0.0)
        return {
            "authors": lambda: peer.settle(images),
            "same sweeps": lambda: settled(model, images, sweeps),
            "tolerance 1e-5": lambda: settled(model, images, Stop(500, 1e-5)),
        }
    theirs = optimizer(experiment.optimizer, peer.model.parameters())

    def step() -> None:
        peer.step(images, labels)
        theirs.step()

    return {
        "authors": step,
        "same sweeps": training_step(built, images, labels),
        "tolerance 1e-5": training_step(build_like(model, name, TOLERANCE), images, labels),
    }


def main() -> None:
    """Prints a line a way, seconds of wall and CPU time on each number of threads."""
    what, *names = sys.argv[1:] or ["settle"]
    batch, rounds = int(os.environ.get("BATCH", "16")), int(os.environ.get("ROUNDS", "2"))
    taken: dict[str, dict[int, dict[str, tuple[float, float]]]] = {}
    for threads in (1, 2):
        torch.set_num_threads(threads)
        print(f"{threads} threads: {peak_flops() / 1e9:.0f} GFLOP/s in convolutions, load {os.getloadavg()[0]:.0f}")
    for name in names or DEFAULT:
        functions = runs(what, name, batch, Path(os.environ["PEER"]))
        for threads in (1, 2):
            torch.set_num_threads(threads)
            times = alternate(functions, rounds, patience=1)
            taken.setdefault(name, {})[threads] = {label: (t.best, t.cpu) for label, t in times.items()}
        one, two = taken[name][1], taken[name][2]
        print(f"{name}, {what}, batch {batch}: ms (CPU) and times the authors' on 1 thread, on 2; 2 threads against 1")
        for label in functions:
            cells = [
                f"{wall * 1e3:7.0f} ({cpu * 1e3:6.0f}) {of['authors'][0] / wall:6.2f} ({of['authors'][1] / cpu:6.2f})"
                for of in (one, two)
                for wall, cpu in [of[label]]
            ]
            print(f"  {label:16s} {'  '.join(cells)}  {one[label][0] / two[label][0]:5.2f}", flush=True)


if __name__ == "__main__":
    main()
