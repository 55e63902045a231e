"""Testing a model: accuracy, confusion matrix, and how its blocks settled."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice

import torch
from torch import Tensor, nn

from hil.counterparts.seam import Settled
from hil.data import Dataset
from hil.data.batches import in_order
from hil.learning.loss import Loss
from hil.learning.model import energy_blocks, observed
from hil.training.ranks import ALONE, Ranks
from hil.training.tally import Tally

BINS = 50


@dataclass(frozen=True)
class Evaluation:
    """Result of a test.

    Attributes:
        loss: Mean over the samples.
        accuracy: 0..1.
        confusion: (classes, classes) counts, row: true class, column: answer.
        settling: As `Tally.take`.
        states: Histogram of each layer's free states in the first batch, by `block.layer`.
        iterations: Count of samples by number of sweeps, by block, in the first batch.
    """

    loss: float
    accuracy: float
    confusion: Tensor
    settling: dict[str, float]
    states: dict[str, dict[str, list[float]]]
    iterations: dict[str, dict[int, int]]

    def document(self) -> dict[str, object]:
        """As JSON values."""
        return {
            "loss": self.loss,
            "accuracy": self.accuracy,
            "confusion": self.confusion.tolist(),
            "settling": self.settling,
            "states": self.states,
            "iterations": {name: {str(k): v for k, v in counts.items()} for name, counts in self.iterations.items()},
        }


def evaluate(model: nn.Module, dataset: Dataset, loss: Loss, batch: int, ranks: Ranks = ALONE) -> Evaluation:
    """Tests a model on the test samples; only free phases run. Each rank takes its share of the batches.

    Args:
        model: The chain; its training mode is put back afterwards.
        dataset: Whose test samples.
        loss: Mean over a batch.
        batch: Samples a settle.
        ranks: Who else tests; settling and histograms are those of this rank.
    """
    parameter = next(model.parameters())
    device, dtype = parameter.device, parameter.dtype
    tally, first = Tally(), dict[str, Settled]()
    confusion = torch.zeros(dataset.classes, dataset.classes, dtype=torch.int64)
    total = 0.0
    training = model.training
    model.eval()
    with torch.no_grad(), observed(model, {name: _note(name, tally, first) for name in energy_blocks(model)}):
        for images, labels in islice(in_order(dataset.test, batch), ranks.rank, None, ranks.count):
            scores = model(dataset.prepare(images, device, dtype)).cpu()
            total += float(loss(scores, labels)) * len(labels)
            cells = labels * dataset.classes + scores.argmax(1)
            confusion += torch.bincount(cells, minlength=dataset.classes**2).view_as(confusion)
    model.train(training)
    confusion = ranks.add(confusion)
    total = float(ranks.add(torch.tensor(total, dtype=torch.float64)))
    count = len(dataset.test)
    return Evaluation(
        loss=total / count,
        accuracy=int(confusion.trace()) / count,
        confusion=confusion,
        settling=tally.take(),
        states={
            f"{name}.layer_{index}": _histogram(state)
            for name, settled in first.items()
            for index, state in enumerate(settled.free)
        },
        iterations={name: _counts(settled.phases[0].iterations) for name, settled in first.items()},
    )


def _note(name: str, tally: Tally, first: dict[str, Settled]) -> Callable[[Settled], None]:
    def note(settled: Settled) -> None:
        tally.add(settled)
        first.setdefault(name, settled)

    return note


def _histogram(state: Tensor) -> dict[str, list[float]]:
    values = state.detach().double().cpu().flatten()
    counts, edges = torch.histogram(values, BINS)
    return {"edges": edges.tolist(), "counts": counts.tolist()}


def _counts(iterations: Tensor) -> dict[int, int]:
    values, counts = iterations.cpu().unique(return_counts=True)
    return dict(zip(values.tolist(), counts.tolist(), strict=True))
