"""The event log of a run: what happened when, one JSON object a line, only ever added to.

The files are `events-000001.jsonl` and so on, a new one whenever one is full; nothing is renamed, so that a reader goes
on where it was while the run writes. Every event has `t`, seconds since 1970, and `kind`.
"""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from firmware_specs import platform
from hil.training.run.atomic import of_one_name

Event = dict[str, Any]

FULL_BYTES = 8 << 20
"""A file that is longer is followed by a new one."""
MOST_FILES = 64
"""So many are kept, half a gigabyte; the oldest go."""
MOST_LINE = 1 << 20
CHUNK = 1 << 20
_NAME = re.compile(r"events-(\d{6})\.jsonl")


class EventLog:
    """Adds events to the log in a folder.

    Args:
        folder: Of the run.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._number, newest = max(_files(folder), default=(1, None))
        of_one_name(_path(folder, self._number))
        self._file = _appending(_path(folder, self._number))
        self._size = os.fstat(self._file).st_size
        if newest is not None and not _ends_whole(newest):
            self._put(b"\n")  # a line that was cut off by a kill ends here

    def write(self, kind: str, **values: object) -> None:
        """Adds an event; what JSON has no form for (NaN, infinities) becomes null. It is readable at once."""
        event = {"t": round(time.time(), 3), "kind": kind, **{k: finite(v) for k, v in values.items()}}
        self._put(json.dumps(event, separators=(",", ":")).encode() + b"\n")
        if self._size >= FULL_BYTES:
            self._turn()

    def close(self) -> None:
        """Ends it."""
        os.close(self._file)

    def _put(self, line: bytes) -> None:
        os.write(self._file, line)
        self._size += len(line)

    def _turn(self) -> None:
        os.close(self._file)
        self._number += 1
        self._file, self._size = _appending(_path(self._folder, self._number)), 0
        for _, path in sorted(_files(self._folder))[:-MOST_FILES]:
            path.unlink()


class Follower:
    """Reads a log while it is written: every call gives what is new."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._number, self._offset = 0, 0

    def new(self, most_bytes: int = 1 << 40) -> Iterator[Event]:
        """Events since the last call, oldest first, of at most so many bytes; lines that are none are left out."""
        for number, path in sorted(_files(self._folder)):
            if number < self._number:
                continue
            if number > self._number:
                self._number, self._offset = number, 0
            with path.open("rb") as file:
                while most_bytes > 0:
                    file.seek(self._offset)
                    chunk = file.read(CHUNK)
                    whole = chunk.rfind(b"\n") + 1
                    if not whole and len(chunk) < CHUNK:
                        break
                    self._offset += whole or len(chunk)
                    most_bytes -= whole or len(chunk)
                    yield from (event for line in chunk[:whole].splitlines() if (event := _event(line)) is not None)
            if most_bytes <= 0:
                return


def read(folder: Path) -> Iterator[Event]:
    """All events of a run so far."""
    yield from Follower(folder).new()


def last(folder: Path, *kinds: str, within: int = 1 << 16) -> Event | None:
    """The newest event of any of these kinds among the last bytes of a log; None where there is none."""
    files = sorted(_files(folder))
    if not files:
        return None
    with files[-1][1].open("rb") as file:
        file.seek(max(0, file.seek(0, os.SEEK_END) - within))
        found = [event for line in file.read().splitlines() if (event := _event(line)) is not None]
    return next((event for event in reversed(found) if event["kind"] in kinds), None)


def finite(value: object) -> object:
    """A value as JSON takes it."""
    if isinstance(value, float):
        return value if abs(value) < float("inf") else None
    if isinstance(value, dict):
        return {str(k): finite(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [finite(v) for v in value]
    return value


def _event(line: bytes) -> Event | None:
    if len(line) > MOST_LINE:
        return None
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(found, dict) or not isinstance(found.get("kind"), str):
        return None
    return found if isinstance(found.get("t"), int | float) and abs(found["t"]) < 1e12 else None


def _files(folder: Path) -> list[tuple[int, Path]]:
    if not folder.is_dir():
        return []
    found = ((_NAME.fullmatch(path.name), path) for path in folder.iterdir())
    return [(int(match[1]), path) for match, path in found if match]


def _path(folder: Path, number: int) -> Path:
    return folder / f"events-{number:06d}.jsonl"


def _appending(path: Path) -> int:
    return os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | platform.OPEN_FLAGS, 0o644)


def _ends_whole(path: Path) -> bool:
    with path.open("rb") as file:
        if not file.seek(0, os.SEEK_END):
            return True
        file.seek(-1, os.SEEK_END)
        return file.read(1) == b"\n"
