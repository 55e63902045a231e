"""TensorBoard event files of a run."""

from __future__ import annotations

import importlib
import os
import socket
import time
from collections.abc import Mapping
from functools import cache, cached_property
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from torch import Tensor, nn

from hil.counterparts.seam import Bench, Leased, busy
from hil.training.state import Position

OPENING_S = 60.0
"""It may take so long on a busy host."""


class EventFile:
    """Scalars of every step, scalars and weight histograms of every epoch.

    TensorBoard's own writers open the file by its name for every record, in a thread: in a folder that is moved away
    they write at its old place, which may be another run's by then. This one holds the file and writes at once.

    Args:
        folder: Where the event file goes.
        step: Step to go on from; what an earlier session wrote beyond it is hidden.
        bench: Who is trained. Where it has outputs the file is opened before a cell moves: that may fail, or take
            long; elsewhere after the first step, which need not wait for TensorBoard.
    """

    def __init__(self, folder: Path, step: int, bench: Bench) -> None:
        self._folder, self._begin, self._bench = folder, step, bench

    @cached_property
    def _records(self) -> _Records:
        return _Records(self._folder, self._begin)

    def step(self, at: Position, record: Mapping[str, float]) -> None:
        """Adds one step."""
        values = {f"train/{k}": v for k, v in record.items()} | {"train/images_per_second": at.images / at.seconds}
        self._records.scalars(at.step, values)

    def epoch(self, at: Position, record: Mapping[str, object], model: nn.Module) -> None:
        """Adds one epoch."""
        self._records.scalars(at.step, {f"epoch/{k}": v for k, v in record.items() if isinstance(v, float)})
        for name, parameter in model.named_parameters():
            if bool(parameter.isfinite().all()):  # TensorBoard refuses a histogram of NaN
                self._records.histogram(at.step, name, parameter)

    def __enter__(self) -> Self:
        if isinstance(self._bench, Leased):
            with busy(self._bench, OPENING_S):
                self._records.prepare_histograms()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        if "_records" in self.__dict__:
            self._records.close()


class _Records:
    """An event file that is held open; every record is in it when its call returns."""

    def __init__(self, folder: Path, begin: int) -> None:
        from tensorboard.compat.proto.event_pb2 import Event, SessionLog
        from tensorboard.summary.writer.record_writer import RecordWriter

        folder.mkdir(parents=True, exist_ok=True)
        now_ns = time.time_ns()
        name = f"events.out.tfevents.{now_ns // 10**9:010d}.{socket.gethostname()}.{os.getpid()}.{now_ns % 10**9:09d}"
        self._event, self._file = Event, (folder / name).open("xb")
        self._record = RecordWriter(self._file)
        self._add(0, file_version="brain.Event:2")
        if begin:
            self._add(begin + 1, session_log=SessionLog(status=SessionLog.START))

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        from tensorboard.compat.proto.summary_pb2 import Summary

        self._add(step, summary=Summary(value=[Summary.Value(tag=k, simple_value=v) for k, v in values.items()]))

    def prepare_histograms(self) -> None:
        """Loads what they need, TensorFlow where it is installed."""
        importlib.import_module("torch.utils.tensorboard.summary")

    def histogram(self, step: int, name: str, values: Tensor) -> None:
        from torch.utils.tensorboard.summary import histogram

        self._add(step, summary=histogram(name, values, _edges()))

    def close(self) -> None:
        self._file.close()

    def _add(self, step: int, **content: Any) -> None:
        self._record.write(self._event(wall_time=time.time(), step=step, **content).SerializeToString())
        self._file.flush()


@cache
def _edges() -> np.ndarray:
    """Edges of the histograms as TensorBoard's own have them: each 1.1 times the one before, from 1e-12 to 1e20."""
    positive = 1e-12 * 1.1 ** np.arange(774)
    return np.concatenate([-positive[::-1], [0.0], positive])
