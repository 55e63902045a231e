"""Who chooses how convolutions are formed here, and the file in the user's cache that remembers what was measured.

One file a processor, build of torch and set of vector units, `convolutions/NAME.json` in the cache folder; to remove it
is to have everything measured again. A run's checkpoints hold what it was told, so that it goes on in the same way.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping, MutableMapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pooch
import torch
from filelock import FileLock, Timeout

from emulator.ways import NAMES, RULE, ByName, Chosen, Measured, Ways
from firmware_specs import platform

VARIABLE = "CROSSBAR_HIL_CONVOLUTIONS"
MEASURED, BY_RULE = "measured", "rule"
WANTED = (MEASURED, BY_RULE, *NAMES)

MOST_BYTES = 1 << 22
PATIENCE_S = 10.0
"""Wait for another process that measures: each does so for a second at most."""


def machine() -> str:
    """The processor, what torch uses of it, and torch: what a choice holds for."""
    return f"{platform.processor()}, {torch.backends.cpu.get_cpu_capability()}, torch {torch.__version__}"


@dataclass(frozen=True)
class CacheFile:
    """Choices in a file.

    Attributes:
        path: Of the file; its folder need not exist. None: a user without a home, whose choices hold for a process.
        about: What the choices hold for, for people.
    """

    path: Path | None
    about: str

    @contextmanager
    def held(self) -> Iterator[MutableMapping[str, str] | None]:
        """What is known, this process's alone; None where the folder cannot be written, or another keeps it long."""
        if self.path is None:
            yield None
            return
        lock = FileLock(self.path.with_suffix(".lock"), timeout=PATIENCE_S)
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            lock.acquire()
        except (OSError, Timeout, NotImplementedError):
            yield None
            return
        try:
            known = self.read()
            before = dict(known)
            yield known
            if known != before:
                self._write(self.path, known)
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

    def _write(self, path: Path, known: Mapping[str, str]) -> None:
        part = path.with_suffix(f".{os.getpid()}")
        with suppress(OSError):  # a full disk: what was measured holds for this process
            part.write_text(json.dumps({"machine": self.about, "ways": known}, indent=2) + "\n", "utf-8")
            platform.replace(part, path)


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


@cache
def measured() -> Measured:
    """One for the process: its time for measuring is all counterparts' together."""
    return Measured(cache_file())


def chooser(wanted: str = MEASURED) -> Chosen:
    """Who chooses for one counterpart.

    Args:
        wanted: A name of `WANTED`. For `measured`, the default, the environment may name another one.

    Raises:
        ValueError: the name is none of them.
    """
    asked = os.environ.get(VARIABLE) or wanted if wanted == MEASURED else wanted
    if asked not in WANTED:
        whose = "convolutions" if asked == wanted else VARIABLE
        raise ValueError(f"{whose}: {asked!r:.80}, expected one of {', '.join(WANTED)}")
    ways: Ways = measured() if asked == MEASURED else RULE if asked == BY_RULE else ByName(asked)
    return Chosen(ways)


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
