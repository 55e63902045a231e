"""One run, one folder: what lies in it, how it starts and how it is taken up again."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from hil.experiments import experiment_file
from hil.experiments.schema import Experiment
from hil.training.run import checkpoint
from hil.training.run.atomic import write_text


class RunError(ValueError):
    """A run folder that cannot be used as asked; the message says what to do instead."""


def of_rank(path: Path, rank: int) -> Path:
    """Folder of one process of a data-parallel run: the run's own for the first, one below `ranks` for each other."""
    return path if rank == 0 else path / "ranks" / str(rank)


@dataclass(frozen=True)
class RunFolder:
    """Paths of a run.

    Attributes:
        path: The folder: `config.toml`, `provenance.json`, `metrics.jsonl`, `tensorboard/`, `checkpoints/`,
            `evaluation.json`, `summary.json`, `report.html`.
    """

    path: Path

    @property
    def shared(self) -> RunFolder:
        """The folder of the whole run, where this is one of a rank's."""
        return RunFolder(self.path.parent.parent) if self.path.parent.name == "ranks" else self

    @property
    def config(self) -> Path:
        """The resolved experiment."""
        return self.path / "config.toml"

    @property
    def provenance(self) -> Path:
        """Who, what, when, with which code and counterpart."""
        return self.path / "provenance.json"

    @property
    def metrics(self) -> Path:
        """One JSON object a line, one line a step and one an epoch."""
        return self.path / "metrics.jsonl"

    @property
    def checkpoints(self) -> Path:
        """Folder of the checkpoints."""
        return self.path / "checkpoints"

    @property
    def tensorboard(self) -> Path:
        """Folder of TensorBoard's event files."""
        return self.path / "tensorboard"

    @property
    def flight(self) -> Path:
        """Last traffic of a device that failed."""
        return self.path / "flight.log"

    @property
    def evaluation(self) -> Path:
        """Last test: confusion matrix and histograms."""
        return self.path / "evaluation.json"

    @property
    def summary(self) -> Path:
        """The run in a few numbers."""
        return self.path / "summary.json"

    @property
    def report(self) -> Path:
        """The run for people."""
        return self.path / "report.html"


def check_free(path: Path, *, overwrite: bool = False) -> None:
    """Checks that a new run may use a folder; looks only.

    Raises:
        RunError: the folder is in use, or holds something that is no run.
    """
    if not path.exists() or (path.is_dir() and set(path.iterdir()) <= {RunFolder(path).flight}):
        return
    if not RunFolder(path).config.is_file():
        raise RunError(f"{path} exists and is not a run folder: choose another --run-dir")
    if not overwrite:
        raise RunError(f"{path} holds a run: --resume goes on with it, --overwrite replaces it, --run-dir moves on")


def start(path: Path, experiment: Experiment, *, overwrite: bool = False) -> RunFolder:
    """Makes the folder of a new run and writes its `config.toml`.

    Raises:
        RunError: as `check_free`.
    """
    check_free(path, overwrite=overwrite)
    if path.exists():
        shutil.rmtree(path)
    path.mkdir(parents=True)
    folder = RunFolder(path)
    write_text(folder.config, experiment_file.dump(experiment))
    return folder


@contextmanager
def begun(folder: RunFolder, *, new: bool) -> Iterator[None]:
    """Within it, a failure says what `--resume` goes on with; of a new run without a step it leaves nothing in the way.

    Args:
        folder: The run's.
        new: Whether it was started just now; the folder of a run that is resumed stays as it is.
    """
    try:
        yield
    except Exception as error:
        if new and not (folder.metrics.is_file() and folder.metrics.stat().st_size):
            _discard(folder)
            error.add_note(f"No step was done: {folder.path} is free for the next start.")
        elif not isinstance(error, RunError) and (last := checkpoint.newest(folder.checkpoints)) is not None:
            error.add_note(f"--resume goes on from step {last.facts['position']['step']}.")
        raise


def _discard(folder: RunFolder) -> None:
    """Removes a run; the last traffic of a device that failed stays."""
    for path in folder.path.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
        elif path != folder.flight:
            path.unlink()
    if not folder.flight.is_file():
        folder.path.rmdir()


def reopen(path: Path) -> RunFolder:
    """Opens the folder of a run that is to go on.

    Raises:
        RunError: there is no run.
    """
    folder = RunFolder(path)
    if not folder.config.is_file():
        raise RunError(f"{path} holds no run to resume: leave --resume out, or name its folder with --run-dir")
    return folder
