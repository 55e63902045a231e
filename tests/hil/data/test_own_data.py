"""Data of one's own by name: files, folders of pictures, anybody's data set objects; and the tasks they bring."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from hil import data
from hil.cli import main
from hil.data import DataError
from hil.experiments.sections import Data


def load(name, root="nowhere", **more):
    return data.load(Data(name=name, **more), Path(root))


def blobs(samples=60, features=4, seed=0):
    draw = np.random.default_rng(seed)
    labels = np.arange(samples) % 3
    return draw.normal(labels[:, None], 0.3, (samples, features)), labels


@pytest.fixture
def module(tmp_path, monkeypatch):
    """Writes `somebody.py`, trusted as one that was named on a command line."""
    from firmware_specs.registry import modules

    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(modules, "_trusted", {"somebody"})

    def write(text):
        (tmp_path / "somebody.py").write_text("import numpy as np, torch\n" + text, encoding="utf-8")

    yield write
    sys.modules.pop("somebody", None)


def test_arrays_of_keras_names_keep_their_parts(tmp_path):
    images, labels = np.zeros((7, 9, 8), np.uint8), np.arange(7) % 2
    np.savez(tmp_path / "m.npz", x_train=images, y_train=labels, x_test=images[:3], y_test=labels[:3])
    found = load("npz:m.npz", tmp_path)
    assert (len(found.train), len(found.test), found.shape, found.classes) == (7, 3, (1, 9, 8), 2)
    assert (found.full_scale, found.targets) == (255.0, "classes")


def test_arrays_of_colour_pictures_with_channels_last_are_turned(tmp_path):
    np.savez_compressed(tmp_path / "c.npz", images=np.zeros((10, 6, 5, 3), np.uint8), labels=np.arange(10) % 2)
    assert load("npz:c.npz", tmp_path).shape == (3, 6, 5)


def test_what_has_no_test_part_is_split_the_same_way_every_time(tmp_path):
    inputs, labels = blobs()
    np.savez(tmp_path / "b.npz", x=inputs, y=labels)
    one, other = load(f"npz:{tmp_path / 'b.npz'}"), load("npz:b.npz", tmp_path)
    assert (len(one.train), len(one.test)) == (48, 12)
    assert torch.equal(one.test.images, other.test.images)
    together = torch.cat([one.train.images, one.test.images]).flatten(1).double().sum(1).sort().values
    assert torch.allclose(together, torch.tensor(inputs.astype(np.float32).astype(float).sum(1)).sort().values)


def test_a_table_of_words_is_classes_and_its_features_are_standardized(tmp_path):
    (tmp_path / "t.csv").write_text(
        "a;b;species\n" + "".join(f"{n};{2 * n};{'cat' if n % 2 else 'dog'}\n" for n in range(10)), encoding="utf-8-sig"
    )
    found = load("csv:t.csv", tmp_path)
    prepared = found.prepare(found.train.images, torch.device("cpu"), torch.float64)
    assert (found.targets, found.classes, found.shape) == ("classes", 2, (2, 1, 1))
    assert prepared.mean().abs() < 1e-6


def test_a_table_with_a_target_of_numbers_is_values(tmp_path):
    rows = "".join(f"{n},{n % 3},{n * 0.5}\n" for n in range(20))
    (tmp_path / "r.csv").write_text("x,z,power\n" + rows, encoding="utf-8")
    assert load("csv:r.csv", tmp_path).targets == "values"
    both = load("csv:r.csv?target=power,z", tmp_path)
    assert (both.targets, both.classes, both.shape) == ("values", 2, (1, 1, 1))


def pictures(folder, size=(6, 5), mode="L", classes=("cat", "dog"), each=6):
    for label, name in enumerate(classes):
        (folder / name).mkdir(parents=True)
        for n in range(each):
            Image.new(mode, size, 40 * label + n if mode == "L" else (n, 40 * label, 0)).save(
                folder / name / f"{n}.png"
            )


def test_a_folder_of_pictures_by_class(tmp_path):
    pictures(tmp_path / "grey")
    found = load("folder:grey", tmp_path)
    assert (found.shape, found.classes, len(found.train) + len(found.test)) == ((1, 5, 6), 2, 12)
    for part in ("train", "test"):
        pictures(tmp_path / "colour" / part, mode="RGB")
    found = load("folder:colour?size=4", tmp_path)
    assert (found.shape, len(found.train), len(found.test)) == ((3, 4, 4), 12, 12)


def test_any_torch_data_set_and_dictionaries_of_samples_are_taken(module):
    module(
        "class Pairs(torch.utils.data.Dataset):\n"
        "    def __len__(self): return 30\n"
        "    def __getitem__(self, n): return torch.full((1, 4, 4), n / 30), n % 3\n"
        "def pairs(): return Pairs(), Pairs()\n"
        "def rows(): return {'train': [{'image': np.zeros((4, 4), np.uint8), 'label': n % 2} for n in range(8)],\n"
        "                    'test': [{'image': np.zeros((4, 4), np.uint8), 'label': 1}]}\n"
        "def tensors(root): return torch.rand(20, 3), (torch.rand(20, 4) > 0.5).float()\n"
    )
    assert load("somebody:pairs").shape == (1, 4, 4)
    assert len(load("somebody:rows").test) == 1
    found = load("somebody:tensors")
    assert (found.targets, found.classes) == ("labels", 4)


def bad_csv(text):
    def make(path):
        (path / "t.csv").write_text(text, encoding="utf-8")
        return "csv:t.csv"

    return make


def bad_npz(**arrays):
    def make(path):
        np.savez(path / "a.npz", **arrays)
        return "npz:a.npz"

    return make


def bad_module(text):
    def make(path):
        (path / "somebody.py").write_text("import numpy as np, torch\ndef f():\n    " + text, encoding="utf-8")
        return "somebody:f"

    return make


def two_sizes(path):
    pictures(path / "p" / "train")
    pictures(path / "p" / "test", size=(3, 3))
    Image.new("L", (9, 9)).save(path / "p" / "train" / "cat" / "x.png")
    return "folder:p"


def no_picture(path):
    pictures(path / "p")
    (path / "p" / "cat" / "0.png").write_bytes(b"GIF89a nothing")
    return "folder:p"


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda path: "npz:gone.npz", "'gone.npz' is missing. Looked in"),
        (lambda path: "csv:gone.csv?targets=a", "unknown option targets; known: target"),
        (lambda path: "zip:gone", "'zip:gone' is code of module zip, which nobody has named"),
        (bad_npz(a=np.zeros(3)), "holds nothing known; expected x_train, y_train, x_test, y_test, or x and y"),
        (bad_npz(x=np.zeros((6, 2)), y=np.zeros(5)), "6 inputs, 5 targets: expected as many"),
        (bad_npz(x=np.full((6, 2), np.nan), y=np.arange(6) % 2), "a training input is not finite"),
        (bad_npz(x=np.zeros((6, 2, 2, 2, 2)), y=np.arange(6) % 2), "inputs of shape (2, 2, 2, 2); expected"),
        (bad_npz(x=np.array([{}] * 6), y=np.arange(6)), "a.npz: cannot be read"),
        (bad_csv("a,label\n1,2\n"), "2 lines; a header and at least two rows"),
        (bad_csv("a,label\n1,2\n1\n"), "t.csv:3: 1 fields, the header has 2"),
        (bad_csv("a,label\n1,2\nx,2\n"), "t.csv:3: a: 'x' is no number"),
        (bad_csv("a,label\n1,2\nnan,2\n"), "t.csv:3: a: nan is not finite"),
        (bad_csv("label\n1\n2\n"), "every column is a target"),
        (lambda path: bad_csv("a,b\n1,2\n3,4\n")(path) + "?target=c", "no column c; there are a, b"),
        (two_sizes, "pictures of 2 sizes"),
        (no_picture, "0.png: no picture that can be read"),
        (lambda path: "folder:.", "0 folders; one a class is expected"),
        (bad_module("return 3"), "somebody:f: int is no data set"),
        (bad_module("return [1, 2, 3]"), "a sample is int; expected (input, target)"),
        (bad_module("return [{'a': 1}]"), "samples have a; expected e.g. image and label"),
        (bad_module("raise KeyError('k')"), "somebody:f failed: KeyError: 'k'"),
        (bad_module("return [(np.zeros(2), 0), (np.zeros(3), 1), (np.zeros(2), 0)]"), "inputs of 2 shapes"),
        (bad_module("a = np.arange(9); return (a, a), (a[:1], a[:1] + 9)"), "9 is a class in the test part"),
    ],
)  # fmt: skip
def test_what_cannot_be_used_is_refused_with_the_place(make, sentence, tmp_path, module, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError) as refused:
        load(make(tmp_path), tmp_path)
    assert sentence in str(refused.value)


EXPERIMENT = """
loss = "{loss}"
readout = "linear"
[data]
name = "{data}"
validation = {validation}
[[blocks]]
feedforward = [{{kind = "flatten"}}, {{kind = "linear", units = 12}}]
energy = {{couplings = [{{kind = "dense", units = 8}}], slope = 0.5}}
[optimizer]
lr = 0.02
[run]
epochs = {epochs}
batch = 16
"""


def hil(*arguments):
    with pytest.raises(SystemExit) as ended:
        main([str(a) for a in arguments])
    return ended.value.code


def train(tmp_path, loss, name, validation=0.0, epochs=5, *more):
    path, run = tmp_path / "e.toml", tmp_path / "run"
    path.write_text(EXPERIMENT.format(loss=loss, data=name, validation=validation, epochs=epochs), encoding="utf-8")
    code = hil("train", path, "--run-dir", run, "--data-root", tmp_path, *more)
    summary = run / "summary.json"
    return code, json.loads(summary.read_text()) if summary.is_file() else None, run


def test_a_regression_learns_and_is_reported_by_its_errors(tmp_path, capsys, rendered):
    draw = np.random.default_rng(1)
    inputs = draw.uniform(-1, 1, (200, 3))
    np.savez(tmp_path / "r.npz", x=inputs, y=inputs @ [1.0, -2.0, 0.5] + 0.1)
    code, summary, run = train(tmp_path, "regression", "npz:r.npz")
    assert code == 0
    assert summary["test"]["r2"] > 0.6
    assert summary["test_accuracy"] is None
    said = capsys.readouterr().out
    assert "test mean squared error" in said and "test R squared" in said and "accuracy" not in said
    report = (run / "report.html").read_text(encoding="utf-8")
    assert "test R squared" in report and "Mean squared error" in report


def test_several_labels_at_once_learn(tmp_path, capsys):
    draw = np.random.default_rng(2)
    inputs = draw.uniform(-1, 1, (200, 4))
    np.savez(tmp_path / "l.npz", x=inputs, y=(inputs[:, :2] > 0).astype(float))
    code, summary, _ = train(tmp_path, "multi_label", "npz:l.npz")
    assert code == 0
    assert summary["test"]["accuracy"] > 0.7
    assert 0 < summary["test"]["exact"] <= summary["test"]["accuracy"]


def test_a_loss_for_other_targets_is_refused_with_those_that_fit(tmp_path, capsys):
    np.savez(tmp_path / "r.npz", x=np.random.rand(20, 2), y=np.random.rand(20))
    code, *_ = train(tmp_path, "cross_entropy", "npz:r.npz")
    assert code == 2
    assert "takes classes, the targets of" in (said := capsys.readouterr().err)
    assert "these fit: regression" in said


def test_the_best_epoch_is_kept_and_a_run_that_gets_no_better_stops(tmp_path, capsys):
    inputs, labels = blobs(120)
    np.savez(tmp_path / "b.npz", x=inputs, y=labels)
    stop = ["--set", "run.stop_after=2", "--set", "run.keep_best=true"]
    code, summary, run = train(tmp_path, "cross_entropy", "npz:b.npz", 0.25, 60, *stop)
    assert code == 0
    assert summary["finished"] and summary["epochs"] == summary["best_epoch"] + 2 < 60
    records = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    held = {r["epoch"]: r["validation_accuracy"] for r in records if r["kind"] == "epoch"}
    assert held[summary["best_epoch"]] == max(held.values())
    assert list((run / "best").glob("step_*.safetensors"))


def test_early_stopping_without_validation_is_refused(tmp_path, capsys):
    np.savez(tmp_path / "b.npz", x=np.random.rand(20, 2), y=np.arange(20) % 2)
    code, *_ = train(tmp_path, "cross_entropy", "npz:b.npz", 0.0, 2, "--set", "run.stop_after=2")
    assert code == 2
    assert "set data.validation, e.g. 0.1" in capsys.readouterr().err


def test_top_five_is_measured_where_there_are_more_than_five_classes(tmp_path, capsys):
    code, summary, _ = train(tmp_path, "cross_entropy", "digits", 0.0, 1, "--set", "data.train_samples=200")
    assert code == 0
    assert summary["test"]["accuracy"] < summary["test"]["top5"] <= 1
    assert "test top-5" in capsys.readouterr().out
