"""Data and settings as people have them: read, or refused with what was found and what to do."""

import gzip
import pickle
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

from hil import data
from hil.data import cifar, imagenet32
from hil.data.dataset import DataError
from hil.experiments.sections import Data, Run
from hil.learning.feedforward import PER_SAMPLE
from hil.training.ranks import Ranks
from hil.training.run.marked import RunError
from hil.training.steps import refuse_steps_that_cannot_be_taken

PICTURES = np.random.default_rng(0).integers(0, 256, (4, 3072), dtype=np.uint8)
LABELS = [3, 1, 4, 1]


def batch(pixels, labels, protocol=4):
    return pickle.dumps({b"data": pixels, b"labels": labels}, protocol)


READ = {  # what is in the file, as some Python or some script wrote it
    "protocol 2": batch(PICTURES, LABELS, 2),
    "protocol 5": batch(PICTURES, LABELS, 5),
    "labels as numpy integers": batch(PICTURES, [np.int64(n) for n in LABELS], 5),
    "labels as small numpy integers": batch(PICTURES, [np.uint8(n) for n in LABELS], 4),
    "labels as an array": batch(PICTURES, np.array(LABELS), 5),
    "labels as a column": batch(PICTURES, np.array(LABELS)[:, None], 5),
    "labels as a tuple": batch(PICTURES, tuple(LABELS)),
    "labels as whole floats": batch(PICTURES, np.array(LABELS, float)),
    "pictures, channels first": batch(PICTURES.reshape(4, 3, 32, 32), LABELS),
    "pictures, channels last": batch(PICTURES.reshape(4, 3, 32, 32).transpose(0, 2, 3, 1), LABELS, 5),
    "pictures as int64": batch(PICTURES.astype(np.int64), LABELS),
    "pictures in Fortran order": batch(np.asfortranarray(PICTURES), LABELS, 5),
}


@pytest.mark.parametrize("case", READ)
def test_what_a_conversion_leaves_is_read_as_the_same_samples(case, tmp_path):
    path = tmp_path / "data_batch_1"
    path.write_bytes(READ[case])
    found = cifar.read_pickled(path, cifar.CIFAR10)
    assert torch.equal(found.images.flatten(1), torch.from_numpy(PICTURES)) and found.labels.tolist() == LABELS


