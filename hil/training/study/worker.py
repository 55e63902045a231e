"""The process in which a worker's points are trained: `python -m hil.training.study.worker`.

Signals reach a main thread only, and outputs have to go off on them, so nothing is trained in a thread of the engine.
Tasks come as JSON lines on the standard input and answers leave by the standard output. The end of the input, by word
or because whoever wrote there is gone, is a request to stop: the training under way writes its checkpoint. So is a
signal, as Slurm sends it to all of a job whose time is up: the study did not ask for that, and the point goes on.
"""

from __future__ import annotations

import json
import os
import platform
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from queue import SimpleQueue
from typing import Any, TextIO

import typer

from drivers.errors import DeviceError
from drivers.owner_file import HeldByOther, OwnerFile
from firmware_specs import platform as system
from firmware_specs import registry
from hil.training.study import point
from hil.training.study.grid import Row, rows_in

GRACE_S = 30.0
"""Time for the checkpoint of the training that was under way."""
PATIENCE_S, PAUSE_S = 60.0, 0.1
"""How long a point that another process still holds is waited for: one whose worker was killed stops by itself."""
_under_way: list[Callable[[str], None]] = []
"""What notes the end of the attempt under way, for whoever ends this process."""


def main() -> None:
    """Answers one task after another until the input ends."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what a library prints is no answer
    waiting: SimpleQueue[str | None] = SimpleQueue()
    busy, over = threading.Event(), threading.Event()
    threading.Thread(target=_listen, args=(sys.stdin, waiting, busy, over), daemon=True).start()
    while (line := waiting.get()) is not None:
        busy.set()
        if over.is_set():  # who asked has gone since; `_listen` looks the other way round, so one of both sees it
            return
        found = _answer(json.loads(line))
        if found.get("rows") == [] and not over.is_set():
            sys.exit(128 + signal.SIGTERM)  # no answer: the engine takes the training for lost
        busy.clear()
        try:
            print(json.dumps(found), file=answers, flush=True)
        except BrokenPipeError:
            os._exit(0)  # nobody listens any more, and what there is to say lies in the point's folder


def _listen(lines: TextIO, waiting: SimpleQueue[str | None], busy: threading.Event, over: threading.Event) -> None:
    for line in lines:
        waiting.put(line)
    over.set()
    waiting.put(None)
    if busy.is_set():
        system.end_this_process()
        time.sleep(GRACE_S)
        with suppress(IndexError):  # or the training came to its end this moment
            _under_way.pop()("stopped")
        os._exit(128 + signal.SIGTERM)


def _answer(asked: dict[str, Any]) -> dict[str, Any]:
    for module in asked["trusted"]:
        registry.trust(module)
    for module in asked["plugins"]:
        if module not in registry.plugins():
            registry.plugin(module)
    task = point.Task.of_document(asked["task"])
    try:
        with _alone(task):
            rows = rows_in(task.folder) or _noted(task)
    except DeviceError as error:
        return {"device_failed": str(error)}
    except Exception:
        return {"failed": traceback.format_exc()}
    return {"rows": [vars(row) for row in rows]}


def _noted(task: point.Task) -> list[Row]:
    """Runs a point; who did it and when goes into its `attempts.jsonl`."""
    who = {"worker": task.worker, "host": platform.node(), "pid": os.getpid()}
    with (task.folder / "attempts.jsonl").open("a", encoding="utf-8") as log:

        def note(what: str) -> None:
            log.write(json.dumps({"t": round(time.time(), 3), "what": what, **who}) + "\n")
            log.flush()

        note("begun")
        _under_way.append(note)
        try:
            rows = point.run(task)
        except (typer.Exit, KeyboardInterrupt):  # within a step, which is undone; or within the report
            rows = []
        except Exception:
            _under_way.clear()
            raise
        with suppress(IndexError):
            _under_way.pop()("ended" if rows else "stopped")
    return rows


@contextmanager
def _alone(task: point.Task) -> Iterator[None]:
    """Holds a point, and where every worker has a device of its own that one, too."""
    task.folder.mkdir(parents=True, exist_ok=True)
    held = [_hold(task.folder / ".lock", task.point.name)]
    try:
        if task.has_device_of_worker:
            held.append(_hold(task.folder.parent / f".worker-{task.worker}.lock", f"the device of {task.worker}"))
        yield
    finally:
        for lock in held:
            lock.release()


def _hold(path: Path, what: str) -> OwnerFile:
    until = time.monotonic() + PATIENCE_S
    while True:
        try:
            return OwnerFile(path, what)
        except HeldByOther:
            if time.monotonic() > until:
                raise
            time.sleep(PAUSE_S)
        except FileNotFoundError:
            continue  # it was released and taken away this moment


if __name__ == "__main__":
    main()
