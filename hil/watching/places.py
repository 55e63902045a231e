"""What there is to see below a folder: runs, characterizations, studies, each with a name that an address may hold."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from drivers.owner_file import holder_of
from hil.measuring.characterize import told
from hil.measuring.characterize.told import ChipError
from hil.training.run import marked
from hil.training.run.kinds import CHARACTERIZATION, RUN, STUDY
from hil.training.study.grid import rows_in

DEPTH, MOST, MOST_POINTS = 4, 500, 5000
"""Folders below folders; things that are shown; points of a study."""
Things = dict[str, tuple[str, Path]]


def found(root: Path) -> Things:
    """Kind and folder of everything, by its name; points of a study are seen in the study."""
    return {name_of(root, path): (kind, path) for kind, path in islice(_walk(root, DEPTH), MOST)}


def points_too(root: Path, things: Things) -> Things:
    """The same and the runs of all points."""
    studies = [path for kind, path in things.values() if kind == "study"]
    runs = (point / "run" for path in studies for point in points_of(path))
    return things | {name_of(root, run): ("run", run) for run in runs if run.is_dir()}


def name_of(root: Path, path: Path) -> str:
    """What something below a folder is called in addresses."""
    relative = path.relative_to(root).as_posix()
    return hashlib.sha256(relative.encode(errors="surrogateescape")).hexdigest()[:12]


def points_of(folder: Path) -> list[Path]:
    """Folders of a study's points; numbers in their names count as numbers."""
    points = [path for path in (folder / "points").glob("*") if path.is_dir() and not path.is_symlink()]
    return sorted(points, key=_in_order)[:MOST_POINTS]


def _in_order(path: Path) -> list[tuple[float, str]]:
    parts = re.split(r"(-?\d+(?:\.\d+)?(?:e[+-]?\d+)?)", path.name)
    return [(float(part), "") if odd % 2 else (0.0, part) for odd, part in enumerate(parts)]


def _walk(folder: Path, depth: int) -> Iterator[tuple[str, Path]]:
    for kind, made in (("run", RUN), ("characterization", CHARACTERIZATION), ("study", STUDY)):
        if marked.is_ours(folder, made):
            yield kind, folder
            return
    if depth <= 0:
        return
    try:
        inside = sorted(entry for entry in folder.iterdir() if entry.is_dir() and not entry.is_symlink())
    except OSError:
        return
    for entry in inside:
        if not entry.name.startswith("."):
            yield from _walk(entry, depth - 1)


def characterization(folder: Path) -> dict[str, Any]:
    """How far a measurement is, and what it concluded."""
    said: dict[str, Any] = {"kind": "characterization", "name": folder.name, "title": folder.name}
    try:
        begun, concluded = told.begun(folder), told.concluded(folder)
    except ChipError as error:
        return {**said, "state": "damaged", "why": str(error)}
    if begun is not None:
        said |= {"title": f"{begun.chip.vendor} {begun.chip.model} {begun.chip.serial}", "address": begun.address}
    done = sorted(path.stem for path in folder.glob("*.nc"))
    steps = {
        path.name: sum(1 for _ in path.glob("*.npz")) for path in sorted(folder.glob("journal/*")) if path.is_dir()
    }
    said |= {"items": done, "steps": steps, "state": "running" if held(folder) else "ended"}
    if concluded is not None:
        said["figures"] = [{"name": f.name, "value": str(f.estimate), "note": f.note} for f in concluded.figures[:MOST]]
        said["skipped"] = dict(list(concluded.skipped.items())[:MOST])
    elif said["state"] == "ended":
        said |= {"state": "lost", "why": "it has not concluded: the same command goes on with it"}
    return said


def study(folder: Path) -> dict[str, Any]:
    """How many points of a study are done, and how they came out."""
    rows = [(path.name, rows_in(path)) for path in points_of(folder)]
    shown = [
        {"name": name, "accuracy": row.accuracy, "seconds": row.seconds, "note": row.note[:200]}
        for name, found in rows for row in found or ()
    ]  # fmt: skip
    busy = [name for name, found in rows if found is None and held(folder / "points" / name / "run")]
    total = marked.facts_of(folder, STUDY).get("points")
    return {
        "kind": "study", "name": folder.name, "title": folder.name, "state": "running" if held(folder) else "ended",
        "done": sum(1 for _, found in rows if found is not None), "points": total if isinstance(total, int) else None,
        "busy": busy, "rows": shown[:MOST], "failed": sum(1 for row in shown if row["accuracy"] is None),
    }  # fmt: skip


def held(folder: Path) -> bool:
    """Whether somebody works in a folder."""
    return holder_of(folder / marked.LOCK) is not None
