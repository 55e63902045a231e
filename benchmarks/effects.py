"""A training step on an emulated chip with every effect of its datasheet, next to the ideal relaxation.

Both run the same sweeps (the tolerance is 0), so that the ratio is the price of converters, noise, mismatch and
programming alone. `python -m benchmarks.effects` prints the table.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch.nn.functional import cross_entropy

from benchmarks.clock import alternate
from emulator.chip import Chip
from emulator.network import Stop
from firmware_specs.datasheet import load
from hil import experiment_file
from hil.backends.emulator import EmulatorBench
from hil.backends.reference import ReferenceBench
from hil.backends.seam import Bench
from hil.model import build
from hil.optimize import optimizer

EXPERIMENTS = ("mnist-dense", "mnist-conv")
DATASHEETS = ("mixed-8bit",)
SWEEPS = 12


def table(rounds: int = 15) -> list[str]:
    """Lines of the table: milliseconds a training step, and times the ideal relaxation."""
    lines = [f"a training step, {SWEEPS} sweeps a phase: ms, times the ideal relaxation, clean samples"]
    for name in EXPERIMENTS:
        benches = {"ideal relaxation": ReferenceBench(Stop(SWEEPS, 0.0))} | {s: _chip(s) for s in DATASHEETS}
        times = alternate({label: _step(name, bench) for label, bench in benches.items()}, rounds)
        ideal = times["ideal relaxation"].median
        for label, timing in times.items():
            clean = f"{len(timing.seconds)}/{timing.samples}"
            lines.append(f"  {name:12s} {label:16s} {timing.median * 1e3:8.1f} {timing.median / ideal:6.2f}  {clean}")
    return lines


def _chip(name: str) -> Bench:
    sheet = load(name)
    settle = sheet.settle.model_copy(update={"max_iterations": SWEEPS, "tolerance": 1e-30})
    return EmulatorBench(Chip(sheet.model_copy(update={"settle": settle})), f"emulator:{name}")


def _step(name: str, bench: Bench) -> Callable[[], object]:
    experiment = experiment_file.load(name)
    model = build(experiment, bench, (1, 28, 28), 10)
    update = optimizer(experiment.optimizer, model.parameters())
    torch.manual_seed(0)
    images = torch.rand(experiment.run.batch, 1, 28, 28)
    labels = torch.randint(10, (experiment.run.batch,))

    def step() -> None:
        update.zero_grad()
        cross_entropy(model(images), labels).backward()
        update.step()

    return step


if __name__ == "__main__":
    print("\n".join(table()))
