"""Testing a model: what its task measures, and how its blocks settled."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice

import torch
from torch import Tensor, nn

from hil.counterparts.seam import Settled
from hil.data import Dataset
from hil.data.batches import in_order
from hil.data.dataset import Split
from hil.learning.loss import Task
from hil.learning.model import energy_blocks, observed
from hil.training.ranks import ALONE, Ranks
from hil.training.scores import Scores
from hil.training.tally import Tally

BINS = 50


@dataclass(frozen=True)
class Evaluation:
    """Result of a test.

    Attributes:
        loss: Mean over the samples.
        metrics: What the task measures: `accuracy` with `top5` or `exact`, or `mean_squared_error` with `r2`.
        confusion: (classes, classes) counts, row: true class, column: answer; None where labels are no classes.
        settling: As `Tally.take`.
        states: Histogram of each layer's free states in the first batch, by `block.layer`.
        iterations: Count of samples by number of sweeps, by block, in the first batch.
    """

    loss: float
    metrics: dict[str, float]
    confusion: Tensor | None
    settling: dict[str, float]
    states: dict[str, dict[str, list[float]]]
    iterations: dict[str, dict[int, int]]

    @property
    def accuracy(self) -> float | None:
        """0..1; None where values are to be met."""
        return self.metrics.get("accuracy")

    def document(self) -> dict[str, object]:
        """As JSON values."""
        return {
            "loss": self.loss,
            **self.metrics,
            **({} if self.confusion is None else {"confusion": self.confusion.tolist()}),
            "settling": self.settling,
            "states": self.states,
            "iterations": {name: {str(k): v for k, v in counts.items()} for name, counts in self.iterations.items()},
        }


def evaluate(
    model: nn.Module, dataset: Dataset, task: Task, batch: int, ranks: Ranks = ALONE, samples: Split | None = None
) -> Evaluation:
    """Tests a model; only free phases run. Each rank takes its share of the batches.

    Args:
        model: The chain; its training mode is put back afterwards.
        dataset: How samples are prepared, and the test samples.
        task: Loss and what is measured.
        batch: Samples a settle.
        ranks: Who else tests; settling and histograms are those of this rank.
        samples: Others than the test samples.
    """
    parameter = next(model.parameters())
    device, dtype = parameter.device, parameter.dtype
    tally, first = Tally(), dict[str, Settled]()
    scored = Scores(task, dataset.classes)
    training = model.training
    model.eval()
    with torch.no_grad(), observed(model, {name: _note(name, tally, first) for name in energy_blocks(model)}):
        for images, labels in islice(in_order(samples or dataset.test, batch), ranks.rank, None, ranks.count):
            scored.add(model(dataset.prepare(images, device, dtype)).cpu(), labels)
    model.train(training)
    scored.sums = ranks.add(scored.sums)
    if scored.confusion is not None:
        scored.confusion = ranks.add(scored.confusion)
    return Evaluation(
        loss=scored.loss,
        metrics=scored.metrics(),
        confusion=scored.confusion,
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
