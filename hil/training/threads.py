"""How many threads torch uses: one where more are not faster, which is so for small layers.

Where every block settles by a compiled function, which has one thread, size alone decides, so that the same experiment
on the same machine runs the same arithmetic however busy it is. Else threads are timed.

What is timed is the work of a sweep, products of the model's largest block and the clamps between, on as many samples
as a step has; nothing is sent to a counterpart. `OMP_NUM_THREADS` in the environment decides instead of it, and a run
that goes on keeps the number it began with, where the machine has so many.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn

from emulator.compiled import library
from hil.counterparts.compiled import Compiled
from hil.learning.model import energy_blocks
from hil.training.run.documents import sessions
from hil.training.run.folder import RunFolder

ROUNDS, REPEATS = 5, 4
GAIN = 0.9
"""More threads must take at most this share of one thread's time."""
MOST_WORK = 5e7
"""Multiplications beyond which more threads are taken to be faster, without a look."""
ALONE = 2e6
"""Multiplications up to which compiled blocks have one thread whatever there is: 0.04 ms, a few calls of torch."""


def choose(model: nn.Module, batch: int, run: Path | None = None) -> str:
    """Sets torch's threads.

    Args:
        model: Placed.
        batch: Samples a step.
        run: Folder of the run that is gone on with.

    Returns:
        A sentence where the number was changed, else nothing.
    """
    usual = torch.get_num_threads()
    on_host = all(parameter.device.type == "cpu" for parameter in model.parameters())
    if usual == 1 or "OMP_NUM_THREADS" in os.environ or not on_host:
        return ""
    if run is not None:
        torch.set_num_threads(min(_of(run) or usual, usual))
        return ""
    shapes = [p.shape for block in energy_blocks(model).values() for p in block.parameters() if p.ndim > 1]
    if not shapes:
        return ""
    largest = max(shapes, key=lambda shape: shape.numel())
    if _compiled(model):
        if batch * largest.numel() > max(ALONE, MOST_WORK / usual):
            return ""
        torch.set_num_threads(1)
        return f"on one thread, for which dense blocks are compiled (OMP_NUM_THREADS={usual} asks for more)"
    if batch * largest.numel() > MOST_WORK:
        return ""
    work = _sweep(batch, largest[0], largest[1:].numel())
    taken = {threads: _fastest(work, threads) for threads in (1, usual)}
    if taken[usual] <= GAIN * taken[1]:
        torch.set_num_threads(usual)
        return ""
    torch.set_num_threads(1)
    return f"on one thread: {usual} are not faster for layers of this size (OMP_NUM_THREADS={usual} asks for them)"


def form_beside(model: nn.Module) -> None:
    """Has the functions that its blocks settle or convert by formed while a run begins, not within its first step."""
    blocks = energy_blocks(model).values()
    if any(isinstance(block.array, Compiled) and block.array.calls_functions(_own(block)) for block in blocks):
        library.form_beside()


def _compiled(model: nn.Module) -> bool:
    """Whether all energy blocks settle by compiled functions."""
    blocks = energy_blocks(model).values()
    return all(isinstance(block.array, Compiled) and block.array.compiled(_own(block)) for block in blocks)


def _own(block: nn.Module) -> dict[str, Tensor]:
    return {name: value.detach() for name, value in block.named_parameters(recurse=False)}


def _of(run: Path) -> int | None:
    """Threads that a run began with."""
    began = [session.get("threads") for session in sessions(RunFolder(run).provenance)]
    return began[0] if began and isinstance(began[0], int) and began[0] > 0 else None


def _sweep(batch: int, outputs: int, inputs: int) -> Callable[[], object]:
    weight, states = torch.randn(outputs, inputs), torch.randn(batch, inputs)

    def work() -> object:
        return ((states @ weight.T).clamp(0, 1) @ weight).clamp(0, 1)

    return work


def _fastest(work: Callable[[], object], threads: int) -> float:
    torch.set_num_threads(threads)
    taken = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        for _ in range(REPEATS):
            work()
        taken.append(time.perf_counter() - began)
    return min(taken)
