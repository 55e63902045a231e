"""The trainings of a benchmark as points of a study: trials of the rules, then every task, learning and frozen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from firmware_specs.addresses import split_options
from hil.experiments import experiment_file
from hil.training.benchmark.rules import TRIAL_SEED, VALIDATION
from hil.training.run import metrics
from hil.training.run.folder import RunFolder
from hil.training.study.grid import FROZEN, NAMED, SEED, Point
from hil.training.study.point import Task

LEARNING = "ep"
"""The value of `rule` beside `frozen`: as the experiment has it, the cells by the chosen update."""
ONCE = ("run.epochs=1",)
"""Of frozen cells where the host has nothing to learn either: the samples are seen once, for batch norm."""


@dataclass(frozen=True)
class Setting:
    """What all trainings of a benchmark share.

    Attributes:
        address: Of the counterpart.
        folder: Of the benchmark.
        data_root: Folder of the data sets.
        threads: Torch threads of a training.
        visa_library: In place of what a bench file says.
    """

    address: str
    folder: Path
    data_root: Path
    threads: int = 1
    visa_library: str | None = None

    def task(self, experiment: str, overrides: Sequence[str], seed: int, **values: str) -> Task:
        """A training; a specimen that the address names stays the same, otherwise every seed has its own."""
        head, _, rest = self.address.partition(":")
        own = head == "emulator" and "seed=" not in split_options(rest)[1]
        point = Point({NAMED: experiment, **values, SEED if own else "run.seed": seed})
        place = (self.folder / "points" / point.name).absolute()
        return Task(
            experiment, tuple(overrides), self.address, point, place, self.data_root, self.threads, self.visa_library
        )

    def trial(self, experiment: str, update: str) -> Task:
        """A rule on the task that rules are tried on, with samples set apart to judge it by."""
        return self.task(experiment, (f"data.validation={VALIDATION}",), TRIAL_SEED, update=update)

    def pair(self, experiment: str, update: str, seed: int) -> tuple[Task, Task]:
        """A task with cells that learn, and with cells that stay as they began."""
        learning = self.task(experiment, (f"update={update}",), seed, rule=LEARNING)
        nothing_learns = experiment_file.load(experiment).readout == "none"
        return learning, self.task(experiment, ONCE if nothing_learns else (), seed, rule=FROZEN)


def validated(task: Task) -> float | None:
    """Accuracy of a trial's last epoch on the samples set apart; None where it did not come so far."""
    epochs = [r for r in metrics.read(RunFolder(task.folder / "run").metrics) if r["kind"] == "epoch"]
    found = epochs[-1].get("validation_accuracy") if epochs else None
    return float(found) if isinstance(found, int | float) else None
