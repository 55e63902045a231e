"""The folder of a characterization: what lies in it, read back by its shape."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import xarray as xr
from pydantic import BaseModel, ConfigDict, Field

from hil.measuring import netcdf
from hil.measuring.characterize.items import ITEMS
from hil.measuring.estimate import Estimate
from hil.training.run import marked
from hil.training.run.documents import DocumentError, Number, Text, read
from hil.training.run.marked import Made, RunError

_NAMES = "|".join(item.NAME for item in ITEMS)
CHARACTERIZATION = Made(
    "characterization",
    re.compile(rf"(provenance|figures)\.json|report\.html|({_NAMES})\.nc|journal/({_NAMES})/(intent\.json|\d+\.npz)"),
    re.compile(rf"journal(/({_NAMES}))?"),
)
"""What a characterization makes in its folder."""
WAIT = "wait until it has ended, or take another --out"


class ChipError(ValueError):
    """A folder that belongs to another chip or another plan, or that does not read back."""


class _Shape(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)


class Chip(_Shape):
    """Who was measured."""

    vendor: Text
    model: Text
    serial: Text
    firmware: Text


class Begun(_Shape):
    """`provenance.json`: what was begun, on which chip."""

    chip: Chip
    plan: dict[str, Any]
    address: Text = ""
    started: Text = ""
    device: dict[str, Any] = {}


class FigureEntry(_Shape):
    """One figure of `figures.json`."""

    name: Text
    value: Number
    sigma: Annotated[Number, Field(ge=0)]
    unit: Text
    systematic: dict[Text, Annotated[Number, Field(ge=0)]] = Field(default={}, max_length=100)
    freedom: Annotated[Number, Field(gt=0)] | None = None
    stated: Number | None = None
    note: Text = ""

    @property
    def estimate(self) -> Estimate:
        """As it was concluded."""
        freedom = math.inf if self.freedom is None else self.freedom
        return Estimate(self.value, self.sigma, self.unit, tuple(self.systematic.items()), freedom)


class Concluded(_Shape):
    """`figures.json`."""

    chip: Chip
    figures: list[FigureEntry] = Field(max_length=10_000)
    skipped: dict[Text, Text] = {}


def begun(folder: Path) -> Begun | None:
    """What a folder was begun with; None where it was not.

    Raises:
        ChipError: its `provenance.json` is not a characterization's.
    """
    return _read(folder / "provenance.json", Begun)


def concluded(folder: Path) -> Concluded | None:
    """What was concluded; None where nothing was yet.

    Raises:
        ChipError: its `figures.json` is not a characterization's.
    """
    return _read(folder / "figures.json", Concluded)


def measured(folder: Path) -> dict[str, xr.Dataset]:
    """The datasets of all items that are there, each as its item made it.

    Raises:
        ChipError: one does not read back, or has other variables.
    """
    found = {}
    for item in ITEMS:
        path = folder / f"{item.NAME}.nc"
        if path.is_file():
            try:
                found[item.NAME] = netcdf.load(path)
            except ValueError as error:
                raise ChipError(
                    f"{error}. `hil characterize --out {folder}` writes it again from its journal"
                ) from error
            _check(path, found[item.NAME], item.DIMS)
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


def _read(path: Path, shape: type[Any]) -> Any:
    if path.is_symlink():
        raise ChipError(f"{path} is a link, and none is followed in the folder of a characterization")
    try:
        return read(path, shape)
    except DocumentError as error:
        raise ChipError(f"{error}: the folder holds no characterization that can be read") from error
