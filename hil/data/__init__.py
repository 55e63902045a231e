"""Data sets: sources by name, each read from its own file format and checked."""

from __future__ import annotations

from pathlib import Path

from hil.data import cifar, digits, imagenet32, mnist
from hil.data.dataset import DataError, Dataset, Source
from hil.experiment import Data

SOURCES: dict[str, Source] = {
    "digits": digits.load,
    "mnist": mnist.load,
    "fashion-mnist": mnist.fashion,
    "kmnist": mnist.kuzushiji,
    "cifar10": cifar.load10,
    "cifar100": cifar.load100,
    "imagenet32": imagenet32.load,
}


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


__all__ = ["SOURCES", "DataError", "Dataset", "load"]
