"""Losses and what counts as a right answer: tasks, by name from the registry.

A loss takes scores (batch, outputs) and labels and is averaged over the batch. What labels are decides the rest:
`classes` (batch,) int64, one of them right; `labels` (batch, outputs) of 0 and 1, any number of them right; `values`
(batch, outputs) float, to be met.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

import torch.nn.functional as F  # noqa: N812 - torch's own convention
from torch import Tensor

from firmware_specs.registry import UnfitThing, find, shipped

Loss = Callable[[Tensor, Tensor], Tensor]
Targets = Literal["classes", "labels", "values"]
PER_SAMPLE: dict[Targets, Callable[[Tensor, Tensor], Tensor]] = {
    "classes": lambda scores, labels: (scores.argmax(1) == labels).double(),
    "labels": lambda scores, labels: ((scores > 0) == (labels > 0.5)).double().mean(1),
    "values": lambda scores, labels: (scores - labels).double().square().mean(1),
}
"""What is averaged over samples: right answers, share of right labels, squared error."""
MEASURES: dict[Targets, str] = {"classes": "accuracy", "labels": "accuracy", "values": "mean_squared_error"}


@dataclass(frozen=True)
class Task:
    """A loss with what its labels are.

    Attributes:
        loss: Mean over a batch.
        targets: What labels are.
        summary: One line for `hil list`.
    """

    loss: Loss
    targets: Targets = "classes"
    summary: str = ""

    def __call__(self, scores: Tensor, labels: Tensor) -> Tensor:
        """The loss."""
        return self.loss(scores, labels)

    @property
    def measure(self) -> str:
        """Name of what `judge` averages to."""
        return MEASURES[self.targets]

    def judge(self, scores: Tensor, labels: Tensor) -> Tensor:
        """How well every sample is answered, (batch,) float64; larger is better except for values."""
        return PER_SAMPLE[self.targets](scores, labels)


def cross_entropy(scores: Tensor, labels: Tensor) -> Tensor:
    """Cross entropy of the softmax of the scores, mean over the batch."""
    return F.cross_entropy(scores, labels)


def half_squared_error(scores: Tensor, labels: Tensor) -> Tensor:
    """Half the squared distance to the one-hot target, mean over the batch."""
    target = F.one_hot(labels, scores.shape[1]).to(scores.dtype)
    return (scores - target).square().sum(1).mean() / 2


def _half_squared_distance(scores: Tensor, values: Tensor) -> Tensor:
    return (scores - values.to(scores.dtype)).square().sum(1).mean() / 2


def _binary_cross_entropy(scores: Tensor, labels: Tensor) -> Tensor:
    return F.binary_cross_entropy_with_logits(scores, labels.to(scores.dtype))


regression = Task(_half_squared_distance, "values", "Half the squared distance to the values, mean over the batch.")
multi_label = Task(_binary_cross_entropy, "labels", "Binary cross entropy of every label on its own, mean over all.")


def task(name: str) -> Task:
    """The task of a loss's name.

    Raises:
        firmware_specs.registry.UnknownName: there is no such loss.
    """
    found = find("losses", name)
    known = found if isinstance(found, Task) else Task(found)
    return known if name in shipped("losses") else replace(known, loss=_scalar(name, known.loss))


def _scalar(name: str, loss: Loss) -> Loss:
    """A loss of somebody's own; refused in a sentence where it is none for its scores."""

    def checked(scores: Tensor, labels: Tensor) -> Tensor:
        given = loss(scores, labels)
        what = f"loss {name!r} gives "
        if not isinstance(given, Tensor):
            raise UnfitThing(f"{what}{given!r:.60}, expected a tensor with one number, the mean over the batch")
        if given.dim():
            raise UnfitThing(
                f"{what}a tensor of shape {tuple(given.shape)}, expected one number, the mean over the batch"
            )
        if scores.requires_grad and not given.requires_grad:
            raise UnfitThing(f"{what}a number that does not depend on the scores as autograd sees it")
        return given

    return checked
