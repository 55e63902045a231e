"""The best epoch by the validation samples: kept, and what stops a run that gets no better."""

from __future__ import annotations

from torch import nn

from hil.counterparts.device_snapshot import below
from hil.learning.loss import Task
from hil.training.evaluate import Evaluation
from hil.training.run import checkpoint
from hil.training.run.checkpoint import Checkpoint
from hil.training.run.folder import RunFolder
from hil.training.state import Position


def note(at: Position, found: Evaluation, task: Task) -> bool:
    """Notes a validation; whether it is the best so far."""
    value = found.metrics[task.measure]
    better = at.best is None or (value > at.best if task.targets != "values" else value < at.best)
    if better:
        at.best, at.best_epoch = value, at.epoch + 1
    return better


def keep(folder: RunFolder, model: nn.Module, at: Position) -> None:
    """Keeps the model's weights as those of the best epoch."""
    tensors = {f"model.{name}": value for name, value in model.state_dict().items()}
    facts = {"position": {"step": at.step, "epoch": at.epoch + 1, "batch": 0}, "metrics_bytes": 0}
    checkpoint.write(folder.best, at.step, Checkpoint(tensors, facts), keep=1)


def take(folder: RunFolder, model: nn.Module) -> bool:
    """Gives a model the weights of the best epoch, where they were kept."""
    found = checkpoint.newest(folder.best)
    if found is None:
        return False
    model.load_state_dict(below("model.", found.tensors))
    return True


def patience_is_over(at: Position, patience: int) -> bool:
    """Whether the last `patience` epochs brought nothing better; 0: never."""
    return patience > 0 and at.best is not None and at.epoch - at.best_epoch >= patience
