"""Has the trainings of a grid done and says how each went."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from hil.training.study import engine
from hil.training.study.grid import Row, rows_in
from hil.training.study.point import Task


def done(
    tasks: Sequence[Task], folder: Path, jobs: int, say: Callable[[str], None], scheduler: str | None = None
) -> dict[Path, list[Row]]:
    """Rows of every training by its folder, in the order of the tasks; those that are done are not trained again.

    Args:
        tasks: What is to be trained, checked.
        folder: Of the study.
        jobs: Trainings at a time on this machine, where no scheduler is named.
        say: Takes a line of text, one a training.
        scheduler: Address of an existing one.

    Raises:
        StudyError: no scheduler answers, or a worker cannot reach the folders. DeviceOfPointFailed: a device failed.
    """
    before = {task.folder: rows for task in tasks if (rows := rows_in(task.folder)) is not None}
    left = [task for task in tasks if task.folder not in before]
    say(f"{len(tasks)} trainings, {len(before)} of them done before")
    now: dict[Path, list[Row]] = {}
    if left:
        with engine.opened(folder, min(jobs, len(left)), scheduler) as workers:
            if scheduler is not None:
                say(f"{scheduler}: {workers.workers} workers")
            for task, rows in workers.results(left):
                now[task.folder] = rows
                for line in _told(task, rows):
                    say(line)
    return {task.folder: before.get(task.folder) or now.get(task.folder, []) for task in tasks}


def _told(task: Task, rows: Sequence[Row]) -> list[str]:
    """A line a row, by what the point sets; one where a training was asked to stop."""
    if not rows:
        return [f"{task.point.name}: stopped"]
    places = (", ".join(f"{key}={value}" for key, value in row.values.items()) for row in rows)
    tolds = (f"failed: {row.note}" if row.accuracy is None else f"{row.accuracy:.2%}" for row in rows)
    return [f"{place or task.point.name}: {told}" for place, told in zip(places, tolds, strict=True)]
