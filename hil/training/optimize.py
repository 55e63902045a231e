"""Optimizers and learning rates of an experiment."""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch
from torch import nn

from hil.experiments.schema import Experiment
from hil.experiments.schema import Optimizer as Settings


def optimizer(settings: Settings, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
    """The optimizer an experiment asks for; with nothing to do where pulses move every weight."""
    taken, longest = list(parameters), settings.max_norm
    made = _optimizer(settings, taken)
    if longest is not None:

        def clip(*_: object) -> None:
            nn.utils.clip_grad_norm_(taken, longest)

        made.register_step_pre_hook(clip)
    return made


def _optimizer(settings: Settings, parameters: list[nn.Parameter]) -> torch.optim.Optimizer:
    lr, decay = settings.lr, settings.weight_decay
    group = [{"params": parameters}]  # torch refuses an empty list, not an empty group
    match settings.kind:
        case "adam":
            return torch.optim.Adam(group, lr, weight_decay=decay, fused=True)  # one pass over the memory, not ten
        case "adamw":
            return torch.optim.AdamW(group, lr, weight_decay=decay, fused=True)
        case "sgd":
            return torch.optim.SGD(group, lr, settings.momentum, weight_decay=decay, fused=True)


def learning_rate(experiment: Experiment, epoch: int, batch: int, batches: int) -> float:
    """Learning rate of a step, a function of its position alone.

    Args:
        experiment: Optimizer and schedule.
        epoch: From 0.
        batch: From 0 within the epoch.
        batches: Batches an epoch.
    """
    top, schedule = experiment.optimizer.lr, experiment.schedule
    rate = top
    if schedule.kind == "cosine":
        done = epoch + (batch / batches if schedule.per == "step" else 0.0)
        rate = schedule.lr_min + (top - schedule.lr_min) * (1 + math.cos(math.pi * done / experiment.run.epochs)) / 2
    step = epoch * batches + batch + 1
    return rate * step / schedule.warmup if step < schedule.warmup else rate
