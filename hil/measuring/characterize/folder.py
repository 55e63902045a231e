"""The folder of a characterization: what lies in it, read back by its shape."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hil.measuring import netcdf
from hil.measuring.characterize.items import ITEMS
from hil.measuring.characterize.told import ChipError, begun
from hil.training.run import marked
from hil.training.run.kinds import CHARACTERIZATION
from hil.training.run.marked import RunError

if TYPE_CHECKING:
    import xarray as xr

WAIT = "wait until it has ended, or take another --out"


def measured(folder: Path) -> dict[str, xr.Dataset]:
    """The datasets of all items that are there, each as its item made it.

    Raises:
        ChipError: one does not read back, or has other variables.
    """
    found = {}
    known = {item.NAME: item.DIMS for item in ITEMS}
    others = sorted(path.stem for path in folder.glob("*.nc") if path.stem not in known)
    for name in (*known, *others):
        path = folder / f"{name}.nc"
        if path.is_file():
            try:
                found[name] = netcdf.load(path)
            except ValueError as error:
                raise ChipError(
                    f"{error}. `hil characterize --out {folder}` writes it again from its journal"
                ) from error
            _check(path, found[name], known.get(name, {}))
    return found


@contextmanager
def written(folder: Path) -> Iterator[None]:
    """Makes the folder where it is missing, and keeps other writers out of it.

    Raises:
        ChipError: as `check`, or a link lies in it.
    """
    check(folder)
    try:
        with marked.written(folder, CHARACTERIZATION, WAIT):
            yield
    except RunError as error:
        raise ChipError(str(error)) from error


def check(folder: Path) -> None:
    """Looks whether a characterization may be begun or gone on with in a folder.

    Raises:
        ChipError: another process writes it, or it holds something else.
    """
    if folder.exists() and not folder.is_dir():
        raise ChipError(f"{folder} is a file; --out names a folder")
    if folder.is_dir() and not marked.is_ours(folder, CHARACTERIZATION) and begun(folder) is None:
        there = sorted(marked.content(folder))
        if there:
            raise ChipError(f"{folder} holds {', '.join(there[:3])} and no characterization: take another --out")
    try:
        marked.refuse_written(folder, WAIT)
    except RunError as error:
        raise ChipError(str(error)) from error


@contextmanager
def believed(folder: Path) -> Iterator[None]:
    """Within it, what a folder's files say of each other is used; where they contradict, it says that in one line.

    Raises:
        ChipError: they do.
    """
    try:
        yield
    except ChipError:
        raise
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        said = f"{type(error).__name__}: {error}".splitlines()[0]
        raise ChipError(
            f"{folder}: its files do not fit together, so they are not all of one characterization ({said})"
        ) from error


def _check(path: Path, data: xr.Dataset, dims: Any) -> None:
    for name, behind in dims.items():
        if name not in data.variables or data[name].dims != ("step", *behind) or data[name].dtype.kind not in "biuf":
            raise ChipError(f"{path}: expected numbers {name} over step, {', '.join(behind)}: not what was measured")
        if not data[name].size:
            raise ChipError(f"{path}: {name} is empty")
