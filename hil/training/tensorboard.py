"""TensorBoard event files of a run."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from torch import nn

from hil.counterparts.seam import Bench, Leased, busy
from hil.training.state import Position

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter


OPENING_S = 60.0
"""It may take so long on a busy host."""


class EventFile:
    """Scalars of every step, scalars and weight histograms of every epoch.

    Args:
        folder: Where the event file goes.
        step: Step to go on from; what an earlier session wrote beyond it is hidden.
        bench: Who is trained. Where it has outputs the file is opened before a cell moves: that may fail, or take
            long; elsewhere after the first step, which need not wait for TensorBoard.
    """

    def __init__(self, folder: Path, step: int, bench: Bench) -> None:
        self._folder, self._begin, self._bench = folder, step, bench

    @cached_property
    def _writer(self) -> SummaryWriter:
        from torch.utils.tensorboard import SummaryWriter

        return SummaryWriter(str(self._folder), purge_step=self._begin + 1 if self._begin else None)

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
        if isinstance(self._bench, Leased):
            with busy(self._bench, OPENING_S):
                self._writer.flush()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        if "_writer" in self.__dict__:
            self._writer.close()
