"""Folders of ours: they carry a marker, one process writes them, and only what we make in them is ever removed.

A folder that somebody hands over, or that a path was mistyped into, may hold anything: links to elsewhere, a thesis.
So nothing in it is followed or removed because of how it is called alone. The marker says that a folder is ours; what
of it we make is listed by its kind; a link with one of those names is refused before anything is touched.
"""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from drivers.owner_file import HeldByOther, NotALock, OwnerFile, holder_of, was_lost
from hil.training.run.atomic import write_json

MARKER, LOCK = ".crossbar-hil", ".lock"
_NOTHING = frozenset({MARKER, LOCK})
MOST_BYTES = 4096
_SCRATCH = re.compile(r"(.*/)?\.([^/]+)\.(?:[a-z0-9_]{8}|\d+)")


class RunError(ValueError):
    """A folder of a run that cannot be used as asked; the message says what to do instead."""


@dataclass(frozen=True)
class Made:
    """What we make in a folder of one kind.

    Attributes:
        kind: As its marker says.
        files: Of files, paths relative to it with `/`.
        folders: Of folders that those lie in.
    """

    kind: str
    files: re.Pattern[str]
    folders: re.Pattern[str]

    def file(self, name: str) -> bool:
        """Is it a file that we make, or what writing one left when it was cut off?"""
        scratch = _SCRATCH.fullmatch(name)
        return bool(self.files.fullmatch(name) or (scratch and self.files.fullmatch((scratch[1] or "") + scratch[2])))

    def folder(self, name: str) -> bool:
        """Is it a folder that we make?"""
        return bool(self.folders.fullmatch(name))


def mark(folder: Path, made: Made, **facts: object) -> None:
    """Makes a folder ours, or notes more facts of one that is."""
    write_json(folder / MARKER, {"kind": made.kind, **facts_of(folder, made), **facts})


def unmark(folder: Path) -> None:
    """A folder is nobody's again."""
    (folder / MARKER).unlink(missing_ok=True)


def facts_of(folder: Path, made: Made) -> dict[str, object]:
    """What the marker of a folder of some kind says besides; empty where there is none of that kind."""
    found = _marker(folder)
    return {k: v for k, v in found.items() if k != "kind"} if found.get("kind") == made.kind else {}


def is_ours(folder: Path, made: Made) -> bool:
    """Does a folder carry the marker of that kind?"""
    return _marker(folder).get("kind") == made.kind


def content(folder: Path) -> set[str]:
    """Names in a folder, without marker and lock."""
    return {entry.name for entry in folder.iterdir()} - _NOTHING


def refuse_links(folder: Path, made: Made) -> None:
    """Raises `RunError` where something we would write or remove is a link, or something else that is no plain file."""
    for path, name in _walk(folder, made):
        if not (made.file(name) or made.folder(name) or name in _NOTHING):
            continue
        if path.is_symlink():
            raise RunError(
                f"{path} is a link, and nothing is written or removed through one: put what it names in its place, "
                "or take another folder"
            )
        if path.is_dir() != made.folder(name) or not (path.is_dir() or path.is_file()):
            raise RunError(f"{path} is not what a {made.kind} has under that name: move it away")


def clear(folder: Path, made: Made, *, keep: frozenset[str] = frozenset(), last: str = "") -> None:
    """Removes what we made in a folder of ours; other files, and folders that hold some, stay.

    Args:
        folder: Carries the marker, is held by this process, and has no links.
        made: What we make in it.
        keep: Names that stay.
        last: Name of the file that goes last: while it is there, the rest is known for what it is.
    """
    found = [(path, name) for path, name in _walk(folder, made) if name not in keep]
    for path, name in sorted(found, key=lambda item: item[1] == last):
        if made.file(name):
            path.unlink()
    for path, name in sorted(found, reverse=True):
        if made.folder(name):
            with contextlib.suppress(OSError):  # holds what is not ours
                path.rmdir()


@contextmanager
def written(folder: Path, made: Made, todo: str) -> Iterator[None]:
    """Makes a folder where it is missing and holds it for this process alone; an empty one is taken away again.

    Args:
        folder: Which; its parents are made, too.
        made: What we make in it; none of that may be a link.
        todo: What somebody who finds it taken is to do.

    Raises:
        RunError: another process writes it, or a link lies in it. OSError: it cannot be made.
    """
    held = _hold(folder, todo)
    try:
        refuse_links(folder, made)
        yield
    finally:
        left = not held.lost and not content(folder)
        if left:
            unmark(folder)
        held.release()
        if left:
            with contextlib.suppress(OSError):  # somebody was faster
                folder.rmdir()


def refuse_written(folder: Path, todo: str) -> None:
    """Raises `RunError` where a process writes a folder now; looks only."""
    if (owner := holder_of(folder / LOCK)) is not None:
        raise _taken(folder, str(owner), todo)


def taken_away(folder: Path) -> bool:
    """Did this process hold a folder that is another one by now, or anybody's?"""
    return was_lost(folder / LOCK)


def refuse_taken_away(folder: Path) -> None:
    """Raises `RunError` where this process held a folder that is another one by now, or anybody's."""
    if taken_away(folder):
        raise RunError(
            f"{folder} is no longer this process's: it was moved, or its {LOCK} was removed, and another one may write "
            "it. Nothing more is written there; --resume goes on with it where it is now"
        )


def _hold(folder: Path, todo: str) -> OwnerFile:
    for _ in range(20):  # each turn means that somebody took an empty folder away this moment
        folder.mkdir(parents=True, exist_ok=True)
        try:
            return OwnerFile(folder / LOCK, str(folder))
        except FileNotFoundError:
            continue
        except HeldByOther as error:
            raise _taken(folder, str(error), todo) from error
        except NotALock as error:
            raise RunError(f"{error}; move it away") from error
    raise RunError(f"{folder} is made and removed again by other processes: choose another folder")


def _taken(folder: Path, owner: str, todo: str) -> RunError:
    return RunError(f"{folder} is being written by {owner}: {todo}")


def _marker(folder: Path) -> dict[str, object]:
    path = folder / MARKER
    try:
        if path.is_symlink() or path.stat().st_size > MOST_BYTES:
            return {}
        found = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _walk(folder: Path, made: Made) -> Iterator[tuple[Path, str]]:
    """What lies in a folder and in the folders we make there, with its name relative to it; links are not followed."""
    waiting = [folder]
    while waiting:
        for entry in sorted(waiting.pop().iterdir()):
            name = entry.relative_to(folder).as_posix()
            yield entry, name
            if made.folder(name) and entry.is_dir() and not entry.is_symlink():
                waiting.append(entry)
