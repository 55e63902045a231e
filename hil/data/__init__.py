"""Data sets: sources by name, each read from its own file format and checked."""

from __future__ import annotations

from collections.abc import Callable
from inspect import signature
from pathlib import Path

from firmware_specs.registry import UnknownName, find, known, names
from hil.data import foreign
from hil.data.dataset import DataError, Dataset, Source
from hil.experiments.sections import Data
from hil.learning.loss import Task, task

_GREY, _COLOUR = (1, 28, 28), (3, 32, 32)
FORMS: dict[str, tuple[tuple[int, int, int], int]] = {
    "digits": ((1, 8, 8), 10),
    "iris": ((5, 1, 1), 3),
    "wine": ((14, 1, 1), 3),
    "xor": ((3, 1, 1), 2),
    "curve": ((2, 1, 1), 1),
    "mnist": (_GREY, 10),
    "fashion-mnist": (_GREY, 10),
    "kmnist": (_GREY, 10),
    "cifar10": (_COLOUR, 10),
    "cifar100": (_COLOUR, 100),
    "imagenet32": (_COLOUR, 1000),
}
"""Shape of one sample and number of classes of each source, known without its files."""


def load(spec: Data, root: Path) -> Dataset:
    """Reads the data set of an experiment.

    Args:
        spec: Which one and how much of it.
        root: Folder that holds the data sets' files.

    Raises:
        DataError: unknown name, missing file, or content that is refused.
    """
    return source(spec.name)(root).limited(spec)


def check_fits(goal: Task, loss: str, dataset: Dataset) -> None:
    """Refuses a loss whose labels are of another kind than the data's.

    Raises:
        DataError: with the losses that fit.
    """
    if goal.targets != dataset.targets:
        fitting = [name for name in names("losses") if task(name).targets == dataset.targets]
        raise DataError(
            f"loss: {loss!r} takes {goal.targets}, the targets of {dataset.name} are {dataset.targets}; "
            f"these fit: {', '.join(fitting)}"
        )


def source(name: str) -> Source:
    """What reads a data set, by its name: a registered one, `NAME:ARGUMENT` of one that takes an argument
    (`npz:FILE`, `csv:FILE`, `folder:DIR`), or `module:function` that returns any data set.

    Raises:
        DataError: nothing answers to the name.
    """
    head, found, argument = name.partition(":")
    try:
        if found and known("data", head):
            reader = find("data", head)
            return lambda root: foreign.adapted(reader(root, argument), name)
        thing = find("data", name)
    except UnknownName as error:
        raise DataError(f"data.name: {error}") from error
    return lambda root: foreign.adapted(_called(thing, root, name), name)


def _called(thing: Callable[..., object], root: Path, name: str) -> object:
    """What a source returns; one of somebody's own need not take the data root."""
    try:
        wants = len(signature(thing).parameters) > 0
    except (TypeError, ValueError):
        wants = True
    try:
        return thing(root) if wants else thing()
    except (DataError, MemoryError):
        raise
    except Exception as error:
        raise DataError(f"data.name: {name} failed: {type(error).__name__}: {error}") from error


__all__ = ["FORMS", "DataError", "Dataset", "check_fits", "load", "source"]
