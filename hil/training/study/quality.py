"""How good the gradients of a trained point are: their direction beside implicit differentiation's, on one batch."""

from __future__ import annotations

from pathlib import Path

import torch

from hil.data.batches import Batches
from hil.learning.estimator import Estimator
from hil.learning.gradients import comparison
from hil.learning.loss import task
from hil.training.loaded import load_run

OPEN = ("reference:", "emulator:")
"""Where another opening costs nothing: a real chip's cells would be written once more."""
MOST = 64
"""Samples of the batch."""


def gradient_cosine(run: Path, data_root: Path) -> float | None:
    """Cosine of the angle between a run's gradients and exact ones of the same network, over all cells together.

    The run's estimator measures on its own counterpart; implicit differentiation takes the states measured there and
    the nominal weights. Both at the trained weights, on the first training batch.

    Returns:
        None where it means nothing: other rules than equilibrium propagation, weights that pulses keep in the cells, a
        real chip.
    """
    with load_run(run, None, data_root=data_root) as loaded:
        experiment, model, dataset = loaded.experiment, loaded.model, loaded.dataset
        if not isinstance(experiment.estimator, Estimator) or experiment.update.pulsed:
            return None
        images, labels = next(Batches(dataset.train, experiment.run.batch, experiment.run.seed).epoch(0))
        dtype = getattr(torch, experiment.run.dtype)
        inputs = dataset.prepare(images[:MOST], torch.device("cpu"), dtype)
        model.train()
        for parameter in model.parameters():
            parameter.requires_grad_(True)
        return comparison.cosine(model, task(experiment.loss).loss, inputs, labels[:MOST])
