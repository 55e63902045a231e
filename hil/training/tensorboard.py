"""TensorBoard event files of a run."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import Self

from torch import nn
from torch.utils.tensorboard import SummaryWriter

from hil.training.state import Position


class EventFile:
    """Scalars of every step, scalars and weight histograms of every epoch.

    Args:
        folder: Where the event file goes.
        step: Step to go on from; what an earlier session wrote beyond it is hidden.
    """

    def __init__(self, folder: Path, step: int) -> None:
        self._writer = SummaryWriter(str(folder), purge_step=step + 1 if step else None)

    def step(self, at: Position, record: dict[str, float]) -> None:
        """Adds one step."""
        for key, value in record.items():
            self._writer.add_scalar(f"train/{key}", value, at.step)
        self._writer.add_scalar("train/images_per_second", at.images / at.seconds, at.step)

    def epoch(self, at: Position, record: dict[str, object], model: nn.Module) -> None:
        """Adds one epoch."""
        for key, value in record.items():
            if isinstance(value, float):
                self._writer.add_scalar(f"epoch/{key}", value, at.step)
        for name, parameter in model.named_parameters():
            if bool(parameter.isfinite().all()):  # TensorBoard refuses a histogram of NaN
                self._writer.add_histogram(name, parameter, at.step)
        self._writer.flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._writer.close()
