"""Data sets: sources by name, each read from its own file format and checked."""

from __future__ import annotations

from pathlib import Path

from firmware_specs.registry import UnknownName, find
from hil.data.dataset import DataError, Dataset, Source
from hil.experiments.schema import Data

_GREY, _COLOUR = (1, 28, 28), (3, 32, 32)
FORMS: dict[str, tuple[tuple[int, int, int], int]] = {
    "digits": ((1, 8, 8), 10),
    "iris": ((5, 1, 1), 3),
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


def source(name: str) -> Source:
    """What reads a data set, by its name.

    Raises:
        DataError: nothing answers to the name.
    """
    try:
        found: Source = find("data", name)
    except UnknownName as error:
        raise DataError(f"data.name: {error}") from error
    return found


__all__ = ["FORMS", "DataError", "Dataset", "load", "source"]
