"""Optimizers and learning rates of an experiment."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import nn

from firmware_specs.registry import UnfitThing, find
from hil.experiments.schema import Experiment
from hil.experiments.schema import Optimizer as Settings

_OPTIONAL = inspect.Parameter("closure", inspect.Parameter.KEYWORD_ONLY, default=None)


def _without_compiler(kind: type[torch.optim.Optimizer]) -> Any:
    """The same optimizer; at its first call torch's own imports the whole compiler, 2.5 s of every training."""
    shielded = ("add_param_group", "zero_grad", "state_dict", "load_state_dict")
    plain = {name: inspect.unwrap(getattr(kind, name)) for name in shielded}
    return type(kind.__name__, (kind,), plain | {"step": torch.no_grad()(inspect.unwrap(kind.step))})


Adam = _without_compiler(torch.optim.Adam)
AdamW = _without_compiler(torch.optim.AdamW)
SGD = _without_compiler(torch.optim.SGD)


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
    make: Callable[..., torch.optim.Optimizer] = find("optimizers", settings.kind)
    made = make(settings, [{"params": parameters}])  # torch refuses an empty list, not an empty group
    what = f"optimizer {settings.kind!r} gives {type(made).__name__}"
    if not isinstance(made, torch.optim.Optimizer):
        raise UnfitThing(f"{what}, expected a torch.optim.Optimizer of the groups it is given")
    if inspect.signature(made.step).parameters.get("closure", _OPTIONAL).default is inspect.Parameter.empty:
        raise UnfitThing(f"{what}, whose step needs a closure: a step measures one gradient, so use one without")
    return made


def adam(settings: Settings, groups: list[dict[str, Any]]) -> torch.optim.Optimizer:
    """Adam; `weight_decay` is L2."""
    return Adam(groups, settings.lr, weight_decay=settings.weight_decay, fused=True)  # one pass, not ten


def adamw(settings: Settings, groups: list[dict[str, Any]]) -> torch.optim.Optimizer:
    """Adam with decoupled weight decay."""
    return AdamW(groups, settings.lr, weight_decay=settings.weight_decay, fused=True)


def sgd(settings: Settings, groups: list[dict[str, Any]]) -> torch.optim.Optimizer:
    """Stochastic gradient descent with `momentum`."""
    return SGD(groups, settings.lr, settings.momentum, weight_decay=settings.weight_decay, fused=True)


def learning_rate(experiment: Experiment, epoch: int, batch: int, batches: int) -> float:
    """Learning rate of a step, a function of its position alone.

    Args:
        experiment: Optimizer and schedule.
        epoch: From 0.
        batch: From 0 within the epoch.
        batches: Batches an epoch.
    """
    schedule = experiment.schedule
    plan: Callable[[Experiment, int, int, int], float] = find("schedules", schedule.kind)
    rate = _rate(schedule.kind, plan(experiment, epoch, batch, batches))
    step = epoch * batches + batch + 1
    return rate * step / schedule.warmup if step < schedule.warmup else rate


def _rate(name: str, given: Any) -> float:
    try:
        rate = float(given)
    except (TypeError, ValueError):
        rate = math.nan
    if not 0 <= rate < math.inf:
        raise UnfitThing(f"schedule {name!r} gives {given!r:.60}, expected a learning rate, finite and not negative")
    return rate


def constant(experiment: Experiment, epoch: int, batch: int, batches: int) -> float:
    """`optimizer.lr` throughout."""
    return experiment.optimizer.lr


def cosine(experiment: Experiment, epoch: int, batch: int, batches: int) -> float:
    """Cosine annealing from `optimizer.lr` to `schedule.lr_min`, changed after every step or epoch."""
    top, schedule = experiment.optimizer.lr, experiment.schedule
    done = epoch + (batch / batches if schedule.per == "step" else 0.0)
    return schedule.lr_min + (top - schedule.lr_min) * (1 + math.cos(math.pi * done / experiment.run.epochs)) / 2
