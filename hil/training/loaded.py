"""A trained run taken up again: its model on any counterpart, its experiment and its data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

import torch
from torch import Tensor, nn

from firmware_specs.printable import printable
from firmware_specs.shown import Shown, told
from hil import data
from hil.counterparts import convolutions
from hil.counterparts.device_snapshot import below
from hil.counterparts.opening.bench import open_bench
from hil.counterparts.seam import Bench
from hil.data import Dataset
from hil.experiments import experiment_file
from hil.experiments.schema import Experiment
from hil.learning.loss import task
from hil.learning.model import build, energy_blocks
from hil.training.evaluate import Evaluation, evaluate
from hil.training.run import checkpoint
from hil.training.run.folder import RunError, RunFolder, find
from hil.training.stopping import stops

Which = Literal["newest", "best"]


@dataclass(frozen=True, repr=False)
class LoadedRun(Shown):
    """An open run; close it, or use it in a `with` statement.

    Attributes:
        folder: Where it lies.
        experiment: What was trained.
        bench: The open counterpart.
        model: With the trained weights, on the bench, ready to be tested or trained on.
        data_root: Folder that holds the data sets.
    """

    folder: RunFolder
    experiment: Experiment
    bench: Bench
    model: nn.Sequential
    data_root: Path

    @cached_property
    def dataset(self) -> Dataset:
        """What it learned from."""
        return data.load(self.experiment.data, self.data_root)

    def evaluate(self) -> Evaluation:
        """Tests the model on the test samples."""
        return evaluate(self.model, self.dataset, task(self.experiment.loss), self.experiment.run.eval_batch)

    def facts(self) -> dict[str, object]:
        """Folder, counterpart and what the run measured."""
        return {**self.folder.facts(), "on": self.bench.address}

    def __repr__(self) -> str:
        """The facts in a line."""
        return told(self, self.facts())

    def close(self) -> None:
        """Leaves the counterpart in its safe state."""
        self.bench.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def load_run(
    run: str | Path,
    device: str | None = None,
    *,
    data_root: str | Path = "data",
    which: Which = "newest",
    visa_library: str | None = None,
) -> LoadedRun:
    """Opens a trained run.

    On its own counterpart an emulated chip is as the checkpoint left it, cells and noise included; on another one the
    weights are written anew.

    Args:
        run: Its folder.
        device: Address of another counterpart; the run's own when omitted.
        data_root: Folder that holds the data sets.
        which: The newest checkpoint, or the weights of the best epoch (`run.keep_best`).
        visa_library: VISA library, as pyvisa names it, where one is involved.

    Raises:
        RunError: there is no run, no such checkpoint, or weights that only its own chip has.
    """
    if not isinstance(run, str | Path):
        raise RunError(f"{run!r:.80} names no run: the folder of one is expected, e.g. load_run('runs/digits')")
    folder = find(Path(run))
    experiment = experiment_file.load(folder.config)
    found = weights_of(folder, which)
    own = device is None or device == experiment.device
    if experiment.update.kind != "rewrite" and not own:
        raise RunError(
            f"{run}: trained by pulses (update.kind = {experiment.update.kind!r}): the weights are in the cells of "
            f"{experiment.device} and nowhere else"
        )
    free, nudged = stops(experiment.settle)
    dtype = getattr(torch, experiment.run.dtype)
    address = device or experiment.device
    bench = open_bench(
        address,
        dtype=dtype,
        stop=free,
        nudged_stop=nudged,
        visa_library=visa_library,
        convolutions=experiment.settle.convolutions,
    )
    try:
        dataset = data.load(experiment.data, Path(data_root))
        model = build(experiment, bench, dataset.shape, dataset.classes)
        take_weights(model, found.tensors, str(run))
        held = below("bench.", found.tensors)
        if (chosen := convolutions.chosen_by(bench)) is not None:
            convolutions.take(chosen, found.facts.get("convolutions"))
        if own and held:
            bench.load_state_dict(held)
        for block in energy_blocks(model).values():
            block.observer = None
        return LoadedRun(folder, experiment, bench, model, Path(data_root))
    except BaseException:
        bench.close()
        raise


def weights_of(folder: RunFolder, which: Which = "newest") -> checkpoint.Checkpoint:
    """The checkpoint a run's weights are taken from.

    Raises:
        RunError: there is none.
    """
    found = checkpoint.newest(folder.best if which == "best" else folder.checkpoints)
    if found is None:
        wanted = "weights of a best epoch (run.keep_best = true)" if which == "best" else "checkpoint that reads back"
        raise RunError(f"{folder.path}: no {wanted}; put one back from a copy, or name another run")
    return found


def take_weights(model: nn.Module, tensors: Mapping[str, Tensor], whose: str) -> None:
    """Gives a model the weights of a checkpoint.

    Raises:
        RunError: it is another model, with the first name or shape that differs.
    """
    weights, own = below("model.", tensors), model.state_dict()
    for name in sorted(weights.keys() | own.keys()):
        shapes = [tuple(held[name].shape) if name in held else "nothing" for held in (weights, own)]
        if shapes[0] != shapes[1]:
            raise RunError(
                f"{whose} is another model: {printable(name, 200)}: it has {shapes[0]}, this one {shapes[1]}"
            )
    model.load_state_dict(weights)
