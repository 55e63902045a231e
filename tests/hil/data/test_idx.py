import gzip
import struct

import pytest
import torch

from hil import data
from hil.data import DataError, idx
from hil.data.mnist import load
from hil.experiments.sections import Data


def idx_bytes(shape, content):
    return struct.pack(f">HBB{len(shape)}I", 0, 8, len(shape), *shape) + bytes(content)


def write_mnist(folder, train=20, test=10):
    folder.mkdir(parents=True, exist_ok=True)
    for part, count in (("train", train), ("t10k", test)):
        images = idx_bytes((count, 28, 28), [(7 * i) % 256 for i in range(count * 784)])
        labels = idx_bytes((count,), [i % 10 for i in range(count)])
        (folder / f"{part}-images-idx3-ubyte.gz").write_bytes(gzip.compress(images))
        (folder / f"{part}-labels-idx1-ubyte").write_bytes(labels)


def test_plain_and_compressed_files_give_the_stated_shape_in_row_major_order(tmp_path):
    content = idx_bytes((2, 3), range(6))
    (tmp_path / "plain").write_bytes(content)
    (tmp_path / "packed.gz").write_bytes(gzip.compress(content))
    expected = torch.tensor([[0, 1, 2], [3, 4, 5]], dtype=torch.uint8)
    assert torch.equal(idx.read(tmp_path / "plain", 2), expected)
    assert torch.equal(idx.read(tmp_path / "packed.gz", 2), expected)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"\x00\x00", "2 bytes, too short for an IDX header"),
        (b"\x00\x00\x0d\x01" + bytes(8), "starts with 00 00 0d 01, expected 00 00 08 01"),
        (b"\x00\x00\x08\x03" + bytes(12), "starts with 00 00 08 03, expected 00 00 08 01"),
        (b"\x00\x00\x08\x01\x00", "cut off within its IDX header, 5 of 8 bytes"),
        (idx_bytes((4,), range(3)), "header says 4 = 4 bytes, the file has 3"),
        (idx_bytes((2,), range(3)), "header says 2 = 2 bytes, the file has 3"),
        (b"<!DOCTYPE html>", "starts with 3c 21 44 4f"),
    ],
)
def test_a_file_that_is_not_what_its_header_says_is_refused(tmp_path, content, expected):
    path = tmp_path / "labels"
    path.write_bytes(content)
    with pytest.raises(DataError, match="labels") as caught:
        idx.read(path, 1)
    assert expected in str(caught.value)


@pytest.mark.parametrize("damage", [lambda b: b[:-9], lambda b: b[:30] + b"\xff\xff\xff" + b[33:], lambda b: b"text"])
def test_a_damaged_gzip_file_is_refused(tmp_path, damage):
    path = tmp_path / "images.gz"
    path.write_bytes(damage(gzip.compress(idx_bytes((200,), range(200)))))
    with pytest.raises(DataError, match=r"images\.gz"):
        idx.read(path, 1)


@pytest.mark.parametrize("below", ["mnist", "MNIST/raw", "."])
def test_mnist_is_found_below_the_data_root(tmp_path, below):
    write_mnist(tmp_path / below)
    loaded = load(tmp_path)
    assert loaded.shape == (1, 28, 28)
    assert (len(loaded.train), len(loaded.test), loaded.classes) == (20, 10, 10)


def test_a_missing_file_is_named_with_where_it_was_looked_for_and_where_to_get_it(tmp_path):
    write_mnist(tmp_path / "mnist")
    (tmp_path / "mnist" / "t10k-labels-idx1-ubyte").unlink()
    with pytest.raises(DataError) as caught:
        load(tmp_path)
    for part in ("t10k-labels-idx1-ubyte[.gz] is missing", str(tmp_path / "mnist"), "https://", "--data-root"):
        assert part in str(caught.value)


def test_images_and_labels_must_be_as_many_and_labels_digits(tmp_path):
    write_mnist(tmp_path)
    (tmp_path / "train-labels-idx1-ubyte").write_bytes(idx_bytes((3,), [1, 2, 3]))
    with pytest.raises(DataError, match=r"20 images.*3 labels"):
        load(tmp_path)
    (tmp_path / "train-labels-idx1-ubyte").write_bytes(idx_bytes((20,), [10] * 20))
    with pytest.raises(DataError, match=r"label 10, expected 0 \.\. 9"):
        load(tmp_path)


def test_unknown_data_sets_and_too_large_subsets_are_refused(tmp_path):
    with pytest.raises(DataError, match=r"'cats' is not a data set; known: .*digits.*mnist"):
        data.load(Data(name="cats"), tmp_path)
    with pytest.raises(DataError, match="train_samples: 5000 asked for, there are 1437"):
        data.load(Data(name="digits", train_samples=5000), tmp_path)
