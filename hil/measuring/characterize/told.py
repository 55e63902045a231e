"""What the documents of a characterization say, read back by their shape; looking at them loads no data."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from hil.measuring.estimate import Estimate
from hil.training.run.documents import DocumentError, Number, Text, read


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


def _read(path: Path, shape: type[Any]) -> Any:
    if path.is_symlink():
        raise ChipError(f"{path} is a link, and none is followed in the folder of a characterization")
    try:
        return read(path, shape)
    except DocumentError as error:
        raise ChipError(f"{error}: the folder holds no characterization that can be read") from error
