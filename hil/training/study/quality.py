"""How good the gradients of a trained point are: their direction beside implicit differentiation's, on one batch."""

from __future__ import annotations

import math
from pathlib import Path

import torch
from torch import nn

from hil.counterparts.cell_array import CellArray
from hil.counterparts.mapping import parameters_of
from hil.data.batches import Batches
from hil.learning.estimator import Estimator
from hil.learning.gradients import comparison
from hil.learning.loss import task
from hil.learning.model import energy_blocks
from hil.training.loaded import load_run

OPEN = ("reference:", "emulator:")
"""Where another opening costs nothing: a real chip's cells would be written once more."""
MOST = 64
"""Samples of the batch."""
READS = 16
"""Readings of every cell that pulses move, averaged."""


def gradient_cosine(run: Path, data_root: Path) -> float | None:
    """Cosine of the angle between a run's gradients and exact ones of the same network, over all cells together.

    The run's estimator measures on its own counterpart; implicit differentiation takes the states measured there and
    the nominal weights, of cells that pulses move what they read. Both at the trained weights, on the first training
    batch.

    Returns:
        None where it means nothing: other rules than equilibrium propagation, or a gradient that is zero.
    """
    with load_run(run, None, data_root=data_root) as loaded:
        experiment, model, dataset = loaded.experiment, loaded.model, loaded.dataset
        if not isinstance(experiment.estimator, Estimator):
            return None
        images, labels = next(Batches(dataset.train, experiment.run.batch, experiment.run.seed).epoch(0))
        dtype = getattr(torch, experiment.run.dtype)
        inputs = dataset.prepare(images[:MOST], torch.device("cpu"), dtype)
        _read_cells(model)
        model.train()
        for parameter in model.parameters():
            parameter.requires_grad_(True)
        found = comparison.cosine(model, task(experiment.loss).loss, inputs, labels[:MOST])
        return found if math.isfinite(found) else None


def _read_cells(model: nn.Module) -> None:
    """Gives blocks that pulses move the weights their cells have: to the network they are, no parameter says it."""
    for block in energy_blocks(model).values():
        if not block.pulsed or not isinstance(block.array, CellArray):
            continue
        for number, coupling in enumerate(block.topology.couplings):
            seen = block.array.weights(number, slice(None), READS)
            for name, value in parameters_of(block.topology, coupling, seen, number).items():
                parameter = block.get_parameter(name)
                parameter.data.copy_(value)
