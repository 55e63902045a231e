"""Data sets: sources by name, each read from its own file format and checked."""

from __future__ import annotations

from pathlib import Path

from hil.data import cifar, digits, imagenet32, iris, mnist
from hil.data.dataset import DataError, Dataset, Source
from hil.experiments.schema import Data

SOURCES: dict[str, Source] = {
    "digits": digits.load,
    "iris": iris.load,
    "mnist": mnist.load,
    "fashion-mnist": mnist.fashion,
    "kmnist": mnist.kuzushiji,
    "cifar10": cifar.load10,
    "cifar100": cifar.load100,
    "imagenet32": imagenet32.load,
}
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
    if spec.name not in SOURCES:
        raise DataError(f"data.name: {spec.name!r} is not a data set; known: {', '.join(sorted(SOURCES))}")
    return SOURCES[spec.name](root).limited(spec)


__all__ = ["FORMS", "SOURCES", "DataError", "Dataset", "load"]
