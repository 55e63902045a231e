"""`metrics.jsonl`: what a run measured, step by step; the same bytes for the same run, broken or not."""

from __future__ import annotations

import json
import os
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from hil.training.run.atomic import of_one_name
from hil.training.run.documents import record
from hil.training.run.marked import RunError


class MetricsFile:
    """Appends records; on resume everything behind the checkpoint is cut off first.

    Args:
        path: The file.
        size: Length in bytes to go on from; 0 starts anew.

    Raises:
        RunError: the file is shorter than that.
    """

    def __init__(self, path: Path, size: int = 0) -> None:
        of_one_name(path)
        self._file = path.open("ab")
        if self._file.tell() < size:
            self._file.close()
            raise RunError(f"{path} is shorter than its checkpoint says, {size} bytes: it was changed from outside")
        self._file.truncate(size)
        self._file.seek(0, os.SEEK_END)

    def write(self, record: dict[str, object]) -> None:
        """Adds one line; values that JSON has no form for (NaN, infinities) become null."""
        self._file.write(json.dumps({k: _finite(v) for k, v in record.items()}).encode() + b"\n")

    @property
    def size(self) -> int:
        """Length in bytes, with what is not on disk yet."""
        return self._file.tell()

    def sync(self) -> int:
        """Puts everything on disk and returns the length in bytes."""
        self._file.flush()
        os.fsync(self._file.fileno())
        return self._file.tell()

    def close(self) -> None:
        """Closes the file."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def read(path: Path) -> list[dict[str, Any]]:
    """All whole records; a line cut off by a crash is left out, as is one that is no record."""
    if not path.is_file():
        return []
    with path.open("rb") as file:
        found = (record(line) for line in file if line.endswith(b"\n"))
        return [line for line in found if line is not None]


def _finite(value: object) -> object:
    return None if isinstance(value, float) and not abs(value) < float("inf") else value
