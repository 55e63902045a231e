"""MNIST from its four IDX files."""

from __future__ import annotations

from pathlib import Path

from hil.data import idx
from hil.data.dataset import DataError, Dataset, Split

FOLDERS = ("mnist", "MNIST/raw", ".")
WHERE_TO_GET_IT = "https://storage.googleapis.com/cvdf-datasets/mnist/"


def load(root: Path) -> Dataset:
    """MNIST: 60,000 training and 10,000 test images of 28 x 28 pixels, scaled to 0..1.

    Raises:
        DataError: a file is missing or refused.
    """
    return Dataset(name="mnist", train=_split(root, "train"), test=_split(root, "t10k"), classes=10, full_scale=255.0)


def _split(root: Path, part: str) -> Split:
    image_file, label_file = _find(root, f"{part}-images-idx3-ubyte"), _find(root, f"{part}-labels-idx1-ubyte")
    images, labels = idx.read(image_file, 3), idx.read(label_file, 1)
    if len(images) != len(labels) or len(labels) == 0:
        raise DataError(f"{image_file} has {len(images)} images, {label_file} {len(labels)} labels: expected as many")
    if int(labels.max()) > 9:
        raise DataError(f"{label_file}: label {int(labels.max())}, expected 0 .. 9")
    return Split(images.unsqueeze(1), labels.long())


def _find(root: Path, name: str) -> Path:
    looked = [root / folder / f"{name}{suffix}" for folder in FOLDERS for suffix in ("", ".gz")]
    for path in looked:
        if path.is_file():
            return path
    raise DataError(
        f"{name}[.gz] is missing. Looked in {', '.join(str(root / f) for f in FOLDERS)}. "
        f"Get it from {WHERE_TO_GET_IT} and name the folder with --data-root"
    )
