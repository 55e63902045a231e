"""The JSON files of a run, read back by their shape: a run folder may come from a stranger, or from a broken disk."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from firmware_specs.refusals import explain
from hil.training.run.marked import RunError

MOST_BYTES = 1 << 28
LARGEST = 1e100
"""Larger numbers are no measurement, and no axis takes them."""
Number = Annotated[float, Field(ge=-LARGEST, le=LARGEST)]
Count = Annotated[int, Field(ge=0, le=2**53)]
Text = Annotated[str, Field(max_length=4096)]


Shape = TypeVar("Shape", bound=BaseModel)


class DocumentError(RunError):
    """A file of a run that is not what it should be; the message names it."""


class _Shape(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)


class Histogram(_Shape):
    """Counts between edges."""

    edges: list[Number] = Field(max_length=10_001)
    counts: list[Number] = Field(max_length=10_000)

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if len(self.edges) != len(self.counts) + 1 or any(
            a >= b for a, b in zip(self.edges, self.edges[1:], strict=False)
        ):
            raise ValueError("expected one edge more than counts, rising")
        return self


class Tested(_Shape):
    """`evaluation.json`: the last test, as far as a report shows it."""

    confusion: list[list[Count]] = Field(default=[], max_length=4096)
    states: dict[Text, Histogram] = {}
    iterations: dict[Text, dict[Annotated[int, Field(ge=0, le=10**6)], Count]] = {}

    @model_validator(mode="after")
    def _square(self) -> Self:
        if any(len(row) != len(self.confusion) for row in self.confusion):
            raise ValueError("expected as many columns in confusion as it has rows")
        return self


class Summary(_Shape):
    """`summary.json`: the run in a few numbers."""

    title: Text = ""
    device: Text = ""
    finished: bool = False
    steps: Count | None = None
    images: Count | None = None
    test_accuracy: Number | None = None
    test: dict[Text, Number] = {}
    best_epoch: Count | None = None
    images_per_second: Number | None = None


class Provenance(_Shape):
    """`provenance.json`: one table a start or resume."""

    sessions: list[dict[str, Any]]


def read(path: Path, shape: type[Shape]) -> Shape | None:
    """A file by its shape; None where there is none.

    Raises:
        DocumentError: it has another one, or is no JSON.
    """
    if not path.is_file():
        return None
    try:
        if path.stat().st_size > MOST_BYTES:
            raise ValueError(f"larger than {MOST_BYTES >> 20} MiB")
        found = json.loads(path.read_bytes(), parse_constant=_refuse)
        return shape.model_validate(found)
    except ValidationError as error:
        raise DocumentError(f"{path} does not read back: {'; '.join(explain(error)[:3])}") from error
    except RecursionError as error:
        raise DocumentError(f"{path} does not read back: it is nested too deep") from error
    except ValueError as error:
        raise DocumentError(f"{path} does not read back: {str(error) or 'it is empty'}") from error


def sessions(path: Path) -> list[dict[str, Any]]:
    """The sessions of a run so far, from its `provenance.json`; none where there is no file yet.

    Raises:
        DocumentError: it is no provenance of a run.
    """
    try:
        found = read(path, Provenance)
    except DocumentError as error:
        raise DocumentError(f"{error}. Put it back from a copy, or remove it to go on without what it said") from error
    return [] if found is None else found.sessions


def record(line: bytes) -> dict[str, Any] | None:
    """One line of `metrics.jsonl`; None where it is none. What is no number there is not measured."""
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(found, dict) or found.get("kind") not in ("step", "epoch"):
        return None
    if not all(_is_count(found.get(key)) for key in ("step", "epoch")):
        return None
    return {
        key: value if key in ("kind", "step", "epoch", "weights") else _number(value) for key, value in found.items()
    }


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= 2**53


def _number(value: object) -> float | None:
    known = isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= LARGEST
    return value if known else None  # type: ignore[return-value]


def _refuse(name: str) -> None:
    raise ValueError(f"{name} is no number of JSON")
