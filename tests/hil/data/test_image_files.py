import gzip
import hashlib
import io
import os
import pickle
import struct
import tarfile
import zipfile
from dataclasses import replace

import numpy as np
import pytest
import torch

from hil.data import DataError, load
from hil.data.augment import flip_and_crop
from hil.data.batches import Batches
from hil.data.catalogue import CATALOGUE, OTHER_LAYOUTS, SAMPLES, digest_report
from hil.data.dataset import Split
from hil.data.fetch import by_hand, fetch
from hil.data.restricted import read
from hil.data.shards import Shards
from hil.data.unpack import unpacked
from hil.experiments.sections import Data

PIXELS = np.random.default_rng(0).integers(0, 256, (12, 3072), dtype=np.uint8)
LABELS = [3, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5, 8]


def write_binary(folder, label_bytes=1):
    folder.mkdir(parents=True)
    names = [f"data_batch_{i}" for i in range(1, 6)] + ["test_batch"] if label_bytes == 1 else ["train", "test"]
    for index, name in enumerate(names):
        rows = slice(2 * index, 2 * index + 2)
        labels = np.array(LABELS[rows], np.uint8)[:, None].repeat(label_bytes, 1)
        labels[:, :-1] = 77  # coarse labels do not count
        (folder / f"{name}.bin").write_bytes(np.hstack([labels, PIXELS[rows]]).tobytes())


