"""CIFAR-10 and CIFAR-100, binary or pickled (`https://www.cs.toronto.edu/~kriz/cifar.html`).

Binary: records of one label byte (CIFAR-100: coarse, then fine) and 3,072 pixel bytes, R, G and B planes of 32 x 32.
Pickled: dictionaries with `data`, (n, 3072) uint8 in the same order, and `labels` (CIFAR-100: `fine_labels`).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from hil.data import found, restricted
from hil.data.augment import flip_and_crop
from hil.data.dataset import DataError, Dataset, Split, label_numbers

SHAPE = (3, 32, 32)
PIXELS = 3072


@dataclass(frozen=True)
class Layout:
    """Where one of the two data sets lies and how it is stored.

    Attributes:
        classes: Number of fine classes.
        label: Key of the labels in pickled files.
        label_bytes: Label bytes before the pixels in binary files; the last one counts.
        folders: Binary and pickled folder below the data root.
        train: File names of the training samples, without suffix.
        test: File name of the test samples.
        archives: What they come in.
    """

    classes: int
    label: str
    label_bytes: int
    folders: tuple[str, str]
    train: tuple[str, ...]
    test: str
    archives: tuple[str, ...]


CIFAR10 = Layout(
    10,
    "labels",
    1,
    ("cifar-10-batches-bin", "cifar-10-batches-py"),
    tuple(f"data_batch_{i}" for i in range(1, 6)),
    "test_batch",
    ("cifar-10-python.tar.gz", "cifar-10-binary.tar.gz"),
)
CIFAR100 = Layout(
    100,
    "fine_labels",
    2,
    ("cifar-100-binary", "cifar-100-python"),
    ("train",),
    "test",
    ("cifar-100-python.tar.gz", "cifar-100-binary.tar.gz"),
)


def load10(root: Path) -> Dataset:
    """CIFAR-10: 50,000 training and 10,000 test images."""
    return _load("cifar10", CIFAR10, root)


def load100(root: Path) -> Dataset:
    """CIFAR-100 with its 100 fine classes."""
    return _load("cifar100", CIFAR100, root)


def read_binary(path: Path, layout: Layout) -> Split:
    """One binary file.

    Raises:
        DataError: unreadable, a size that is no multiple of a record, or a label out of range.
    """
    try:
        content = np.fromfile(path, np.uint8)
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error}") from error
    record = layout.label_bytes + PIXELS
    if len(content) == 0 or len(content) % record:
        raise DataError(
            f"{path}: {len(content)} bytes, expected a multiple of {record}: cut off or another layout."
            + found.what_is(found.begin_of(path))
        )
    rows = content.reshape(-1, record)
    return _split(path, rows[:, layout.label_bytes :], rows[:, layout.label_bytes - 1], layout.classes)


def read_pickled(path: Path, layout: Layout) -> Split:
    """One pickled file, read by `hil.data.restricted`.

    Raises:
        DataError: refused by it, a key missing, or content that does not fit.
    """
    content = restricted.read(path)
    missing = [key for key in ("data", layout.label) if key not in content]
    if missing:
        raise DataError(
            f"{path}: no {', '.join(missing)}; it has {', '.join(sorted(content)) or 'nothing'}: is it a file of this "
            "data set?"
        )
    return _split(path, content["data"], content[layout.label], layout.classes)


def _split(path: Path, pixels: object, labels: object, classes: int) -> Split:
    pixels = found.planes(path, pixels)
    numbers = label_numbers(path, labels)
    if len(numbers) != len(pixels):
        raise DataError(f"{path}: {len(pixels)} images, {len(numbers)} labels: expected as many")
    if len(numbers) and not 0 <= int(numbers.min()) <= int(numbers.max()) < classes:
        raise DataError(f"{path}: labels {int(numbers.min())} .. {int(numbers.max())}, expected 0 .. {classes - 1}")
    return Split(torch.from_numpy(pixels).view(-1, *SHAPE), numbers)


def _load(name: str, layout: Layout, root: Path) -> Dataset:
    binary, pickled = layout.folders
    files = (*layout.train, layout.test)
    if (folder := found.folder_of(root, (binary,), f"{layout.train[0]}.bin") or _there(root / binary)) is not None:
        read = [read_binary(_file(folder / f"{n}.bin"), layout) for n in files]
    elif (folder := found.folder_of(root, (pickled,), layout.train[0]) or _there(root / pickled)) is not None:
        read = [read_pickled(_file(folder / n), layout) for n in files]
    else:
        raise DataError(
            f"{name}: neither {root / binary} nor {root / pickled} is there; `hil data fetch {name}` says what to do."
            + found.not_unpacked(root, layout.archives)
        )
    *parts, test = read
    train = Split(torch.cat([p.images for p in parts]), torch.cat([p.labels for p in parts]))
    # scaled as in the ff-EBM paper: three times the usual divisor keeps the first layer's neurons off their rails
    std = (3 * 0.2023, 3 * 0.1994, 3 * 0.2010)
    return Dataset(name, train, test, layout.classes, 255.0, (0.4914, 0.4822, 0.4465), std, flip_and_crop)


def _there(folder: Path) -> Path | None:
    return folder if folder.is_dir() else None


def _file(path: Path) -> Path:
    if not path.is_file():
        raise DataError(f"{path} is missing: unpack the whole archive")
    return path