REFUSED = {  # what is in the file, words that the message must have
    "pictures as floats": (batch(PICTURES / 255.0, LABELS), "float64 from 0 to 1", "multiply by 255"),
    "pictures of another size": (batch(np.zeros((4, 784), np.uint8), LABELS), "(4, 784)", "(n, 3072)"),
    "pictures as a list": (batch(PICTURES.tolist(), LABELS), "is a list", "numpy.asarray"),
    "labels one-hot": (batch(PICTURES, np.eye(10, dtype=int)[LABELS]), "(4, 10)", "numpy.argmax"),
    "labels as text": (batch(PICTURES, ["cat"] * 4), "'cat'", "whole numbers are expected"),
    "labels that are fractions": (batch(PICTURES, [0.5] * 4), "0.5", "whole numbers are expected"),
    "no labels": (pickle.dumps({b"data": PICTURES}), "no labels", "data_batch_1"),
    "a web page": (b"<!DOCTYPE html><html>", "web page", "get the file again"),
    "a placeholder": (b"version https://git-lfs.github.com/spec/v1\n", "Git LFS", "git lfs pull"),
    "a zip archive": (b"PK\x03\x04" + bytes(60), "zip archive", "unpack it"),
    "gzip data": (gzip.compress(b"x" * 100), "gzip data", "gunzip"),
    "nothing": (b"", "It is empty", "again"),
    "a numpy file": (b"\x93NUMPY\x01\x00" + bytes(50), ".npy", "as they are distributed"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_read_is_named_with_what_to_do(case, tmp_path):
    content, *words = REFUSED[case]
    path = tmp_path / "data_batch_1"
    path.write_bytes(content)
    with pytest.raises(DataError) as refused:
        cifar.read_pickled(path, cifar.CIFAR10)
    assert all(word in str(refused.value) for word in [*words, str(path)]), refused.value


def test_imagenet32_from_zero_and_as_npz_says_what_to_do(tmp_path):
    np.savez(tmp_path / "a.npz", data=PICTURES, labels=np.array([0, 1, 2, 999]))
    with pytest.raises(DataError, match=r"labels 0 .. 999, expected 1 .. 1000: add 1"):
        imagenet32.read(tmp_path / "a.npz")
    np.savez_compressed(tmp_path / "b.npz", data=PICTURES.reshape(4, 3, 32, 32), labels=np.array(LABELS, np.int16))
    assert imagenet32.read(tmp_path / "b.npz").labels.tolist() == [n - 1 for n in LABELS]
    (tmp_path / "c.npz").write_bytes(b"<html>")
    with pytest.raises(DataError, match="web page"):
        imagenet32.read(tmp_path / "c.npz")


INPUTS, CLASSES = np.random.default_rng(1).random((20, 8)).astype("f4"), np.arange(20) % 3
OWN = {  # arrays of one's own, words of the refusal
    "fewer targets than inputs": (
        {"x_train": INPUTS, "y_train": CLASSES[:5], "x_test": INPUTS, "y_test": CLASSES},
        "20 training inputs, 5 targets",
    ),
    "a number for all inputs": ({"x": np.float32(3), "y": CLASSES}, "0 inputs, 20 targets"),
    "a number for all targets": ({"x": INPUTS, "y": np.int64(3)}, "20 inputs, 0 targets"),
    "no training inputs": (
        {"x_train": INPUTS[:0], "y_train": CLASSES[:0], "x_test": INPUTS, "y_test": CLASSES}, "0 training inputs",
    ),
    "words for classes": ({"x": INPUTS, "y": CLASSES.astype(str)}, "return_inverse"),
    "a class that training lacks": (
        {"x_train": INPUTS, "y_train": CLASSES, "x_test": INPUTS, "y_test": CLASSES + 7}, "training has 0, 1, 2",
    ),
    "other names": ({"a": INPUTS, "b": CLASSES}, "x_train, y_train"),
}  # fmt: skip


@pytest.mark.parametrize("case", OWN)
def test_arrays_of_ones_own_that_do_not_fit_are_named_with_what_would(case, tmp_path):
    arrays, words = OWN[case]
    np.savez(tmp_path / "own.npz", **arrays)
    with pytest.raises(DataError, match=words):
        data.load(Data(name=f"npz:{tmp_path / 'own.npz'}"), tmp_path)


TABLE = "a,b,label\n" + "".join(f"{n},{n % 5},{n % 3}\n" for n in range(30))
TABLES = {  # what is in the file, words of the refusal, or "" where it is read
    "byte order mark": (TABLE.encode("utf-8-sig"), ""),
    "ends of an old Macintosh": (TABLE.replace("\n", "\r").encode(), ""),
    "semicolons": (TABLE.replace(",", ";").encode(), ""),
    "UTF-16": (TABLE.encode("utf-16"), "save it as UTF-8"),
    "Latin-1": (TABLE.replace("a,", "\u00e4,").encode("latin1"), "save it as UTF-8"),
    "decimal commas": (TABLE.replace(",", ";").replace("7;", "7,5;").encode(), "decimal point, no comma"),
    "an empty field": (TABLE.encode() + b",1,2\n", "fill it in"),
    "a field too few": (TABLE.encode() + b"1,2\n", "2 fields, the header has 3"),
}


@pytest.mark.parametrize("case", TABLES)
def test_tables_of_spreadsheets_are_read_or_refused_with_line_and_remedy(case, tmp_path):
    content, words = TABLES[case]
    (tmp_path / "own.csv").write_bytes(content)
    if not words:
        assert len(data.load(Data(name=f"csv:{tmp_path / 'own.csv'}"), tmp_path).train) == 24
        return
    with pytest.raises(DataError, match=words):
        data.load(Data(name=f"csv:{tmp_path / 'own.csv'}"), tmp_path)


def idx(name, count):
    images = struct.pack(">HBB3I", 0, 8, 3, count, 28, 28) + bytes(784 * count)
    return images if "images" in name else struct.pack(">HBBI", 0, 8, 1, count) + bytes(range(count))


PLACES = {  # where the four files of MNIST are, and how they are packed
    "as distributed": lambda n: (f"mnist/{n}.gz", gzip.compress),
    "unpacked": lambda n: (f"mnist/{n}", bytes),
    "unpacked by the browser, name as before": lambda n: (f"mnist/{n}.gz", bytes),
    "packed, without the suffix": lambda n: (f"mnist/{n}", gzip.compress),
    "dots in the names": lambda n: (f"mnist/{n.replace('-idx', '.idx')}", bytes),
    "a folder for each": lambda n: (f"mnist/{n}/{n.replace('-idx', '.idx')}", bytes),
    "torchvision's folder": lambda n: (f"MNIST/raw/{n}", bytes),
    "in the root": lambda n: (f"{n}.gz", gzip.compress),
}


@pytest.mark.parametrize("case", PLACES)
def test_mnist_is_found_however_it_was_unpacked(case, tmp_path):
    for part, count in (("train", 4), ("t10k", 2)):
        for kind in ("images-idx3", "labels-idx1"):
            place, pack = PLACES[case](f"{part}-{kind}-ubyte")
            (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / place).write_bytes(pack(idx(kind, count)))
    found = data.load(Data(name="mnist"), tmp_path)
    assert (len(found.train), len(found.test)) == (4, 2)


@pytest.mark.parametrize("deeper", ["cifar-10-batches-py", "cifar-10-batches-py/cifar-10-batches-py", "."])
def test_cifar_is_found_below_the_root_one_too_deep_and_in_the_root_itself(deeper, tmp_path):
    folder = tmp_path / deeper
    folder.mkdir(parents=True, exist_ok=True)
    for name in (*cifar.CIFAR10.train, "test_batch"):
        (folder / name).write_bytes(batch(PICTURES, LABELS))
    assert len(data.load(Data(name="cifar10"), tmp_path).train) == 20


def test_an_archive_that_was_not_unpacked_is_named(tmp_path):
    (tmp_path / "cifar-10-python.tar.gz").write_bytes(b"x")
    with pytest.raises(DataError, match=r"cifar-10-python.tar.gz is there, and not unpacked: `tar xf"):
        data.load(Data(name="cifar10"), tmp_path)
    with zipfile.ZipFile(tmp_path / "m.npz", "w") as archive:
        archive.writestr("x.txt", "hello")
    with pytest.raises(DataError, match=r"m.npz"):
        data.load(Data(name=f"npz:{tmp_path / 'm.npz'}"), tmp_path)


STEPS = [  # settings, words of the refusal
    (("run.drop_last=true", "run.batch=64"), "run.drop_last leaves no batch", "set run.batch to 40 or less"),
    (("run.batch=1",), "raise run.batch", "batch norm"),
    (("run.batch=13", "data.train_samples=40"), "the last batch of an epoch has 1 sample", "run.drop_last = true"),
    (("run.epochs=true",), "run.epochs", "true and false are no numbers"),
    (("run.batch=false",), "run.batch", "true and false are no numbers"),
    (("optimizer.lr=true",), "optimizer.lr", "true and false are no numbers"),
    (("run.batch=99999999999999999999",), "99999999999999999999", "64 bits"),
    (("data.train_samples=5000",), "data.train_samples", "there are"),
]


@pytest.mark.parametrize("row", STEPS, ids=lambda row: " ".join(row[0]))
def test_a_run_that_cannot_take_every_step_is_refused_before_the_first_one(row, hil, tmp_path):
    settings, *words = row
    norm = 'blocks=[{feedforward=[{kind="flatten"},{kind="batch_norm"}],energy={couplings=[{kind="dense",units=8}]}}]'
    sets = [part for s in ("data.train_samples=40", norm, *settings) for part in ("--set", s)]
    found = hil("train", "digits", *sets, "--run-dir", tmp_path / "run")
    assert found.code == 2 and all(word in found.err for word in words), found.said
    assert not (tmp_path / "run").exists()


RANKS = [  # settings of a run, samples, ranks, values of a channel in a sample; words of the refusal, or ""
    ({"batch": 2, "drop_last": True}, 10, 2, 1, "run.sync_batch_norm = true"),
    ({"batch": 2, "drop_last": True, "sync_batch_norm": True}, 10, 2, 1, ""),
    ({"batch": 2, "drop_last": True}, 10, 2, 4, ""),
    ({"batch": 4, "drop_last": True}, 10, 2, 1, ""),
    ({"batch": 4}, 9, 1, 1, "run.drop_last = true"),
    ({"batch": 4}, 9, 1, 4, ""),
    ({"batch": 64, "drop_last": True}, 63, 1, 4, "set run.batch to 63 or less"),
    ({"batch": 64, "drop_last": True}, 0, 1, 4, "leaves no batch"),
]


@pytest.mark.parametrize("row", RANKS, ids=lambda row: str(row[0]))
def test_every_size_of_batch_is_looked_at_on_every_rank(row):
    settings, samples, count, values, words = row
    norm = torch.nn.BatchNorm1d(3)
    setattr(norm, PER_SAMPLE, values)
    asked = (Run(**settings), torch.nn.Sequential(norm), samples, Ranks(count=count))
    if not words:
        refuse_steps_that_cannot_be_taken(*asked)
        return
    with pytest.raises(RunError, match=words):
        refuse_steps_that_cannot_be_taken(*asked)


TOML = [  # a line of a bench file, words of the refusal
    ('datasheet = "C:\\Users\\me\\chip.toml"', "single quotes"),
    ('datasheet = "D:\\data\\chip.toml"', "single quotes"),
    ("serial = seed-1", "text stands in quotes"),
    ("watchdog_s = 2,5", "decimal point"),
    ("allow_no_watchdog = True", "written small"),
    ("watchdog_s: 2.0", "have = between them"),
    ("watchdog_s =", "a value is missing"),
    ("watchdog_s = 2s", "a number has no unit"),
    ("serial = \u201cseed-1\u201d", "typographic quotes"),
    ("watchdog_s = true", "no numbers"),
]


@pytest.mark.parametrize("row", TOML, ids=lambda row: row[0])
def test_a_line_that_is_no_toml_is_shown_with_what_was_probably_meant(row, hil):
    line, words = row
    Path("lab.toml").write_text(f'[devices.a]\naddress = "serial:/dev/x"\n{line}\n', encoding="utf-8")
    found = hil("clear", "--bench", "lab.toml", "--device", "a")
    assert found.code == 2 and words in found.err and "lab.toml" in found.err, found.said


def test_files_as_editors_of_all_systems_write_them_are_taken(hil):
    text = '[devices.a]\r\naddress = "emulator:ideal"\r\n# Gr\u00fc\u00dfe\r\n'
    for content in (text.encode(), b"\xef\xbb\xbf" + text.encode(), text.replace("\r\n", "\n").encode()):
        Path("lab.toml").write_bytes(content)
        assert "no trip to clear" in hil("clear", "--bench", "lab.toml", "--device", "a").err
    for content, words in ((text.encode("utf-16"), "not UTF-8"), (text.encode("latin1"), "not UTF-8")):
        Path("lab.toml").write_bytes(content)
        found = hil("clear", "--bench", "lab.toml", "--device", "a")
        assert found.code == 2 and words in found.err, found.said
