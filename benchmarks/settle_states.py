"""Settling by iterations and by state error, next to the authors' code: same weights, same inputs, in turn.

The reference is a long float64 settle of our own. Errors are relative norms over all states, and the largest change of
any state. Rounding can flip the maximum of a pooling window that is nearly tied, and such a window then settles to
another, equally valid minimum: the largest error shows that, the norm hardly does.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn

from benchmarks.clock import alternate
from benchmarks.nets import build_like, build_named
from benchmarks.peer import Peer
from emulator.network import Stop
from hil.counterparts.reference import ReferenceArray
from hil.counterparts.seam import States
from hil.learning.model import energy_blocks

TOLERANCES = (1e-4, 1e-5)


def table(name: str, batch: int, rounds: int, checkout: Path | None) -> list[str]:
    """Lines of the table of one experiment."""
    torch.manual_seed(0)
    experiment, model, classes, _ = build_named(name)
    images = torch.randn(batch, 3, 32, 32)
    sweeps = Stop(experiment.settle.max_iterations, 0.0)
    mixed = build_like(model, name, ["device=reference:?arithmetic=mixed"]).model
    wanted = settled(build_like(model, name, ["run.dtype=float64"]).model, images.double(), Stop(2000, 1e-11))
    runs: dict[str, Callable[[], list[States]]] = {}
    if checkout is not None:
        peer = Peer.like(checkout, name, model, experiment, classes)
        runs["authors"] = lambda: [tuple(s) for s in peer.settle(images)]
        runs["authors, their tolerance 1e-5"] = lambda: [tuple(s) for s in peer.settle(images, 1e-5)]
    for label, net in (("full", model), ("mixed", mixed)):
        runs[f"{label}, {sweeps.max_iterations} sweeps"] = partial(settled, net, images, sweeps)
    for tolerance in TOLERANCES:
        for label, net in (("full", model), ("mixed", mixed)):
            runs[f"{label}, tolerance {tolerance:.0e}"] = partial(settled, net, images, Stop(500, tolerance))
    found = {label: errors(run(), wanted) for label, run in runs.items()}
    times = alternate(runs, rounds)
    base = times["authors"] if checkout is not None else next(iter(times.values()))
    lines = [f"{name}, batch {batch}: relative error, largest error, ms, times faster, the same in CPU time, clean"]
    for label, timing in times.items():
        norm, largest = found[label]
        lines.append(
            f"  {label:30s} {norm:8.1e} {largest:8.1e} {timing.median * 1e3:9.1f} "
            f"{base.median / timing.median:6.2f} {base.cpu / timing.cpu:6.2f}  {timing.told}"
        )
    return lines


def settled(model: nn.Module, images: Tensor, stop: Stop) -> list[States]:
    """Free states of every block; batch norm uses the batch, as in training."""
    states = []
    model.train()
    *blocks, _ = model.children()
    energies = list(energy_blocks(model).values())
    with torch.no_grad():
        images = images.contiguous(memory_format=torch.channels_last)
        for block, energy in zip(blocks, energies, strict=True):
            array = energy.array
            assert isinstance(array, ReferenceArray)
            energy.program()
            array.stop = stop
            settled = array.settle(block.get_submodule("feedforward")(images))
            states.append(settled.free)
            images = settled.free[-1]
    return states


def errors(found: list[States], wanted: list[States]) -> tuple[float, float]:
    """Relative norm of the error of all states, and the largest error of one."""
    pairs = [(a.double(), b) for x, y in zip(found, wanted, strict=True) for a, b in zip(x, y, strict=True)]
    norm = sum(float((a - b).square().sum()) for a, b in pairs) / sum(float(b.square().sum()) for _, b in pairs)
    return norm**0.5, max(float((a - b).abs().max()) for a, b in pairs)
