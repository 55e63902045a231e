"""Where data sets come from, and what their files are: MD5 digests as their publishers or torchvision state them."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from hil.data.mnist import FOLDERS, WHERE_TO_GET_IT


@dataclass(frozen=True)
class Download:
    """One file of a distribution.

    Attributes:
        url: Where it is published.
        md5: Its digest; None where no trustworthy one is known.
        unpacked: Files below the data root it gives, with their digests; empty for a file that is used as it is.
        folder: Below the data root, where the file, or what it unpacks to, goes.
    """

    url: str
    md5: str | None
    folder: str
    unpacked: tuple[tuple[str, str], ...] = ()

    @property
    def name(self) -> str:
        """Its file name."""
        return self.url.rpartition("/")[2]


def _idx(name: str, images: str, labels: str, test_images: str, test_labels: str) -> tuple[Download, ...]:
    digests = {
        "train-images-idx3-ubyte.gz": images,
        "train-labels-idx1-ubyte.gz": labels,
        "t10k-images-idx3-ubyte.gz": test_images,
        "t10k-labels-idx1-ubyte.gz": test_labels,
    }
    return tuple(Download(f"{WHERE_TO_GET_IT[name]}{file}", md5, FOLDERS[name][0]) for file, md5 in digests.items())


_CIFAR = "https://www.cs.toronto.edu/~kriz/"
_IMAGENET = "https://image-net.org/data/downsample/"

CATALOGUE: dict[str, tuple[Download, ...]] = {
    "mnist": _idx(
        "mnist",
        "f68b3c2dcbeaaa9fbdd348bbdeb94873",
        "d53e105ee54ea40749a09fcbcd1e9432",
        "9fb629c4189551a2d022fa330f9573f3",
        "ec29112dd5afa0611ce80d1b7f02629c",
    ),
    "fashion-mnist": _idx(
        "fashion-mnist",
        "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
        "25c81989df183df01b3e8a0aad5dffbe",
        "bef4ecab320f06d8554ea6380940ec79",
        "bb300cfdad3c16e7a12a480ee83cd310",
    ),
    "kmnist": _idx(
        "kmnist",
        "bdb82020997e1d708af4cf47b453dcf7",
        "e144d726b3acfaa3e44228e80efcd344",
        "5c965bf0a639b31b8f53240b1b52f4d7",
        "7320c461ea6c1c855c0b718fb2a4b134",
    ),
    "cifar10": (
        Download(
            f"{_CIFAR}cifar-10-python.tar.gz",
            "c58f30108f718f92721af3b95e74349a",
            ".",
            (
                ("cifar-10-batches-py/data_batch_1", "c99cafc152244af753f735de768cd75f"),
                ("cifar-10-batches-py/data_batch_2", "d4bba439e000b95fd0a9bffe97cbabec"),
                ("cifar-10-batches-py/data_batch_3", "54ebc095f3ab1f0389bbae665268c751"),
                ("cifar-10-batches-py/data_batch_4", "634d18415352ddfa80567beed471001a"),
                ("cifar-10-batches-py/data_batch_5", "482c414d41f54cd18b22e5b47cb7c3cb"),
                ("cifar-10-batches-py/test_batch", "40351d587109b95175f43aff81a1287e"),
            ),
        ),
    ),
    "cifar100": (
        Download(
            f"{_CIFAR}cifar-100-python.tar.gz",
            "eb9058c3a382ffc7106e4002c42a8d85",
            ".",
            (
                ("cifar-100-python/train", "16019d7e3df5f24257cddd939b257f8d"),
                ("cifar-100-python/test", "f0ef6b0ae62326f3e7ffdfab6717acfc"),
            ),
        ),
    ),
    "imagenet32": (
        Download(f"{_IMAGENET}Imagenet32_train.zip", None, "Imagenet32_train"),
        Download(f"{_IMAGENET}Imagenet32_val.zip", None, "Imagenet32_val"),
    ),
}

SAMPLES = {
    "mnist": (60_000, 10_000),
    "fashion-mnist": (60_000, 10_000),
    "kmnist": (60_000, 10_000),
    "cifar10": (50_000, 10_000),
    "cifar100": (50_000, 10_000),
    "imagenet32": (1_281_167, 50_000),
}
"""Training and test samples of the whole data set."""


def digest_report(name: str, root: Path) -> list[tuple[str, str]]:
    """Every file with a known digest that is there, and whether it is the distributed one."""
    rows = []
    for download in CATALOGUE.get(name, ()):
        known = download.unpacked or ((f"{download.folder}/{download.name}", download.md5 or ""),)
        for file, md5 in known:
            path = root / file
            if md5 and path.is_file():
                same = _md5(path) == md5
                rows.append((file, "as distributed" if same else "other bytes than the distribution"))
    return rows


def _md5(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
