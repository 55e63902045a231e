"""One point of a study: trains it in a run folder of its own, lets the chip wait, tests it."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

import tomli_w
import torch

from firmware_specs.addresses import split_options
from hil import data
from hil.commands.train import open_and_train
from hil.counterparts.emulator import EmulatorBench
from hil.counterparts.opening.bench import open_bench
from hil.counterparts.opening.meant import check_address
from hil.experiments import experiment_file
from hil.experiments.schema import Experiment
from hil.learning import loss as losses
from hil.learning.model import build
from hil.terminal import Terminal
from hil.training.evaluate import evaluate
from hil.training.optimize import optimizer
from hil.training.ranks import Ranks
from hil.training.run import checkpoint
from hil.training.run.atomic import write_json, write_text
from hil.training.run.folder import RunFolder, refuse_lost
from hil.training.state import Position, TrainState
from hil.training.study import chip, quality
from hil.training.study.grid import CHIP_KEYS, EXPERIMENT_KEYS, FROZEN, NAMED, RULE, WAIT, Point, Row, StudyError, Value
from hil.training.update import CellUpdates

WORKER = "{worker}"
"""In an address: the name of the worker, 0, 1, ... on this machine."""


@dataclass(frozen=True)
class Task:
    """What a worker process needs.

    Attributes:
        experiment: Name or file.
        overrides: `key=value`, before the point's own.
        device: Address, unless the point has one.
        point: Which.
        folder: Of the point.
        data_root: Folder of the data sets.
        threads: Torch threads; 0: as many as the worker has.
        visa_library: In place of what a bench file says.
        worker: Name of the worker that has it; `{worker}` in an address stands for it.
    """

    experiment: str
    overrides: tuple[str, ...]
    device: str | None
    point: Point
    folder: Path
    data_root: Path
    threads: int
    visa_library: str | None = None
    worker: str = "0"

    def document(self) -> dict[str, Any]:
        """As JSON values."""
        return asdict(self) | {"folder": str(self.folder), "data_root": str(self.data_root.absolute())}

    @classmethod
    def of_document(cls, found: dict[str, Any]) -> Self:
        """The task of a document."""
        point = Point(found["point"]["values"], tuple(found["point"]["waits_s"]))
        places = {"folder": Path(found["folder"]), "data_root": Path(found["data_root"])}
        return cls(**{**found, "overrides": tuple(found["overrides"]), "point": point, **places})

    @property
    def address(self) -> str | None:
        """Of the counterpart, as it was asked for; None where the experiment says it."""
        asked = self.point.values.get("device", self.device)
        return None if asked is None else str(asked)

    @property
    def has_device_of_worker(self) -> bool:
        """Whether every worker has a device of its own."""
        return WORKER in (self.address or "")

    def failed(self, note: str) -> list[Row]:
        """Rows of the point where it failed."""
        return self.point.rows([None] * max(1, len(self.point.waits_s)), note=note)


def run(task: Task) -> list[Row]:
    """Trains, or goes on training, tests, and leaves `point.json`; a refusal or failure becomes a row that says so."""
    torch.set_num_threads(max(1, task.threads))
    task.folder.mkdir(parents=True, exist_ok=True)
    try:
        rows = _rows(task)
    except (ValueError, ArithmeticError) as error:
        rows = task.failed(str(error))
    if rows:
        write_json(task.folder / "point.json", [vars(row) for row in rows])
    return rows


def _rows(task: Task) -> list[Row]:
    run_folder = task.folder / "run"
    opened = RunFolder(run_folder)
    refuse_lost(opened)
    resume = bool(checkpoint.names(opened.checkpoints))
    experiment = experiment_file.load(opened.config) if resume else _experiment(task)
    if resume and task.has_device_of_worker:  # another worker may go on with it, on its own device
        experiment = experiment.model_copy(update={"device": _asked(task)[0].device})
    with (task.folder / "log.txt").open("a", encoding="utf-8") as log:
        outcome, opened = open_and_train(
            Terminal(file=log),
            experiment,
            run_folder,
            task.data_root,
            Ranks(),
            resume=resume,
            overwrite=not resume,
            visa_library=task.visa_library,
        )
    if outcome.signal is not None:
        return []
    seconds, tested = (float(str(outcome.summary[key])) for key in ("seconds", "test_accuracy"))
    # without a wait the test at the end of the training is the one that was asked for
    asked = experiment.device.startswith(quality.OPEN) and task.point.values.get(RULE) != FROZEN
    cosine = quality.gradient_cosine(run_folder, task.data_root) if asked else None
    tests = _tests(experiment, opened, task) if task.point.waits_s else [tested]
    return task.point.rows(tests, seconds, cosine=cosine)


def _tests(experiment: Experiment, folder: RunFolder, task: Task) -> list[float]:
    """Test accuracy of the trained model after each wait, on the chip as the checkpoint left it."""
    dataset = data.load(experiment.data, task.data_root)
    newest = checkpoint.newest(folder.checkpoints)
    if newest is None:
        raise StudyError(f"{folder.path}: no checkpoint")
    dtype = getattr(torch, experiment.run.dtype)
    ways = experiment.settle.convolutions
    with open_bench(experiment.device, dtype=dtype, visa_library=task.visa_library, convolutions=ways) as bench:
        model = build(experiment, bench, dataset.shape, dataset.classes)
        host = CellUpdates(model, experiment.update, experiment.run.seed).host_parameters
        TrainState(model, optimizer(experiment.optimizer, host), bench, Position()).restore(newest)
        accuracies, waited_s = [], 0.0
        for wait_s in task.point.waits_s:
            if wait_s > waited_s:
                if not isinstance(bench, EmulatorBench):
                    raise StudyError(f"{WAIT}: only an emulated chip's clock can be wound forward, not {bench.address}")
                bench.chip.wait(wait_s - waited_s)
                waited_s = wait_s
            goal = losses.task(experiment.loss)
            found = evaluate(model, dataset, goal, experiment.run.eval_batch).accuracy
            accuracies.append(float("nan") if found is None else found)
    return accuracies


def check(task: Task) -> None:
    """Refuses what the point cannot begin with; a value that its datasheet refuses is left to its row.

    Raises:
        ExperimentError, AddressError, DatasheetError, StudyError: an experiment, key, rule or device there is not.
    """
    experiment, changes = _asked(task)
    check_address(experiment.device)
    if task.point.waits_s and not experiment.device.startswith(("emulator:", "bench:")):
        raise StudyError(f"{WAIT}: only an emulated chip's clock can be wound forward, not {experiment.device}")
    if changes:
        chip.check(experiment.device, changes)


def _experiment(task: Task) -> Experiment:
    """The point's experiment, its chip written beside it."""
    loaded, changes = _asked(task)
    query = split_options(loaded.device)[1]
    mark = "?" if query else ""
    emulated = loaded.device.startswith("emulator:")
    if emulated and "seed" in task.point.values:
        mark, query = "?", f"seed={task.point.values['seed']}"
    name = chip.sheet_of(loaded.device) if emulated else ""
    if changes:
        path = task.folder / "chip.toml"
        write_text(path, tomli_w.dumps(chip.changed(loaded.device, changes)))
        name = str(path)
    return loaded.model_copy(update={"device": f"emulator:{name}{mark}{query}"}) if emulated else loaded


