"""Models of shipped experiments, built for a benchmark: no data files are needed."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from hil.bench import open_bench
from hil.experiments import experiment_file
from hil.experiments.schema import Experiment
from hil.model import build
from hil.training.stopping import stops

CLASSES = {"cifar10": 10, "cifar100": 100, "imagenet32": 1000}


def build_named(name: str, overrides: Sequence[str] = ()) -> tuple[Experiment, nn.Module, int]:
    """A shipped experiment, its model on the counterpart it names, and its number of classes."""
    experiment = experiment_file.load(name, overrides)
    free, nudged = stops(experiment.settle)
    bench = open_bench(experiment.device, dtype=getattr(torch, experiment.run.dtype), stop=free, nudged_stop=nudged)
    classes = CLASSES[experiment.data.name]
    return experiment, build(experiment, bench, (3, 32, 32), classes), classes


def build_like(model: nn.Module, name: str, overrides: Sequence[str]) -> nn.Module:
    """The same weights in a model of the same experiment with other settings."""
    other = build_named(name, overrides)[1]
    other.load_state_dict(model.state_dict())
    return other
