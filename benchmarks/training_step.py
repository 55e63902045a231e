"""A training step as `hil train` does it: free phases, nudged phases, gradients, update; next to the authors' code."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import Tensor
from torch.profiler import ProfilerActivity, profile
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.clock import alternate
from benchmarks.nets import Built, build_like, build_named
from benchmarks.peer import Peer
from hil.learning.loss import task
from hil.training.loop import step
from hil.training.optimize import optimizer
from hil.training.ranks import ALONE
from hil.training.state import Position, TrainState
from hil.training.update import CellUpdates

TOLERANCE = ("settle.tolerance=1e-5", "settle.nudged_tolerance=0.0")
PRODUCTS = ("convolution", "bmm", "mm", "addmm", "linear")


def table(name: str, batch: int, rounds: int, checkout: Path | None, peak: float) -> list[str]:
    """Lines of the table of one experiment; `peak` is the machine's, FLOP/s of float32 convolutions."""
    torch.manual_seed(0)
    built = build_named(name)
    images, labels = torch.randn(batch, 3, 32, 32), torch.arange(batch) % built.classes
    steps: dict[str, Callable[[], object]] = {}
    if checkout is not None:
        peer = Peer.like(checkout, name, built.model, built.experiment, built.classes)
        settings = optimizer(built.experiment.optimizer, peer.model.parameters())

        def authors() -> None:
            peer.step(images, labels)
            settings.step()

        steps["authors"] = authors
    steps["ours, same sweeps"] = training_step(built, images, labels)
    for arithmetic in ("full", "mixed"):
        changes = [*TOLERANCE, f"device=reference:?arithmetic={arithmetic}"]
        other = build_like(built.model, name, changes)
        steps[f"ours, tolerance 1e-5, {arithmetic}"] = training_step(other, images, labels)
    times = alternate(steps, rounds)
    base = times["authors"] if checkout is not None else times["ours, same sweeps"]
    lines = [f"{name}, batch {batch}: images/s, ms a step, times faster, the same in CPU time, clean"]
    for label, timing in times.items():
        lines.append(
            f"  {label:28s} {batch / timing.median:8.1f} {timing.median * 1e3:9.1f} "
            f"{base.median / timing.median:6.2f} {base.cpu / timing.cpu:6.2f}  {timing.told}"
        )
    flops = direct_flops(built, name) * batch
    seconds = times["ours, same sweeps"].cpu / torch.get_num_threads()
    share = products_share(steps["ours, same sweeps"])
    lines.append(
        f"  same sweeps: worth {flops / 1e9:.0f} GFLOP of direct convolutions a step, {flops / seconds / peak:.0%} of "
        f"their measured peak; {share:.0%} of the time in convolutions and matrix products"
    )
    return lines


def training_step(built: Built, images: Tensor, labels: Tensor) -> Callable[[], object]:
    """A whole step with update, on these images."""
    experiment, model, _, bench = built
    cells = CellUpdates(model, experiment.update, experiment.run.seed)
    state = TrainState(model, optimizer(experiment.optimizer, cells.host_parameters), bench, Position())
    model.train()
    return lambda: step(state, cells, experiment.optimizer.lr, task(experiment.loss), images, labels, ALONE)


def direct_flops(built: Built, name: str) -> float:
    """Floating-point operations of a step with the experiment's sweeps and direct convolutions, one image."""
    # torch's counter cannot look into gradients taken during a backward pass, as a re-evaluated nudge does
    constant = build_like(built.model, name, ["estimator.nudge=constant", "settle.convolutions=direct"])
    with _one_thread(), FlopCounterMode(display=False) as counter:
        training_step(constant, torch.randn(2, 3, 32, 32), torch.arange(2) % built.classes)()
    return float(counter.get_total_flops()) / 2


def products_share(run: Callable[[], object]) -> float:
    """Share of the time inside convolutions and matrix products, those of Winograd's schemes included."""
    with _one_thread(), profile(activities=[ProfilerActivity.CPU]) as recorded:
        run()
    events = recorded.key_averages()
    spent = sum(e.self_cpu_time_total for e in events if e.key.removeprefix("aten::") in PRODUCTS or "conv" in e.key)
    return float(spent / sum(e.self_cpu_time_total for e in events))


@contextmanager
def _one_thread() -> Iterator[None]:
    """What counts and records calls does not see those of the threads that share a settle's samples."""
    usual = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(usual)
