"""Where data sets come from, and what their files are.

Digests, MD5 or SHA-1 by their length: of archives and IDX files as their publishers state them; of pickled CIFAR files
as torchvision, of binary ones as MXNet, of ImageNet32's npz files as four published loaders state them alike. Nobody
states any for ImageNet32's pickled batches (a list that goes round is that of the 16 x 16 images), and two loaders
state different ones for its npz archives: the files in them are what is compared. What is in the IDX files of MNIST and
Fashion-MNIST as several loaders state it alike; nobody does for KMNIST.
"""

from __future__ import annotations

import gzip
import hashlib
from dataclasses import dataclass
from pathlib import Path

from hil.data.mnist import FOLDERS, WHERE_TO_GET_IT, find


@dataclass(frozen=True)
class Download:
    """One file of a distribution.

    Attributes:
        url: Where it is published.
        md5: Its digest; None where no trustworthy one is known.
        unpacked: Files it gives, below `folder`, with their digests, empty where none is known; no files for one that
            is used as it is.
        folder: Below the data root, where the file, or what it unpacks to, goes.
        content: MD5 of what a gzip file that is used as it is holds; empty where it is not known.
    """

    url: str
    md5: str | None
    folder: str
    unpacked: tuple[tuple[str, str], ...] = ()
    content: str = ""

    @property
    def name(self) -> str:
        """Its file name."""
        return self.url.rpartition("/")[2]


_IDX_FILES = (
    "train-images-idx3-ubyte.gz",
    "train-labels-idx1-ubyte.gz",
    "t10k-images-idx3-ubyte.gz",
    "t10k-labels-idx1-ubyte.gz",
)


def _idx(name: str, packed: tuple[str, ...], contents: tuple[str, ...] = ("",) * 4) -> tuple[Download, ...]:
    return tuple(
        Download(f"{WHERE_TO_GET_IT[name]}{file}", md5, FOLDERS[name][0], content=content)
        for file, md5, content in zip(_IDX_FILES, packed, contents, strict=True)
    )


_CIFAR = "https://www.cs.toronto.edu/~kriz/"
_IMAGENET = "https://image-net.org/data/downsample/"

CATALOGUE: dict[str, tuple[Download, ...]] = {
    "mnist": _idx(
        "mnist",
        (
            "f68b3c2dcbeaaa9fbdd348bbdeb94873",
            "d53e105ee54ea40749a09fcbcd1e9432",
            "9fb629c4189551a2d022fa330f9573f3",
            "ec29112dd5afa0611ce80d1b7f02629c",
        ),
        (
            "6bbc9ace898e44ae57da46a324031adb",
            "a25bea736e30d166cdddb491f175f624",
            "2646ac647ad5339dbf082846283269ea",
            "27ae3e4e09519cfbb04c329615203637",
        ),
    ),
    "fashion-mnist": _idx(
        "fashion-mnist",
        (
            "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
            "25c81989df183df01b3e8a0aad5dffbe",
            "bef4ecab320f06d8554ea6380940ec79",
            "bb300cfdad3c16e7a12a480ee83cd310",
        ),
        (
            "f4a8712d7a061bf5bd6d2ca38dc4d50a",
            "9018921c3c673c538a1fc5bad174d6f9",
            "8181f5470baa50b63fa0f6fddb340f0a",
            "15d484375f8d13e6eb1aabb0c3f46965",
        ),
    ),
    "kmnist": _idx(
        "kmnist",
        (
            "bdb82020997e1d708af4cf47b453dcf7",
            "e144d726b3acfaa3e44228e80efcd344",
            "5c965bf0a639b31b8f53240b1b52f4d7",
            "7320c461ea6c1c855c0b718fb2a4b134",
        ),
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
        Download(
            f"{_IMAGENET}Imagenet32_train_npz.zip",
            None,
            ".",
            (
                ("Imagenet32_train_npz/train_data_batch_1.npz", "464fde20de6eb44c28cc1a8c11544bb1"),
                ("Imagenet32_train_npz/train_data_batch_2.npz", "bdb56e71882c3fd91619d789d5dd7c79"),
                ("Imagenet32_train_npz/train_data_batch_3.npz", "83ff36d76ea26867491a281ea6e1d03b"),
                ("Imagenet32_train_npz/train_data_batch_4.npz", "98ff184fe109d5c2a0f6da63843880c7"),
                ("Imagenet32_train_npz/train_data_batch_5.npz", "62b8803e13c3e6de9498da7aaaae57c8"),
                ("Imagenet32_train_npz/train_data_batch_6.npz", "e0b06665f890b029f1d8d0a0db26e119"),
                ("Imagenet32_train_npz/train_data_batch_7.npz", "9731f469aac1622477813c132c5a847a"),
                ("Imagenet32_train_npz/train_data_batch_8.npz", "60aed934b9d26b7ee83a1a83bdcfbe0f"),
                ("Imagenet32_train_npz/train_data_batch_9.npz", "b96328e6affd718660c2561a6fe8c14c"),
                ("Imagenet32_train_npz/train_data_batch_10.npz", "1dc618d544c554220dd118f72975470c"),
            ),
        ),
        Download(
            f"{_IMAGENET}Imagenet32_val_npz.zip",
            None,
            ".",
            (("Imagenet32_val_npz/val_data.npz", "a8c04a389f2649841fb7a01720da9dd9"),),
        ),
    ),
}
"""What `hil data fetch` downloads."""

