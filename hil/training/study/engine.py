"""Runs the points of a study on Dask: a cluster of this machine, or an existing one.

Dask hands out points, watches its workers, starts them again and gives a point whose worker is gone to another one,
which goes on from the checkpoint. The cluster of this machine lives in the study's own process and takes no tasks from
elsewhere: a scheduler runs whatever it is handed. See decision 0031.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from drivers.errors import DeviceError
from firmware_specs import registry
from hil.training.study import trainer
from hil.training.study.grid import Row, StudyError
from hil.training.study.point import Task

if TYPE_CHECKING:
    from distributed import Client

RETRIES = 2
"""So often a point begins again whose process was lost; a worker that is lost counts by Dask's own rule."""
LOOK_S = 10.0
"""For the scheduler."""
LITTLE = {
    "distributed.worker.profile.enabled": False,
    "distributed.admin.tick.interval": "500ms",
    "distributed.admin.system-monitor.interval": "5s",
    "distributed.scheduler.active-memory-manager.start": False,
    "distributed.scheduler.http.routes": [],
    "distributed.worker.http.routes": [],
    # workers are of this process: after five minutes of a closed laptop, or of a stopped job, they live as it does
    "distributed.scheduler.worker-ttl": None,
}
"""Of a cluster that only waits for trainings: what Dask by default looks at a hundred times a second."""


NO_PAGE = "127.0.0.1:0"
"""Dask has a server of status pages in any case; it has none to show, and shows them to this machine alone."""


class DeviceOfPointFailed(DeviceError):
    """A device failed in a point; the study stops, nothing begins again by itself."""


@contextmanager
def opened(folder: Path, jobs: int, scheduler: str | None) -> Iterator[Engine]:
    """Workers for a study; however it is left, its trainings have stopped and written their checkpoints.

    Args:
        folder: Of the study.
        jobs: Workers on this machine, where no scheduler is named.
        scheduler: Address of an existing one, e.g. `tcp://head:8786`.

    Raises:
        StudyError: no scheduler answers there.
    """
    with _client(jobs, scheduler) as client:
        engine = Engine(client, str(folder.absolute()))
        try:
            yield engine
        finally:
            engine.stop()


class Engine:
    """Workers that train points.

    Args:
        client: Of their scheduler.
        study: Folder of the study, absolute.
    """

    def __init__(self, client: Client, study: str) -> None:
        self._client, self._study = client, study
        self._futures: dict[Any, Task] = {}

    @property
    def workers(self) -> int:
        """How many there are now."""
        return len(self._client.scheduler_info(n_workers=-1)["workers"])

    def results(self, tasks: Sequence[Task]) -> Iterator[tuple[Task, list[Row]]]:
        """Every task with its rows, as they are done; none for one that was asked to stop.

        Raises:
            DeviceOfPointFailed: a device failed. StudyError: a worker cannot reach the study's folders.
        """
        from distributed import as_completed

        named = {"plugins": list(registry.plugins()), "trusted": list(registry.trusted())}
        for task in tasks:
            asked = {"study": self._study, "folder": str(Path.cwd()), **named, "task": task.document()}
            future = self._client.submit(trainer.train, asked, key=f"{self._study}/{task.point.name}",
                                         pure=False, retries=RETRIES)  # fmt: skip
            self._futures[future] = task
        for future in as_completed(self._futures, loop=self._client.loop):
            yield self._futures[future], _rows(self._futures[future], future)

    def stop(self) -> None:
        """What has not begun is dropped, what trains stops with a checkpoint."""
        self._client.cancel(list(self._futures), force=True)
        self._client.run(trainer.stop, self._study, on_error="ignore")


def _rows(task: Task, future: Any) -> list[Row]:
    from distributed import KilledWorker

    try:
        answer = future.result()
    except (trainer.TrainerLost, KilledWorker) as error:
        note = str(error) if isinstance(error, trainer.TrainerLost) else "its worker was lost again and again"
        return task.failed(f"{note}; the same command tries again")
    if (why := answer.get("refused")) is not None:
        raise StudyError(why)
    if (why := answer.get("device_failed")) is not None:
        raise DeviceOfPointFailed(f"point {task.point.name}: {why}")
    if (why := answer.get("failed")) is not None:
        raise RuntimeError(f"point {task.point.name}:\n{why}")
    return [Row(**row) for row in answer["rows"]]


@contextmanager
def _client(jobs: int, scheduler: str | None) -> Iterator[Client]:
    import dask
    from distributed import Client, LocalCluster

    if scheduler is not None:
        try:
            client = Client(scheduler, timeout=LOOK_S, set_as_default=False)
        except (OSError, ValueError, TypeError) as error:
            raise StudyError(f"--scheduler {scheduler}: no scheduler answers there ({error})") from error
        with client:
            yield client
        return
    with (
        dask.config.set(LITTLE),
        LocalCluster(
            n_workers=jobs, threads_per_worker=1, processes=False, protocol="inproc://",
            dashboard_address=NO_PAGE, worker_dashboard_address=NO_PAGE, memory_limit=0,
            silence_logs=logging.CRITICAL,
        ) as cluster,
        Client(cluster, set_as_default=False) as client,
    ):  # fmt: skip
        yield client
