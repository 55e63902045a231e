"""Deeds in a file, exact through `kill -9`: counted before they go out as under way, after the reply as done.

The file is mapped into memory, so that a count costs no call of the system and is there whatever ends the process. It
holds two records and which of them counts. A change is made in the other one, and the turn from one to the other is a
single store: a process that is killed leaves the counts as they were before or after, never between.

What was under way when the process ended may or may not have been done. A device counts what it executed: with the
number it had before, the next session knows how many of the requests got through. Where that cannot be known, it was
switched off or asked for something else meanwhile, they count as done: a chip never had more than is said.

The counts of a chip's life outlast versions of this program: a file of fewer kinds of deeds than there are now is read
as it is, and made longer before somebody counts in it.
"""

from __future__ import annotations

import math
import mmap
import os
import time
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np

from firmware_specs import platform
from firmware_specs.deeds import FIELDS, NOTHING, Deeds, finite

MAGIC = b"hil deeds 1\n\0\0\0\0"
HEAD, COUNT = 32, len(FIELDS)
"""Bytes in front: name, turn, when it was made; kinds of deeds."""


def record(count: int) -> int:
    """Numbers of a record: done, of one request under way, of the last; boot, transactions before, how many, doubts."""
    return 3 * count + 4


SIZES = {HEAD + 2 * 8 * record(count): count for count in (12, COUNT)}
"""Kinds of deeds by the length of a file; they were twelve once."""
SIZE = max(SIZES)


class DamagedDeeds(ValueError):
    """A file that is none of ours; the message names it."""


@dataclass(frozen=True)
class UnderWay:
    """Requests that were sent and whose replies were not seen.

    Attributes:
        boot: The device's boot number.
        before: Transactions the device had executed before them, -1 where its protocol does not say.
        count: How many requests.
        each: What each does but the last.
        last: What the last does.
    """

    boot: int
    before: int
    count: int
    each: Deeds
    last: Deeds

    def done(self, executed: int) -> Deeds:
        """What was done when so many of them were executed."""
        executed = min(max(executed, 0), self.count)
        whole = self.each.times(min(executed, self.count - 1)) if self.count > 1 else NOTHING
        return whole + self.last if executed == self.count else whole


class DeedFile:
    """Counts that only grow.

    Args:
        path: The file; it is made where it is missing.
        read_only: Look at what another process counts.

    Raises:
        DamagedDeeds: it holds something else. OSError: it cannot be opened.
    """

    def __init__(self, path: Path, *, read_only: bool = False) -> None:
        self.path = path
        if not read_only and not path.exists():
            _made(path, _new())
        self._open(read_only)
        if not finite(self.total):
            raise DamagedDeeds(f"{path} is damaged: it counts {self.total}")
        if self._count < COUNT and not read_only:
            longer = self._longer()
            self.close()
            _made(path, longer)
            self._open(read_only)

    def _open(self, read_only: bool) -> None:
        with self.path.open("rb" if read_only else "r+b") as file:
            size = os.fstat(file.fileno()).st_size
            if size not in SIZES:
                raise DamagedDeeds(f"{self.path} is no count of deeds: {SIZE} bytes are expected")
            self._map = mmap.mmap(file.fileno(), size, access=mmap.ACCESS_READ if read_only else mmap.ACCESS_WRITE)
        if self._map[:16] != MAGIC:
            raise DamagedDeeds(f"{self.path} is no count of deeds")
        self._count, numbers = SIZES[size], record(SIZES[size])
        self._turn = np.frombuffer(self._map, np.int64, 1, 16)
        self._since = np.frombuffer(self._map, np.float64, 1, 24)
        self._records = np.frombuffer(self._map, np.float64, 2 * numbers, HEAD).reshape(2, numbers)

    @property
    def since(self) -> float | None:
        """When the count began, seconds since 1970; None where the file does not say."""
        since = float(self._since[0])
        return since if math.isfinite(since) and since > 0 else None

    @property
    def total(self) -> Deeds:
        """What was done."""
        return Deeds(*self._now[: self._count].tolist())

    @property
    def doubtful(self) -> int:
        """Requests that count as done though nobody knows."""
        return int(self._now[-1])

    @property
    def under_way(self) -> UnderWay | None:
        """What an earlier process left."""
        boot, before, count = self._now[-4:-1].tolist()
        if not count:
            return None
        _, each, last = self._now[:-4].reshape(3, self._count).tolist()
        return UnderWay(int(boot), int(before), int(count), Deeds(*each), Deeds(*last))

    def add(self, deeds: Deeds) -> None:
        """Something was done; nothing is under way then."""
        record = self._other()
        record[:COUNT] += deeds.numbers()
        record[COUNT:-1] = 0.0
        self._flip()

    def begin(self, under_way: UnderWay) -> None:
        """Requests go out now."""
        record = self._other()
        record[COUNT : 2 * COUNT] = under_way.each.numbers()
        record[2 * COUNT : 3 * COUNT] = under_way.last.numbers()
        record[-4:-1] = under_way.boot, under_way.before, under_way.count
        self._flip()

    def resolve(self, boot: int, executed: int) -> None:
        """Settles what an earlier process left.

        Args:
            boot: The device's boot number now.
            executed: Transactions it has executed before this session, -1 where its protocol does not say.
        """
        left = self.under_way
        if left is None:
            return
        known = left.boot == boot and 0 <= left.before <= executed <= left.before + left.count
        done = executed - left.before if known else left.count
        if not known:
            self._doubt(left.count)
        self.add(left.done(done))

    def flush(self) -> None:
        """Puts the counts on disk: from then on they outlast a power cut, too."""
        self._map.flush()

    def close(self) -> None:
        """Ends it; counts stay."""
        del self._turn, self._since, self._records
        self._map.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def _now(self) -> np.ndarray:
        return self._records[self._turn[0] & 1]

    def _longer(self) -> bytes:
        """The file as it is with room for all kinds of deeds."""
        now, made = self._now, np.zeros((2, record(COUNT)))
        made[0, :-4].reshape(3, COUNT)[:, : self._count] = now[:-4].reshape(3, self._count)
        made[0, -4:] = now[-4:]
        return MAGIC + bytes(8) + self._map[24:HEAD] + made.tobytes()

    def _other(self) -> np.ndarray:
        other = self._records[1 - (self._turn[0] & 1)]
        other[:] = self._now
        return other

    def _flip(self) -> None:
        self._turn[0] = 1 - (self._turn[0] & 1)

    def _doubt(self, count: int) -> None:
        record = self._other()
        record[-1] += count
        self._flip()


def read(path: Path) -> tuple[Deeds, int]:
    """What a file counts, with what is under way as done, and how many requests of it are doubtful.

    Raises:
        DamagedDeeds: it holds something else. OSError: it cannot be read.
    """
    with DeedFile(path, read_only=True) as file:
        total, left = file.total, file.under_way
        return (total, file.doubtful) if left is None else (total + left.done(left.count), file.doubtful + left.count)


def _new() -> bytes:
    """A file of zeros."""
    return MAGIC + bytes(8) + np.float64(time.time()).tobytes() + bytes(SIZE - HEAD)


def _made(path: Path, content: bytes) -> None:
    """The file, whole when it appears under its name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.with_name(f".{path.name}.{os.getpid()}")
    scratch.write_bytes(content)
    platform.replace(scratch, path)
