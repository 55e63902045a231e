"""A training step on an emulated chip with every effect of its datasheet, next to the same step without them.

The chip without effects has the same ranges, stopping rule and nudges: ideal converters, no noise, no mismatch, exact
programming. `reference:` nudges by beta instead of the nudge converter's range and therefore needs fewer sweeps.
CPU time of the process is compared, so that other processes disturb little. `python -m benchmarks.effects`. Then what
wires cost: a settle, one after new weights were written, and a training step, with a preset's wires and without.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from benchmarks.clock import cpu_seconds
from emulator.chip import Chip
from emulator.network import Stop
from firmware_specs.chains import dense_chain
from firmware_specs.datasheet import Datasheet, load
from firmware_specs.datasheet.wires import Wires
from hil.counterparts.emulator import EmulatorBench
from hil.counterparts.reference import ReferenceBench
from hil.counterparts.seam import Bench
from hil.experiments import experiment_file
from hil.learning.model import build
from hil.training.optimize import optimizer

EXPERIMENTS = ("mnist-dense", "mnist-conv")
DATASHEET = "mixed-8bit"
WIRED = ("pcm", "reram")


def table(rounds: int = 15) -> list[str]:
    """Lines of the table: CPU milliseconds a training step, and times the chip without effects."""
    lines = [f"a training step on {DATASHEET}, {torch.get_num_threads()} thread(s): CPU ms, ratio"]
    sheet = load(DATASHEET)
    for name in EXPERIMENTS:
        benches: dict[str, Bench] = {
            "reference": ReferenceBench(Stop(sheet.settle.max_iterations, sheet.settle.tolerance)),
            "no effects": EmulatorBench(Chip(without_effects(sheet)), "emulator:no-effects"),
            "all effects": EmulatorBench(Chip(sheet), f"emulator:{DATASHEET}"),
        }
        times = cpu_seconds({label: _step(name, bench) for label, bench in benches.items()}, rounds)
        for label, seconds in times.items():
            lines.append(f"  {name:12s} {label:12s} {seconds * 1e3:8.1f} {seconds / times['no effects']:6.2f}")
    return lines


def wires_table(rounds: int = 15) -> list[str]:
    """Lines of the table: CPU milliseconds with ideal wires and with the preset's, and their ratio."""
    lines = [f"wires, approximated line by line, {torch.get_num_threads()} thread(s): CPU ms without, with, ratio"]
    for name in WIRED:
        sheets = {"without": load(name).model_copy(update={"wires": Wires()}), "with": load(name)}
        for what, work in (("settle", _settle), ("write, settle", _write_and_settle), ("mnist-dense step", _training)):
            times = cpu_seconds({label: work(sheet) for label, sheet in sheets.items()}, rounds)
            without, wired = times["without"] * 1e3, times["with"] * 1e3
            lines.append(f"  {name:8s} {what:18s} {without:8.2f} {wired:8.2f} {wired / without:6.2f}")
    return lines


def _settle(sheet: Datasheet) -> Callable[[], object]:
    chip, _, drive = _programmed(sheet)
    return lambda: chip.settle(0, drive)


def _write_and_settle(sheet: Datasheet) -> Callable[[], object]:
    chip, targets_s, drive = _programmed(sheet)

    def act() -> None:
        chip.program(0, targets_s)
        chip.settle(0, drive)

    return act


def _training(sheet: Datasheet) -> Callable[[], object]:
    return _step("mnist-dense", EmulatorBench(Chip(sheet), "emulator:wires"))


def _programmed(sheet: Datasheet) -> tuple[Chip, list[Tensor], Tensor]:
    """A 128 - 128 network that settles in 20 sweeps whatever its weights, and drives for a batch of 64."""
    stop = sheet.settle.model_copy(update={"max_iterations": 20, "tolerance": 0.0})
    chip, draw, cells = Chip(sheet.model_copy(update={"settle": stop})), torch.Generator().manual_seed(0), sheet.cells
    chip.configure(0, dense_chain([128, 128]))
    targets_s = [cells.g_min_s + torch.rand(2, 129, 128, generator=draw) * cells.span_s * 0.1]
    chip.program(0, targets_s)
    return chip, targets_s, torch.rand(64, 128, generator=draw) * 1e-5


def without_effects(sheet: Datasheet) -> Datasheet:
    """The same ranges and stopping rule, nothing else."""
    ideal = {"bits": 0, "noise_sigma_v": 0.0}
    still = {"gain_mismatch_sigma": 0.0, "offset_mismatch_sigma_v": 0.0}
    return sheet.model_copy(
        update={
            "cells": sheet.cells.model_copy(update={"programming_noise": 0.0}),
            "neurons": sheet.neurons.model_copy(update=still),
            "drive_dac": sheet.drive_dac.model_copy(update={"bits": 0}),
            "nudge_dac": sheet.nudge_dac.model_copy(update={"bits": 0}),
            "state_adc": sheet.state_adc.model_copy(update=ideal),
            "output_adc": sheet.output_adc.model_copy(update=ideal),
        }
    )


def _step(name: str, bench: Bench) -> Callable[[], object]:
    experiment = experiment_file.load(name, ["estimator.auto_range=true"])
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
    print("\n".join([*table(), *wires_table()]))