OTHER_LAYOUTS: dict[str, tuple[Download, ...]] = {
    "cifar10": (
        Download(
            f"{_CIFAR}cifar-10-binary.tar.gz",
            "c32a1d4ab5d03f1284b67883e8d87530",
            ".",
            (
                ("cifar-10-batches-bin/data_batch_1.bin", "aadd24acce27caa71bf4b10992e9e7b2d74c2540"),
                ("cifar-10-batches-bin/data_batch_2.bin", "c0ba65cce70568cd57b4e03e9ac8d2a5367c1795"),
                ("cifar-10-batches-bin/data_batch_3.bin", "1dd00a74ab1d17a6e7d73e185b69dbf31242f295"),
                ("cifar-10-batches-bin/data_batch_4.bin", "aab85764eb3584312d3c7f65fd2fd016e36a258e"),
                ("cifar-10-batches-bin/data_batch_5.bin", "26e2849e66a845b7f1e4614ae70f4889ae604628"),
                ("cifar-10-batches-bin/test_batch.bin", "67eb016db431130d61cd03c7ad570b013799c88c"),
            ),
        ),
    ),
    "cifar100": (
        Download(
            f"{_CIFAR}cifar-100-binary.tar.gz",
            "03b5dce01913d631647c71ecec9e9cb8",
            ".",
            (
                ("cifar-100-binary/train.bin", "e207cd2e05b73b1393c74c7f5e7bea451d63e08e"),
                ("cifar-100-binary/test.bin", "8fb6623e830365ff53cf14adec797474f5478006"),
            ),
        ),
    ),
    "imagenet32": (
        Download(
            f"{_IMAGENET}Imagenet32_train.zip",
            None,
            "Imagenet32_train",
            tuple((f"train_data_batch_{i}", "") for i in range(1, 11)),
        ),
        Download(f"{_IMAGENET}Imagenet32_val.zip", None, "Imagenet32_val", (("val_data", ""),)),
    ),
}
"""The same data sets as they are distributed in another form, which is read as well."""

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
    """Every file of a known layout that is there, and whether it is the distributed one, as far as that is known."""
    rows = []
    for download in (*CATALOGUE.get(name, ()), *OTHER_LAYOUTS.get(name, ())):
        if name in FOLDERS:
            idx = find(root, name, download.name.removesuffix(".gz"))
            rows += [] if idx is None else [(idx, _idx_verdict(idx, download, name))]
            continue
        for file, digest in download.unpacked:
            if (path := root / download.folder / file).is_file():
                rows.append((path, _verdict(path, digest, name)))
    return [(str(path.relative_to(root)), verdict) for path, verdict in rows]


def _idx_verdict(path: Path, download: Download, name: str) -> str:
    """Of an IDX file what is in it counts: packed again it has other bytes, and is no other file."""
    if path.suffix == ".gz" and is_distributed(path, download.md5 or ""):
        return _AS_DISTRIBUTED
    if not download.content:
        return f"{_other(path, download.md5 or '', name)}; if it was packed or unpacked here, that alone changes them"
    content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    if hashlib.md5(content, usedforsecurity=False).hexdigest() == download.content:
        return f"{_AS_DISTRIBUTED}, {'packed again' if path.suffix == '.gz' else 'unpacked'}"
    return _other(path, download.md5 or "", name)


def _verdict(path: Path, digest: str, name: str) -> str:
    if not digest:
        return "no digest of it is published: content and counts were checked, not its bytes"
    return _AS_DISTRIBUTED if is_distributed(path, digest) else _other(path, digest, name)


_AS_DISTRIBUTED = "as distributed"


def _other(path: Path, digest: str, name: str) -> str:
    said = f"{_kind(digest).upper()} {_digest(path, _kind(digest))}, published is {digest}"
    return f"other bytes than the distribution ({said}); remove it and `hil data fetch {name}` for the published one"


def is_distributed(path: Path, digest: str) -> bool:
    """Whether a file has an MD5 (32 digits) or SHA-1 (40 digits) digest."""
    return _digest(path, _kind(digest)) == digest


def _kind(digest: str) -> str:
    return "sha1" if len(digest) == 40 else "md5"


def _digest(path: Path, kind: str) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.new(kind, usedforsecurity=False)).hexdigest()
