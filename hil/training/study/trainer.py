"""What a Dask worker does for a study: it hands points to a process of its own, and says what became of them."""

from __future__ import annotations

import asyncio
import contextlib
import json
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

from distributed import Worker, get_worker

STOP_S = 40.0
"""A training that was asked to stop has its checkpoint by then."""


class TrainerLost(Exception):
    """The process that trained a point is gone: killed, or out of memory. Another one goes on from its checkpoint."""


class Trainer:
    """A process that trains one point after another.

    Args:
        folder: Where it stands, that paths of the experiment may be relative to.
    """

    def __init__(self, folder: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "hil.training.study.worker"],
            cwd=folder,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            start_new_session=True,  # a Ctrl-C is the study's, which asks by the end of the input
        )

    @property
    def alive(self) -> bool:
        """Whether it can be asked."""
        return self._process.poll() is None and self._process.stdin is not None and not self._process.stdin.closed

    def answer(self, asked: dict[str, Any]) -> dict[str, Any]:
        """Hands over a task and waits for what becomes of it.

        Raises:
            TrainerLost: the process ended without an answer.
        """
        source, target = self._process.stdout, self._process.stdin
        if source is None or target is None:
            raise TrainerLost("it has no pipes")
        try:
            target.write(json.dumps(asked) + "\n")
            target.flush()
            line = source.readline()
        except (OSError, ValueError) as error:
            raise TrainerLost(f"the process that trains is gone: {error}") from error
        if not line:
            raise TrainerLost(f"the process that trains ended with {self._process.wait()}")
        found: dict[str, Any] = json.loads(line)
        return found

    def stop(self) -> None:
        """Asks it to stop, and waits until it is gone."""
        with contextlib.suppress(OSError):  # it was gone already, with a task unread
            if self._process.stdin is not None:
                self._process.stdin.close()
        try:
            self._process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()


_one_at_a_time: dict[str, threading.Lock] = {}
_trainers: dict[tuple[str, str], Trainer] = {}
"""By worker, of which a process may have several, and study: other clients of the same scheduler are none of ours."""


def train(asked: dict[str, Any]) -> dict[str, Any]:
    """Trains a point on this worker; called by the engine in a thread.

    Returns:
        `rows`; or `device_failed` or `failed` with the reason.

    Raises:
        TrainerLost: the engine may try again. FileNotFoundError: the folders of the study are not on this machine.
    """
    study, folder, me = asked["study"], asked["folder"], get_worker()
    for place in (study, folder):
        if not Path(place).is_dir():
            return {"refused": f"{place} is not on the machine of worker {me.name}: a study's workers share "
                    "its folders, e.g. over NFS"}  # fmt: skip
    mine = me.address, study
    with _one_at_a_time.setdefault(me.address, threading.Lock()):
        trainer = _trainers.get(mine)
        if trainer is not None and not trainer.alive:
            trainer.stop()
            trainer = None
        if trainer is None:
            trainer = _trainers[mine] = Trainer(folder)
        task = asked["task"]
        here = {"worker": str(me.name), "threads": task["threads"] or me.state.nthreads}
        return trainer.answer({**asked, "task": {**task, **here}})


async def stop(study: str, dask_worker: Worker) -> None:
    """Ends what trains points of a study on this worker, with a checkpoint; called by the engine."""
    trainer = _trainers.pop((dask_worker.address, study), None)
    if trainer is not None:
        await asyncio.to_thread(trainer.stop)
