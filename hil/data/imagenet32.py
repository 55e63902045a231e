"""ImageNet32 (Chrabaszcz 2017, arXiv 1707.08819), ten training files and one of validation, pickled or npz.

Each holds `data`, (n, 3072) uint8 in planes R, G, B, and `labels` 1 .. 1000.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch

from hil.data import found, packed, restricted
from hil.data.augment import flip_and_crop
from hil.data.dataset import DataError, Dataset, Split, label_numbers
from hil.data.shards import Shards

CLASSES = 1000
SHAPE = (3, 32, 32)
TRAIN_FOLDERS = ("Imagenet32_train", "Imagenet32_train_npz", "imagenet32/out_data_train", "imagenet32", ".")
TEST_FOLDERS = ("Imagenet32_val", "Imagenet32_val_npz", "imagenet32/out_data_val", "imagenet32", ".")
TRAIN_FILES = tuple(f"train_data_batch_{i}" for i in range(1, 11))


def load(root: Path) -> Dataset:
    """ImageNet32: 1,281,167 training images, streamed file by file, and 50,000 for testing, in memory."""
    files = _find(root, TRAIN_FOLDERS, TRAIN_FILES)
    test = read(_find(root, TEST_FOLDERS, ("val_data",))[0])
    counts = tuple(len(read(path)) for path in files)
    std = (1.5 * 0.229, 1.5 * 0.224, 1.5 * 0.225)
    train = Shards(files, counts, SHAPE, read)
    return Dataset("imagenet32", train, test, CLASSES, 255.0, (0.485, 0.456, 0.406), std, flip_and_crop)


def read(path: Path) -> Split:
    """Decodes one file.

    Raises:
        DataError: unreadable, or content that does not fit.
    """
    content = _npz(path) if path.suffix == ".npz" else restricted.read(path)
    pixels, labels = content.get("data"), content.get("labels")
    pixels = found.planes(path, pixels)
    numbers = label_numbers(path, labels)
    if len(numbers) != len(pixels) or len(numbers) == 0:
        raise DataError(f"{path}: {len(pixels)} images, {len(numbers)} labels: expected as many, one at least")
    if not 1 <= int(numbers.min()) <= int(numbers.max()) <= CLASSES:
        todo = ": add 1 to those of every file" if int(numbers.min()) == 0 and int(numbers.max()) < CLASSES else ""
        raise DataError(f"{path}: labels {int(numbers.min())} .. {int(numbers.max())}, expected 1 .. {CLASSES}{todo}")
    return Split(torch.from_numpy(pixels).view(-1, *SHAPE), numbers - 1)


def _npz(path: Path) -> Mapping[str, object]:
    try:
        return packed.read_npz(path, ("data", "labels"))
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: cannot be read: {error}.{found.what_is(found.begin_of(path))}") from error


def _find(root: Path, folders: tuple[str, ...], names: tuple[str, ...]) -> tuple[Path, ...]:
    """All files of one folder and one kind."""
    for folder in folders:
        for suffix in ("", ".npz"):
            paths = tuple(root / folder / f"{name}{suffix}" for name in names)
            if paths[0].is_file():
                missing = [p.name for p in paths if not p.is_file()]
                if missing:
                    raise DataError(f"{root / folder}: {', '.join(missing)} missing: unpack the whole archive")
                return paths
    looked = ", ".join(str(root / f) for f in folders)
    raise DataError(f"{names[0]}[.npz] is missing. Looked in {looked}; `hil data fetch imagenet32` says what to do")
