"""MNIST and its drop-in relatives Fashion-MNIST and KMNIST, from their four IDX files."""

from __future__ import annotations

from pathlib import Path

from hil.data import idx
from hil.data.dataset import DataError, Dataset, Split

FOLDERS = {
    "mnist": ("mnist", "MNIST/raw", "."),
    "fashion-mnist": ("fashion-mnist", "FashionMNIST/raw"),
    "kmnist": ("kmnist", "KMNIST/raw"),
}
WHERE_TO_GET_IT = {
    "mnist": "https://storage.googleapis.com/cvdf-datasets/mnist/",
    "fashion-mnist": "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
    "kmnist": "http://codh.rois.ac.jp/kmnist/dataset/kmnist/",
}


def load(root: Path, name: str = "mnist") -> Dataset:
    """60,000 training and 10,000 test images of 28 x 28 pixels in ten classes, scaled to 0..1.

    Raises:
        DataError: a file is missing or refused.
    """
    return Dataset(
        name=name, train=_split(root, name, "train"), test=_split(root, name, "t10k"), classes=10, full_scale=255.0
    )


def fashion(root: Path) -> Dataset:
    """Fashion-MNIST: as MNIST, ten kinds of clothes."""
    return load(root, "fashion-mnist")


def kuzushiji(root: Path) -> Dataset:
    """KMNIST: as MNIST, ten cursive Japanese characters."""
    return load(root, "kmnist")


def _split(root: Path, name: str, part: str) -> Split:
    image_file = _needed(root, name, f"{part}-images-idx3-ubyte")
    label_file = _needed(root, name, f"{part}-labels-idx1-ubyte")
    images, labels = idx.read(image_file, 3), idx.read(label_file, 1)
    if len(images) != len(labels) or len(labels) == 0:
        raise DataError(f"{image_file} has {len(images)} images, {label_file} {len(labels)} labels: expected as many")
    if int(labels.max()) > 9:
        raise DataError(f"{label_file}: label {int(labels.max())}, expected 0 .. 9")
    return Split(images.unsqueeze(1), labels.long())


def find(root: Path, name: str, file: str) -> Path | None:
    """The file that is read: the first of that name, packed or not, in the data set's folders."""
    dotted = file.replace("-idx", ".idx")  # as some archivers and mirrors name them
    looked = (
        root / folder / deeper / f"{spelled}{suffix}"
        for folder in FOLDERS[name]
        for spelled in (file, dotted)
        for deeper in ("", file, dotted)  # a folder for each file, as some archivers unpack
        for suffix in ("", ".gz")
    )
    return next((path for path in looked if path.is_file()), None)


def _needed(root: Path, name: str, file: str) -> Path:
    if (path := find(root, name, file)) is not None:
        return path
    raise DataError(
        f"{file}[.gz] is missing. Looked in {', '.join(str(root / f) for f in FOLDERS[name])}. "
        f"Get it from {WHERE_TO_GET_IT[name]} (or `hil data fetch {name}`) and name the folder with --data-root"
    )
