"""One run, one folder: what lies in it, how it starts and how it is taken up again."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from firmware_specs.shown import Shown
from hil.experiments import experiment_file
from hil.training.run import checkpoint, marked
from hil.training.run.atomic import write_text
from hil.training.run.documents import sessions
from hil.training.run.kinds import RUN
from hil.training.run.marked import RunError

if TYPE_CHECKING:
    from hil.experiments.schema import Experiment

CHECKPOINTED = "checkpointed"
WAIT = "wait until it has ended, or choose another --run-dir"


def of_rank(path: Path, rank: int) -> Path:
    """Folder of one process of a data-parallel run: the run's own for the first, one below `ranks` for each other."""
    return path if rank == 0 else path / "ranks" / str(rank)


@dataclass(frozen=True)
class RunFolder(Shown):
    """Paths of a run.

    Attributes:
        path: The folder: `config.toml`, `provenance.json`, `metrics.jsonl`, `tensorboard/`, `checkpoints/`,
            `evaluation.json`, `summary.json`, `report.html`.
    """

    path: Path

    def facts(self) -> dict[str, object]:
        """Title, counterpart, steps and accuracy, as far as there is a summary."""
        if not self.summary.is_file():
            return {"path": self.path, "finished": False}
        summary = json.loads(self.summary.read_text(encoding="utf-8"))
        names = ("title", "device", "epochs", "steps", "test_accuracy", "finished")
        return {"path": self.path} | {name: summary.get(name) for name in names}

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
    def best(self) -> Path:
        """Folder of the weights of the best epoch, where they are kept."""
        return self.path / "best"

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
    refuse_written(path)
    _check_free(path, overwrite=overwrite)


def refuse_written(path: Path) -> None:
    """Raises `RunError` where a process writes a run's folder now."""
    marked.refuse_written(path, WAIT)


def _check_free(path: Path, *, overwrite: bool) -> None:
    folder = RunFolder(path)
    if not path.exists() or (path.is_dir() and marked.content(path) <= {folder.flight.name}):
        return
    if not path.is_dir() or not marked.is_ours(path, RUN):
        named = "has no marker of a run (.crossbar-hil)" if folder.config.is_file() else "is not a run folder"
        raise RunError(f"{path} exists and {named}: choose another --run-dir")
    marked.refuse_links(path, RUN)
    if folder.config.is_file() and not overwrite:
        raise RunError(f"{path} holds a run: --resume goes on with it, --overwrite replaces it, --run-dir moves on")


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Makes the folder of a run where it is missing and keeps every other writer out; one that stays empty goes again.

    Raises:
        RunError: another process writes it, or a link lies in it.
    """
    with marked.written(path, RUN, WAIT):
        yield


def start(path: Path, experiment: Experiment, *, overwrite: bool = False) -> RunFolder:
    """Makes the folder of a new run and writes its `config.toml`; of an earlier run it removes what that one made.

    Raises:
        RunError: as `check_free`.
    """
    _check_free(path, overwrite=overwrite)
    path.mkdir(parents=True, exist_ok=True)
    folder = RunFolder(path)
    if marked.is_ours(path, RUN):
        marked.clear(path, RUN, last=folder.config.name)
    marked.mark(path, RUN, **{CHECKPOINTED: False})
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
        if marked.taken_away(folder.shared.path):
            raise
        if new and not (folder.metrics.is_file() and folder.metrics.stat().st_size):
            marked.clear(folder.path, RUN, keep=frozenset({folder.flight.name}))
            if marked.content(folder.path) <= {folder.flight.name}:
                marked.unmark(folder.path)
            error.add_note(f"No step was done: {folder.path} is free for the next start.")
        elif not isinstance(error, RunError) and (last := checkpoint.newest(folder.checkpoints)) is not None:
            error.add_note(f"--resume goes on from step {last.facts['position']['step']}.")
        raise


def find(path: Path) -> RunFolder:
    """The folder of a run that is to be read.

    Raises:
        RunError: there is no run.
    """
    folder = RunFolder(path)
    if not folder.config.is_file():
        raise RunError(f"{path} holds no run: name the folder of one, with config.toml in it (--run-dir)")
    if not (marked.is_ours(path, RUN) or folder.metrics.is_file() or checkpoint.names(folder.checkpoints)):
        raise RunError(
            f"{path} holds no run: beside its config.toml there is neither the marker of one (.crossbar-hil), "
            "nor metrics, nor a checkpoint"
        )
    return folder


def reopen(path: Path) -> RunFolder:
    """Opens the folder of a run that is to go on.

    Raises:
        RunError: there is no run, none of its checkpoints reads back, it has lost them, or it does not say where it
            comes from.
    """
    folder = refuse_nothing(path)
    marked.refuse_links(path, RUN)
    refuse_lost(folder)
    if not marked.is_ours(path, RUN) and checkpoint.newest(folder.checkpoints) is None:
        raise RunError(f"{path} has neither the marker of a run (.crossbar-hil) nor a checkpoint: nothing was changed")
    sessions(folder.provenance)
    return folder


def refuse_nothing(path: Path) -> RunFolder:
    """The folder; raises `RunError` where there is no run that could go on."""
    folder = RunFolder(path)
    if not folder.config.is_file():
        raise RunError(f"{path} holds no run to resume: leave --resume out, or name its folder with --run-dir")
    return folder


def refuse_lost(folder: RunFolder) -> None:
    """Raises `RunError` where a run had checkpoints and none of them reads back."""
    path, names = folder.path, checkpoint.names(folder.checkpoints)
    vouched = [name for name in names if name.endswith(".json")]  # tensors alone: killed while the first was written
    if (vouched or marked.facts_of(path, RUN).get(CHECKPOINTED)) and checkpoint.newest(folder.checkpoints) is None:
        there = (
            f"none of its checkpoints reads back whole ({', '.join(names)})" if names else "its checkpoints are gone"
        )
        raise RunError(
            f"{path} cannot go on: {there}. Nothing was changed: put them back into {folder.checkpoints} from a copy, "
            "or start anew elsewhere with --run-dir, or here with --overwrite, which removes the run"
        )


def note_checkpoint(folder: RunFolder) -> None:
    """Notes that a run has a checkpoint, so that one that lost them all is not taken for one that had none."""
    if marked.facts_of(folder.path, RUN).get(CHECKPOINTED) is not True:
        marked.mark(folder.path, RUN, **{CHECKPOINTED: True})
