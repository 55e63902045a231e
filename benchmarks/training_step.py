"""A training step: free phases, nudged phases, gradients and update, next to the authors' code."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.profiler import ProfilerActivity, profile
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.clock import alternate
from benchmarks.nets import build_like, build_named
from benchmarks.peer import Peer
from hil.experiments.schema import Experiment
from hil.gradients.followed import scores_and_loss
from hil.loss import LOSSES
from hil.training.optimize import optimizer

TOLERANCE = "settle.tolerance=1e-5"
KEEP_NUDGED = "settle.nudged_tolerance=0.0"


def table(name: str, batch: int, rounds: int, checkout: Path | None, peak: float) -> list[str]:
    """Lines of the table of one experiment; `peak` is the machine's, FLOP/s of float32 convolutions."""
    torch.manual_seed(0)
    experiment, model, classes = build_named(name)
    images, labels = torch.randn(batch, 3, 32, 32), torch.arange(batch) % classes
    steps: dict[str, Callable[[], object]] = {}
    if checkout is not None:
        peer = Peer.like(checkout, name, model, experiment, classes)
        settings = optimizer(experiment.optimizer, peer.model.parameters())
        steps["authors"] = lambda: (peer.step(images, labels), settings.step())
    steps["ours, same sweeps"] = _step(experiment, model, images, labels)
    for arithmetic in ("full", "mixed"):
        changes = [TOLERANCE, KEEP_NUDGED, f"device=reference:?arithmetic={arithmetic}"]
        net = build_like(model, name, changes)
        steps[f"ours, tolerance 1e-5, {arithmetic}"] = _step(experiment, net, images, labels)
    times = alternate(steps, rounds)
    base = times["authors"] if checkout is not None else times["ours, same sweeps"]
    in_convolutions = _convolution_share(steps["ours, same sweeps"])
    # torch's counter cannot look into gradients taken during a backward pass, as a re-evaluated nudge does
    constant = build_like(model, name, ["estimator.nudge=constant"])
    flops = _flops(_step(experiment, constant, images, labels))
    reached = flops / times["ours, same sweeps"].median / peak
    lines = [f"{name}, batch {batch}: images/s, ms a step, times faster, the same in CPU time, clean"]
    for label, timing in times.items():
        lines.append(
            f"  {label:28s} {batch / timing.median:8.1f} {timing.median * 1e3:9.1f} "
            f"{base.median / timing.median:6.2f} {base.cpu / timing.cpu:6.2f}  {timing.told}"
        )
    lines.append(
        f"  same sweeps: {flops / 1e9:.0f} GFLOP a step, {reached:.0%} of the convolution peak, "
        f"{in_convolutions:.0%} of the time in convolutions"
    )
    return lines


def _step(experiment: Experiment, model: nn.Module, images: Tensor, labels: Tensor) -> Callable[[], object]:
    settings, loss = optimizer(experiment.optimizer, model.parameters()), LOSSES[experiment.loss]

    def step() -> None:
        settings.zero_grad(set_to_none=True)
        scores_and_loss(model, loss, images, labels)[1].backward()
        settings.step()

    return step


def _flops(step: Callable[[], object]) -> float:
    with FlopCounterMode(display=False) as counter:
        step()
    return float(counter.get_total_flops())


def _convolution_share(step: Callable[[], object]) -> float:
    with profile(activities=[ProfilerActivity.CPU]) as recorded:
        step()
    events = recorded.key_averages()
    spent = sum(e.self_cpu_time_total for e in events if "convolution" in e.key)
    return float(spent / sum(e.self_cpu_time_total for e in events))
