"""Models of shipped experiments, built for a benchmark: no data files are needed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import nn

from hil.counterparts.opening.bench import open_bench
from hil.counterparts.seam import Bench
from hil.experiments import experiment_file
from hil.experiments.schema import Experiment
from hil.learning.model import build
from hil.training.stopping import stops

CLASSES = {"cifar10": 10, "cifar100": 100, "imagenet32": 1000}


class Built(NamedTuple):
    """A shipped experiment, its model, and the counterpart it names."""

    experiment: Experiment
    model: nn.Module
    classes: int
    bench: Bench


def build_named(name: str, overrides: Sequence[str] = ()) -> Built:
    """The model of an experiment; `overrides` as with `--set`."""
    experiment = experiment_file.load(name, overrides)
    free, nudged = stops(experiment.settle)
    bench = open_bench(
        experiment.device,
        dtype=getattr(torch, experiment.run.dtype),
        stop=free,
        nudged_stop=nudged,
        convolutions=experiment.settle.convolutions,
    )
    classes = CLASSES[experiment.data.name]
    return Built(experiment, build(experiment, bench, (3, 32, 32), classes), classes, bench)


def build_like(model: nn.Module, name: str, overrides: Sequence[str]) -> Built:
    """The same weights in a model of the same experiment with other settings."""
    other = build_named(name, overrides)
    other.model.load_state_dict(model.state_dict())
    return other