def _asked(task: Task) -> tuple[Experiment, dict[str, Value]]:
    """The point's experiment on the device it names, and what is to be other in that chip's datasheet."""
    values = task.point.values
    overrides = list(task.overrides)
    rule = values.get(RULE, "ep")
    named = str(values.get(NAMED, task.experiment))
    baseline = experiment_file.load(named, overrides).baseline
    if rule == FROZEN:
        overrides.append('update={kind="frozen"}')
    elif rule not in ("ep", baseline.kind):
        overrides.append(f'estimator={{kind="{rule}"}}')
    for key, value in values.items():
        if key in (NAMED, RULE):
            continue
        if key in EXPERIMENT_KEYS or not (key == "device" or key in CHIP_KEYS or key.startswith("chip.")):
            overrides.append(f"{EXPERIMENT_KEYS.get(key, key)}={_toml(value)}")
    loaded = experiment_file.load(named, overrides)
    if rule == baseline.kind:
        loaded = loaded.model_copy(update={"estimator": baseline})
    address = _of_worker(task.address or loaded.device, task.worker)
    changes = {
        place: value
        for key, value in values.items()
        for place in CHIP_KEYS.get(key, (key.removeprefix("chip."),) if key.startswith("chip.") else ())
    }
    if changes and not address.startswith("emulator:"):
        raise StudyError(f"{', '.join(changes)}: keys of an emulated chip, but the device is {address}")
    return loaded.model_copy(update={"device": address}), changes


def _of_worker(address: str, worker: str) -> str:
    """An address with the worker's name in it.

    Raises:
        StudyError: the name is none that an address can have.
    """
    if WORKER in address and not re.fullmatch(r"[A-Za-z0-9_-]+", worker):
        raise StudyError(f"{address}: {worker!r} names no device: start workers with names, `dask worker --name 0`")
    return address.replace(WORKER, worker)


def _toml(value: Value) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
