"""Who chooses how convolutions are formed here, and the file in the user's cache that remembers what was measured.

One file a processor, build of torch and set of vector units, `convolutions/NAME.json` in the cache folder; to remove it
is to have everything measured again. A run's checkpoints hold what it was told, so that it goes on in the same way.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterator, MutableMapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pooch
import torch
from filelock import FileLock, Timeout

from emulator.ways import NAMES, RULE, ByName, Chosen, Measured, Ways
from firmware_specs import platform
from hil.training.run.atomic import write_json

VARIABLE = "CROSSBAR_HIL_CONVOLUTIONS"
MEASURED, BY_RULE = "measured", "rule"
WANTED = (MEASURED, BY_RULE, *NAMES)

MOST_BYTES = 1 << 22
PATIENCE_S = 120.0
"""Wait for others that measure: each does so for a second in all, on a busy machine for a few more in its last product,
and those of a study stand in line. Only a process that was stopped while it measured is given up."""


def machine() -> str:
    """The processor, what torch uses of it, and torch: what a choice holds for."""
    return f"{platform.processor()}, {torch.backends.cpu.get_cpu_capability()}, torch {torch.__version__}"


@dataclass
class CacheFile:
    """Choices in a file.

    Attributes:
        path: Of the file; its folder need not exist. None: a user without a home, whose choices hold for a process.
        about: What the choices hold for, for people.
        patience_s: Wait for others; none any more once they were given up.
    """

    path: Path | None
    about: str
    patience_s: float = PATIENCE_S

    @contextmanager
    def held(self) -> Iterator[MutableMapping[str, str] | None]:
        """What is known, this process's alone; None where the folder cannot be written, or another keeps it long."""
        if self.path is None:
            yield None
            return
        lock = FileLock(self.path.with_suffix(".lock"), timeout=self.patience_s)
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            if not os.access(self.path.parent, os.W_OK):  # a lock that was left in it could be had all the same
                raise PermissionError
            lock.acquire()
        except (OSError, NotImplementedError) as error:  # a Timeout is an OSError
            if isinstance(error, Timeout):
                self.patience_s = 0.0
            yield None
            return
        try:
            known = self.read()
            before = dict(known)
            yield known
            if known != before:
                with suppress(OSError):  # a full disk: what was measured holds for this process
                    write_json(self.path, {"machine": self.about, "ways": known})
        finally:
            lock.release()

    def read(self) -> dict[str, str]:
        """What is known; nothing where the file is not there, or damaged."""
        if self.path is None:
            return {}
        try:
            if self.path.stat().st_size > MOST_BYTES:
                return {}
            return names_of(json.loads(self.path.read_text("utf-8"))["ways"])
        except (OSError, ValueError, LookupError, TypeError, RecursionError):
            return {}


def names_of(found: object) -> dict[str, str]:
    """What is a choice in a document."""
    pairs = found.items() if isinstance(found, dict) else ()
    return {key: name for key, name in pairs if isinstance(key, str) and name in NAMES}


def cache_file() -> CacheFile:
    """Of this machine."""
    about = machine()
    name = hashlib.sha256(about.encode()).hexdigest()[:16]
    try:
        folder = Path(pooch.os_cache("crossbar-hil"))
    except RuntimeError:  # neither HOME nor an entry in the password file
        return CacheFile(None, about)
    return CacheFile(folder / "convolutions" / f"{name}.json", about)


class OfProcess(Measured):
    """That of a process. What is saved with it asks that of the process that loads it, on whatever machine."""

    def __reduce__(self) -> tuple[Callable[[], Ways], tuple[()]]:
        """Of a copy or a pickle: nothing of this machine."""
        return ways_of, ()


@cache
def measured() -> Measured:
    """One for the process: its time for measuring is all counterparts' together."""
    return OfProcess(cache_file())


def check(wanted: str, whose: str = "convolutions") -> str:
    """A name of `WANTED`, as it is.

    Args:
        wanted: The name.
        whose: What it stands under.

    Raises:
        ValueError: it is none of them.
    """
    if wanted not in WANTED:
        raise ValueError(f"{whose}: {wanted!r:.80}, expected one of {', '.join(WANTED)}")
    return wanted


def ways_of(wanted: str = MEASURED) -> Ways:
    """Who chooses.

    Args:
        wanted: A name of `WANTED`. For `measured`, the default, the environment may name another one.

    Raises:
        ValueError: the name is none of them.
    """
    asked = check(wanted)
    if asked == MEASURED and (named := os.environ.get(VARIABLE)):
        asked = check(named, VARIABLE)
    return measured() if asked == MEASURED else RULE if asked == BY_RULE else ByName(asked)


def chooser(wanted: str = MEASURED) -> Chosen:
    """Who chooses for one counterpart; as `ways_of`."""
    return Chosen(ways_of(wanted))


def chosen_by(bench: object) -> Chosen | None:
    """What a counterpart's convolutions were told; None where it forms none here."""
    found = getattr(bench, "convolutions", None)
    return found if isinstance(found, Chosen) else None


def kept(chosen: Chosen) -> dict[str, object]:
    """For a checkpoint: JSON values."""
    return {"machine": machine(), "ways": dict(chosen.by_work)}


def take(chosen: Chosen, found: object) -> None:
    """Takes what a checkpoint holds, before anything is formed.

    Nothing is taken where a person named a way, nor of another machine, whose rounding is another one in any case.
    """
    if isinstance(chosen.ways, Measured) and isinstance(found, dict) and found.get("machine") == machine():
        chosen.by_work.update(names_of(found.get("ways")))
