"""Folders that commands write to or read from, and programs they start."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from hil.doctor.finding import Finding
from hil.outputs import RUNS

SECTION = "folders"
PROGRAMS = {
    "git": ("the revision in a run's provenance.json", "apt-get install git"),
    "ngspice": ("the cross-check against SPICE in the test suite", "apt-get install ngspice"),
    "debootstrap": ("make fresh", "apt-get install debootstrap"),
}
"""Programs: what they are needed for, and how they are had on Debian and Ubuntu."""


def look(data_root: Path) -> Iterator[Finding]:
    """Lock folder, folder of runs, temporary folder, data sets."""
    yield lock_folder()
    yield writable("runs", RUNS, "hil train, hil study (or name another with --run-dir)")
    yield writable("temporary files", Path(tempfile.gettempdir()), "hil emulate --pty")
    yield from data_sets(data_root)


def lock_folder() -> Finding:
    """Where who owns a device is written."""
    from drivers.errors import OutOfRange
    from drivers.lock import lock_path

    try:
        return Finding(SECTION, "locks of devices", str(lock_path("doctor").parent))
    except OutOfRange as error:
        return Finding(SECTION, "locks of devices", str(error), "missing", "every command with a device", error.todo)


def writable(name: str, folder: Path, needed_for: str) -> Finding:
    """Whether files can be made in a folder, or the folder can be made."""
    nearest = next((p for p in (folder.absolute(), *folder.absolute().parents) if p.exists()), Path("/"))
    free = shutil.disk_usage(nearest).free
    value = f"{folder.absolute()}, {free / 1e9:.1f} GB free"
    if nearest.is_dir() and os.access(nearest, os.W_OK | os.X_OK):
        return Finding(SECTION, name, value, "note" if free < 1e9 else "ok")
    return Finding(SECTION, name, f"{value}: cannot be written to", "missing", needed_for, f"chmod u+rwx {nearest}")


def data_sets(root: Path) -> Iterator[Finding]:
    """Which data sets have their files below the data root; `hil data check` compares their digests."""
    from hil.data.catalogue import CATALOGUE

    yield Finding(SECTION, "data root", f"{root.absolute()}{'' if root.is_dir() else ', which is not there'}", "note")
    there = [name for name in CATALOGUE if has_files(name, root)]
    absent = [name for name in CATALOGUE if name not in there]
    if there:
        yield Finding(SECTION, "data sets", f"{', '.join(there)}; `hil data check NAME` compares their files")
    if absent:
        needed, mend = "experiments on one of them", f"hil data fetch NAME --data-root {root}"
        yield Finding(SECTION, "data sets that are not there", ", ".join(absent), "missing", needed, mend)


def has_files(name: str, root: Path) -> bool:
    """Whether a file of some layout of a data set lies below a data root."""
    from hil.data.catalogue import CATALOGUE, OTHER_LAYOUTS
    from hil.data.mnist import FOLDERS, find

    downloads = (*CATALOGUE[name], *OTHER_LAYOUTS.get(name, ()))
    if name in FOLDERS:
        return any(find(root, name, download.name.removesuffix(".gz")) for download in downloads)
    return any((root / download.folder / file).is_file() for download in downloads for file, _ in download.unpacked)


def programs() -> Iterator[Finding]:
    """Programs that some commands start."""
    for name, (needed, mend) in PROGRAMS.items():
        where = shutil.which(name)
        if where:
            yield Finding("programs", name, where)
        else:
            yield Finding("programs", name, "not found", "missing", needed, mend)