def write_pickled(folder, key="labels", protocol=2, names=None):
    folder.mkdir(parents=True)
    for index, name in enumerate(names or [*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"]):
        rows = slice(2 * index, 2 * index + 2)
        content = {b"data": PIXELS[rows], key.encode(): LABELS[rows], b"batch_label": b"a batch"}
        (folder / name).write_bytes(pickle.dumps(content, protocol))


def test_both_layouts_of_cifar_give_the_same_samples(tmp_path):
    write_binary(tmp_path / "a" / "cifar-10-batches-bin")
    write_pickled(tmp_path / "b" / "cifar-10-batches-py")
    binary, pickled = (load(Data(name="cifar10"), tmp_path / side) for side in "ab")
    assert binary.shape == (3, 32, 32)
    assert (len(binary.train), len(binary.test), binary.classes) == (10, 2, 10)
    assert torch.equal(binary.train.images, torch.from_numpy(PIXELS[:10]).view(-1, 3, 32, 32))
    assert binary.train.labels.tolist() == LABELS[:10]
    assert torch.equal(binary.train.images, pickled.train.images)
    assert torch.equal(binary.test.labels, pickled.test.labels)


def test_cifar100_takes_the_fine_labels(tmp_path):
    write_binary(tmp_path / "a" / "cifar-100-binary", label_bytes=2)
    write_pickled(tmp_path / "b" / "cifar-100-python", key="fine_labels", names=["train", "test"])
    for side in "ab":
        dataset = load(Data(name="cifar100"), tmp_path / side)
        assert dataset.train.labels.tolist() == LABELS[:2]
        assert dataset.classes == 100


@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_pickles_of_every_age_are_read(tmp_path, protocol):
    path = tmp_path / "batch"
    path.write_bytes(pickle.dumps({b"data": PIXELS, b"mean": np.ones(3), b"note": b"\xff"}, protocol))
    assert np.array_equal(read(path)["data"], PIXELS)


class Evil:
    def __reduce__(self):
        return os.system, ("touch owned",)


@pytest.mark.parametrize(
    "content", [Evil(), {b"data": np.array([Evil()], dtype=object)}, {b"data": eval}, {b"data": np.random.rand}]
)
def test_a_pickle_that_asks_for_anything_but_arrays_is_refused_and_runs_nothing(tmp_path, monkeypatch, content):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "batch").write_bytes(pickle.dumps(content, 2))
    with pytest.raises(DataError, match="nothing was run"):
        read(tmp_path / "batch")
    assert not (tmp_path / "owned").exists()


@pytest.mark.parametrize("damage", [b"", b"hello", pickle.dumps({b"data": PIXELS}, 2)[:-40], pickle.dumps([1], 2)])
def test_a_damaged_pickle_is_refused_and_named(tmp_path, damage):
    (tmp_path / "batch").write_bytes(damage)
    with pytest.raises(DataError, match="batch: "):
        read(tmp_path / "batch")


def test_a_cut_off_binary_file_is_refused(tmp_path):
    folder = tmp_path / "cifar-10-batches-bin"
    write_binary(folder)
    cut = folder / "data_batch_3.bin"
    cut.write_bytes(cut.read_bytes()[:-1])
    with pytest.raises(DataError, match=r"data_batch_3\.bin: 6145 bytes, expected a multiple of 3073"):
        load(Data(name="cifar10"), tmp_path)
    cut.unlink()
    with pytest.raises(DataError, match=r"data_batch_3\.bin is missing"):
        load(Data(name="cifar10"), tmp_path)


def test_labels_out_of_range_are_refused(tmp_path):
    write_binary(tmp_path / "cifar-10-batches-bin")
    test = tmp_path / "cifar-10-batches-bin" / "test_batch.bin"
    test.write_bytes(b"\x0a" + test.read_bytes()[1:])
    with pytest.raises(DataError, match=r"test_batch\.bin: labels 8 .. 10, expected 0 .. 9"):
        load(Data(name="cifar10"), tmp_path)


@pytest.mark.parametrize("kind", ["pickled", "npz"])
def test_imagenet32_streams_its_files_one_at_a_time(tmp_path, kind):
    folder = tmp_path / ("Imagenet32_train" if kind == "pickled" else "Imagenet32_train_npz")
    valid = tmp_path / ("Imagenet32_val" if kind == "pickled" else "Imagenet32_val_npz")
    for place, names in ((folder, [f"train_data_batch_{i}" for i in range(1, 11)]), (valid, ["val_data"])):
        place.mkdir()
        for index, name in enumerate(names):
            count = 1 + index % 3
            data, labels = PIXELS[:count] // 2 + index, [1 + 99 * index + n for n in range(count)]
            if kind == "npz":
                np.savez(place / f"{name}.npz", data=data, labels=np.array(labels), mean=np.zeros(3072))
            else:
                (place / name).write_bytes(pickle.dumps({"data": data, "labels": labels, "mean": np.zeros(3072)}, 4))
    dataset = load(Data(name="imagenet32"), tmp_path)
    assert isinstance(dataset.train, Shards)
    assert (len(dataset.train), len(dataset.test), dataset.classes, dataset.shape) == (19, 1, 1000, (3, 32, 32))
    batches = Batches(dataset.train, 4, seed=2)
    seen = [labels.tolist() for _, labels in batches.epoch(0)]
    assert [len(b) for b in seen] == [4, 4, 4, 4, 3]
    assert sorted(label for b in seen for label in b) == sorted(99 * i + n for i in range(10) for n in range(1 + i % 3))
    assert [labels.tolist() for _, labels in batches.epoch(0, start=2)] == seen[2:]
    assert len(load(Data(name="imagenet32", train_samples=5), tmp_path).train) == 5


def test_shards_that_are_skipped_are_not_read(tmp_path):
    reads = []

    def reader(path):
        reads.append(path.name)
        return Split(torch.zeros(4, 1, 2, 2, dtype=torch.uint8), torch.arange(4))

    shards = Shards(tuple(tmp_path / str(i) for i in range(3)), (4, 4, 4), (1, 2, 2), reader)
    assert len(list(Batches(shards, 4, seed=0).epoch(0, start=2))) == 1
    assert len(reads) == 1


def test_parts_of_all_ranks_are_the_batch_of_one_process():
    split = Split(torch.arange(10 * 27, dtype=torch.uint8).view(10, 3, 3, 3), torch.arange(10))
    whole = list(Batches(split, 4, seed=3, augment=flip_and_crop).epoch(1))
    parts = [list(Batches(split, 4, seed=3, augment=flip_and_crop, rank=r, ranks=3).epoch(1)) for r in range(3)]
    for index, (images, labels) in enumerate(whole):
        assert torch.equal(torch.cat([p[index][0] for p in parts]), images)
        assert torch.equal(torch.cat([p[index][1] for p in parts]), labels)


def test_augmentation_mirrors_and_shifts_within_four_pixels_and_repeats_the_edges():
    image = torch.arange(32 * 32, dtype=torch.float32).view(1, 1, 32, 32).repeat(400, 1, 1, 1)
    out = flip_and_crop(image, torch.Generator().manual_seed(0))
    padded = torch.nn.functional.pad(image[:1], (4, 4, 4, 4), mode="replicate")[0, 0]
    crops = {(d, r): padded[d : d + 32, r : r + 32] for d in range(9) for r in range(9)}
    plain = mirrored = 0
    for sample in out[:, 0]:
        plain += any(torch.equal(sample, c) for c in crops.values())
        mirrored += any(torch.equal(sample, c.flip(1)) for c in crops.values())
    assert plain + mirrored == 400
    assert 150 < mirrored < 250


def test_relatives_of_mnist_have_their_own_folders(tmp_path):
    for part, count in (("train", 4), ("t10k", 2)):
        folder = tmp_path / "kmnist"
        folder.mkdir(exist_ok=True)
        header = struct.pack(">HBB3I", 0, 8, 3, count, 28, 28)
        (folder / f"{part}-images-idx3-ubyte.gz").write_bytes(gzip.compress(header + bytes(count * 784)))
        (folder / f"{part}-labels-idx1-ubyte").write_bytes(struct.pack(">HBBI", 0, 8, 1, count) + bytes(count))
    assert len(load(Data(name="kmnist"), tmp_path).train) == 4
    with pytest.raises(DataError, match="hil data fetch fashion-mnist"):
        load(Data(name="fashion-mnist"), tmp_path)
    files, verdicts = zip(*digest_report("kmnist", tmp_path), strict=True)
    assert set(files) == {f"kmnist/{part}-images-idx3-ubyte.gz" for part in ("train", "t10k")} | {
        f"kmnist/{part}-labels-idx1-ubyte" for part in ("train", "t10k")
    }
    assert all("other bytes" in v and "`hil data fetch kmnist`" in v and "packed or unpacked" in v for v in verdicts)


@pytest.mark.parametrize(
    ("folder", "suffix", "content", "verdict"),
    [
        ("mnist", ".gz", b"idx", "as distributed, packed again"),
        ("MNIST/raw", "", b"idx", "as distributed, unpacked"),
        (
            "mnist",
            ".gz",
            b"odd",
            "published is f68b3c2dcbeaaa9fbdd348bbdeb94873); remove it and `hil data",
        ),
    ],
)
def test_what_is_in_an_idx_file_is_compared_where_it_was_packed_anew(
    tmp_path, monkeypatch, folder, suffix, content, verdict
):
    inside = hashlib.md5(b"idx", usedforsecurity=False).hexdigest()
    monkeypatch.setitem(CATALOGUE, "mnist", (replace(CATALOGUE["mnist"][0], content=inside),))
    path = tmp_path / folder / f"train-images-idx3-ubyte{suffix}"
    path.parent.mkdir(parents=True)
    path.write_bytes(gzip.compress(content) if suffix else content)
    [(file, said)] = digest_report("mnist", tmp_path)
    assert (file, verdict in said) == (str(path.relative_to(tmp_path)), True)


def test_every_data_set_of_the_catalogue_can_be_had_by_hand(tmp_path):
    assert CATALOGUE.keys() == SAMPLES.keys()
    for name, downloads in CATALOGUE.items():
        text = by_hand(name, tmp_path)
        assert all(d.url in text and (d.md5 is None or d.md5 in text) for d in downloads)


@pytest.fixture
def published(tmp_path, monkeypatch):
    """A download that "arrives" from a folder of this test's own making."""
    import pooch

    source = tmp_path / "published"
    source.mkdir()

    def retrieve(url, known, fname, path):
        path.mkdir(parents=True, exist_ok=True)
        (path / fname).write_bytes((source / fname).read_bytes())
        return str(path / fname)

    monkeypatch.setattr(pooch, "retrieve", retrieve)
    return source


def archive(path, name, content=b"x"):
    with tarfile.open(path, "w:gz") as tar:
        entry = tarfile.TarInfo(name)
        entry.size = len(content)
        tar.addfile(entry, io.BytesIO(content))


def test_a_fetched_archive_is_unpacked_below_the_data_root_and_what_is_in_it_is_compared(
    tmp_path, published, monkeypatch
):
    name, content = "cifar-10-batches-py/data_batch_1", b"x"
    digest = hashlib.sha1(content, usedforsecurity=False).hexdigest()
    known = replace(CATALOGUE["cifar10"][0], unpacked=((name, digest),))
    monkeypatch.setitem(CATALOGUE, "cifar10", (known,))
    archive(published / "cifar-10-python.tar.gz", name, content)
    assert fetch("cifar10", tmp_path / "data") == [tmp_path / "data" / name]
    assert digest_report("cifar10", tmp_path / "data") == [(name, "as distributed")]
    archive(published / "cifar-10-python.tar.gz", name, b"y")
    with pytest.raises(DataError, match="data_batch_1 in it is missing or has other bytes"):
        fetch("cifar10", tmp_path / "data")


def test_files_of_which_no_digest_is_published_are_named_as_such(tmp_path):
    (tmp_path / "Imagenet32_val").mkdir()
    (tmp_path / "Imagenet32_val" / "val_data").write_bytes(b"x")
    ((file, verdict),) = digest_report("imagenet32", tmp_path)
    assert (file, verdict.startswith("no digest of it is published")) == ("Imagenet32_val/val_data", True)


def test_digests_of_every_layout_have_a_known_kind():
    for downloads in (*CATALOGUE.values(), *OTHER_LAYOUTS.values()):
        for digest in [d.md5 or "" for d in downloads] + [hexa for d in downloads for _, hexa in d.unpacked]:
            assert len(digest) in (0, 32, 40)
            assert set(digest) <= set("0123456789abcdef")


def test_an_archive_that_leads_out_of_the_folder_is_refused(tmp_path, published):
    archive(published / "cifar-10-python.tar.gz", "../../escaped")
    with pytest.raises(DataError, match="not the file that was published"):
        fetch("cifar10", tmp_path / "data" / "deep")
    assert not (tmp_path / "escaped").exists()


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE])
def test_an_archive_that_holds_anything_but_files_is_refused(tmp_path, published, kind):
    with tarfile.open(published / "cifar-10-python.tar.gz", "w:gz") as tar:
        entry = tarfile.TarInfo("cifar-10-batches-py/data_batch_1")
        entry.type, entry.linkname = kind, str(tmp_path / "secret")
        tar.addfile(entry)
    with pytest.raises(DataError, match=r"not the file that was published.*'cifar-10-batches-py/data_batch_1'"):
        fetch("cifar10", tmp_path / "data")
    assert not list((tmp_path / "data").rglob("data_batch_1"))


@pytest.mark.parametrize("name", ["../escaped", "/tmp/../{here}/escaped", "link/escaped"])
def test_no_name_in_an_archive_leads_out_of_its_folder(tmp_path, name):
    folder, name = tmp_path / "in", name.format(here=tmp_path)
    folder.mkdir()
    (folder / "link").symlink_to(tmp_path)
    archive(tmp_path / "a.tar.gz", name)
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as zipped:
        zipped.writestr(name, b"x")
    for packed, error in (("a.tar.gz", tarfile.TarError), ("a.zip", zipfile.BadZipFile)):
        with pytest.raises(error, match="leads out of its folder"):
            unpacked(tmp_path / packed, folder)
    assert not (tmp_path / "escaped").exists()


def test_a_download_that_fails_says_what_to_do_by_hand(tmp_path, monkeypatch):
    import pooch
    from requests.exceptions import ConnectionError

    def refuse(*_, **__):
        raise ConnectionError("no route to host")

    monkeypatch.setattr(pooch, "retrieve", refuse)
    with pytest.raises(DataError, match=r"no route to host(.|\n)*without a network(.|\n)*cifar-10-python"):
        fetch("cifar10", tmp_path)
