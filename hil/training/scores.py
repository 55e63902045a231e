"""What a test measures, summed over batches: accuracy and top-5, share of right labels, squared error and R squared."""

from __future__ import annotations

import torch
from torch import Tensor

from hil.learning.loss import Task

TOP = 5


class Scores:
    """Sums over the batches of a test; sums of several ranks add up.

    Args:
        task: What the labels are.
        outputs: Classes, labels or values.
    """

    def __init__(self, task: Task, outputs: int) -> None:
        self.task = task
        self.confusion = torch.zeros(outputs, outputs, dtype=torch.int64) if task.targets == "classes" else None
        self.sums = torch.zeros(6, dtype=torch.float64)
        """Samples, loss, what `Task.judge` averages to, top-5 or exact answers, sum and sum of squares of values."""

    def add(self, scores: Tensor, labels: Tensor) -> None:
        """Counts one batch."""
        count, second = len(labels), torch.zeros((), dtype=torch.float64)
        totals = torch.zeros(2, dtype=torch.float64)
        if self.confusion is not None:
            classes = len(self.confusion)
            cells = labels * classes + scores.argmax(1)
            self.confusion += torch.bincount(cells, minlength=classes**2).view_as(self.confusion)
            if classes > TOP:
                second = (scores.topk(TOP, 1).indices == labels[:, None]).any(1).sum().double()
        elif self.task.targets == "labels":
            second = ((scores > 0) == (labels > 0.5)).all(1).sum().double()
        else:
            totals = torch.stack([labels.double().mean(1).sum(), labels.double().square().mean(1).sum()])
        loss, judged = self.task.loss(scores, labels).double() * count, self.task.judge(scores, labels).sum()
        self.sums += torch.stack([torch.tensor(float(count)), loss, judged, second, *totals])

    def metrics(self) -> dict[str, float]:
        """Means over all samples; the first one is what runs are compared by."""
        samples, _, judged, second, total, squares = self.sums.tolist()
        found = {self.task.measure: judged / samples}
        match self.task.targets:
            case "classes" if self.confusion is not None and len(self.confusion) > TOP:
                found["top5"] = second / samples
            case "labels":
                found["exact"] = second / samples
            case "values":
                variance = squares / samples - (total / samples) ** 2
                if variance > 0:
                    found["r2"] = 1 - judged / samples / variance
            case _:
                pass
        return found

    @property
    def loss(self) -> float:
        """Mean over all samples."""
        samples, loss, *_ = self.sums.tolist()
        return float(loss / samples)
