"""Progress of a training run: a live bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from types import TracebackType
from typing import Protocol, Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from hil.training.state import Position
from hil.training.wording import said

PLAIN_SECONDS = 5.0
WIDE = 100
"""Columns from which on there is room for a long bar."""


class TrainScreen(Protocol):
    """A screen that is opened and closed."""

    def step(self, position: Position, record: dict[str, float]) -> None:
        """After every step."""
        ...

    def epoch(self, position: Position, record: dict[str, object]) -> None:
        """After every epoch."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None: ...


def open_screen(console: Console, epochs: int, batches: int, *, quiet: bool = False) -> TrainScreen:
    """The screen that suits a console.

    Args:
        console: Where to write.
        epochs: Epochs of the run.
        batches: Steps an epoch.
        quiet: Epoch lines only.
    """
    if console.is_terminal and not quiet:
        return BarScreen(console, epochs, batches)
    return PlainScreen(console, epochs, batches, quiet=quiet)


class _Clock:
    """Steps a second of this session, for the time that remains."""

    def __init__(self, total_steps: int) -> None:
        self._total, self._start = total_steps, time.monotonic()
        self._first: int | None = None

    def remaining(self, step: int) -> str:
        self._first = step - 1 if self._first is None else self._first
        per_step = (time.monotonic() - self._start) / (step - self._first)
        seconds = round(per_step * (self._total - step))
        return f"{seconds // 3600}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"


def _figures(position: Position, record: dict[str, float], room: int | None = None) -> str:
    """Figures of a step, the most important first; as many whole ones as there is room for."""
    parts = [f"loss {record['loss']:.4f}", said(record), f"{position.images / position.seconds:6.0f} images/s"]
    if "settled" in record:
        parts += [f"settled {record['settled']:.1%}", f"clipped {record['clipped']:.2%}"]
    parts = [part for part in parts if part]
    while room is not None and parts and len("  ".join(parts)) > room:
        parts.pop()
    return "  ".join(parts)


def _epoch_line(position: Position, epochs: int, record: dict[str, object]) -> str:
    text = f"epoch {position.epoch}/{epochs}  loss {record['loss']:.4f}  {said(record)}"
    for part in ("validation", "test"):
        if f"{part}_loss" in record:
            text += f"  {part} loss {record[f'{part}_loss']:.4f}  {said(record, part)}"
    return text


class PlainScreen:
    """A line every few seconds and one an epoch."""

    def __init__(self, console: Console, epochs: int, batches: int, *, quiet: bool = False) -> None:
        self._console, self._epochs, self._batches, self._quiet = console, epochs, batches, quiet
        self._clock = _Clock(epochs * batches)
        self._last = time.monotonic()

    def step(self, position: Position, record: dict[str, float]) -> None:
        """Prints when it is time again."""
        remaining, now = self._clock.remaining(position.step), time.monotonic()
        if self._quiet or now - self._last < PLAIN_SECONDS:
            return
        self._last = now
        where = f"epoch {position.epoch + 1}/{self._epochs}  step {position.batch}/{self._batches}"
        self._print(f"{where}  {_figures(position, record)}  ETA {remaining}")

    def epoch(self, position: Position, record: dict[str, object]) -> None:
        """Prints."""
        self._print(_epoch_line(position, self._epochs, record))

    def _print(self, text: str) -> None:
        self._console.print(text, highlight=False, soft_wrap=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing is open."""


class BarScreen:
    """A live bar."""

    def __init__(self, console: Console, epochs: int, batches: int) -> None:
        self._epochs, self._batches = epochs, batches
        self._clock, self._console = _Clock(epochs * batches), console
        self._bar = 20 if console.width >= WIDE else 8
        self._progress = Progress(
            TextColumn("epoch {task.fields[epoch]}  step {task.fields[batch]}"),
            BarColumn(bar_width=self._bar),
            TextColumn("ETA {task.fields[eta]}"),
            TextColumn("{task.fields[figures]}"),  # last: what does not fit is left out
            console=console,
        )
        self._task = self._progress.add_task(
            "train", total=epochs * batches, epoch=f"1/{epochs}", batch=f"0/{batches}", figures="", eta="-"
        )

    def step(self, position: Position, record: dict[str, float]) -> None:
        """Moves the bar."""
        epoch, batch = f"{position.epoch + 1}/{self._epochs}", f"{position.batch}/{self._batches}"
        eta = self._clock.remaining(position.step)
        taken = len(f"epoch {epoch}  step {batch} ") + self._bar + len(f" ETA {eta} ")
        figures = _figures(position, record, self._console.width - taken)
        self._progress.update(self._task, completed=position.step, epoch=epoch, batch=batch, figures=figures, eta=eta)

    def epoch(self, position: Position, record: dict[str, object]) -> None:
        """Prints a line above the bar."""
        self._progress.console.print(_epoch_line(position, self._epochs, record), highlight=False)

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()
