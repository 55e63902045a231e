"""A trained run goes on: tested elsewhere, loaded in Python, warm-started from, trained longer, set beside others."""

import json

import pytest
import torch

import hil as package
from hil.cli import main
from hil.training.run.folder import RunError

SMALL = """
[data]
name = "digits"
train_samples = 120
test_samples = 60
[[blocks]]
feedforward = [{kind = "flatten"}, {kind = "linear", units = 16}]
energy = {couplings = [{kind = "dense", units = 12}], slope = 0.5}
[optimizer]
lr = 0.02
[run]
epochs = 2
batch = 20
"""


def hil(*arguments):
    with pytest.raises(SystemExit) as ended:
        main([str(argument) for argument in arguments])
    return ended.value.code


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A run on an emulated chip."""
    folder = tmp_path_factory.mktemp("trained")
    (folder / "small.toml").write_text(SMALL, encoding="utf-8")
    chip = ["--device", "emulator:mixed-8bit?seed=1"]
    assert hil("train", folder / "small.toml", "--run-dir", folder / "run", *chip) == 0
    return folder


def summary(run):
    return json.loads((run / "summary.json").read_text(encoding="utf-8"))


def test_a_run_is_tested_again_on_its_own_chip_and_on_another(trained, tmp_path, capsys):
    found = []
    for more in ([], ["--device", "emulator:mixed-8bit?seed=2"], ["--device", "reference:"]):
        assert hil("evaluate", trained / "run", *more, "--json", tmp_path / "e.json") == 0
        found.append(json.loads((tmp_path / "e.json").read_text()))
    assert abs(found[0]["accuracy"] - summary(trained / "run")["test_accuracy"]) < 0.1
    assert found[1]["device"] == "emulator:mixed-8bit?seed=2"
    assert "on reference:: test loss" in capsys.readouterr().out


def test_cells_drift_while_a_chip_waits(trained, tmp_path):
    losses = []
    for wait in ("0", "1e12"):
        told = ["--device", "emulator:pcm?seed=1", "--wait-s", wait, "--json", tmp_path / "e.json"]
        assert hil("evaluate", trained / "run", *told) == 0
        losses.append(json.loads((tmp_path / "e.json").read_text())["loss"])
    assert losses[0] != losses[1]


def test_only_an_emulated_chip_waits_at_a_word(trained, capsys):
    assert hil("evaluate", trained / "run", "--device", "reference:", "--wait-s", "5") == 2
    assert "an emulated chip, and a rack with a stage, wait" in " ".join(
        capsys.readouterr().err.replace("│", " ").split()
    )


def test_a_run_is_loaded_in_one_line(trained):
    with package.load_run(trained / "run", "reference:") as loaded:
        scores = loaded.model(
            loaded.dataset.prepare(loaded.dataset.test.images[:3], torch.device("cpu"), torch.float32)
        )
        assert scores.shape == (3, 10)
        assert loaded.evaluate().accuracy > 0.3
        assert loaded.experiment.run.epochs == 2
        assert "<td>" in loaded._repr_html_()
        assert "on: reference:" in repr(loaded) and len(repr(loaded)) < 400


def test_weights_of_another_model_are_refused_with_the_name_that_differs(trained, tmp_path, capsys):
    (tmp_path / "other.toml").write_text(SMALL.replace("units = 12", "units = 13"), encoding="utf-8")
    code = hil("train", tmp_path / "other.toml", "--run-dir", tmp_path / "run", "--init", trained / "run")
    assert code == 2
    assert "is another model: block_1.energy." in capsys.readouterr().err


def test_a_training_begins_with_the_weights_of_another(trained, tmp_path):
    (tmp_path / "again.toml").write_text(SMALL.replace("epochs = 2", "epochs = 1"), encoding="utf-8")
    for name, more in (("cold", []), ("warm", ["--init", trained / "run"])):
        assert hil("train", tmp_path / "again.toml", "--run-dir", tmp_path / name, *more) == 0
    assert summary(tmp_path / "warm")["test_accuracy"] > summary(tmp_path / "cold")["test_accuracy"]


def test_a_finished_run_trains_more_epochs_and_finds_its_experiment_in_its_folder(trained, tmp_path):
    (tmp_path / "small.toml").write_text(SMALL, encoding="utf-8")
    assert hil("train", tmp_path / "small.toml", "--run-dir", tmp_path / "whole", "--set", "run.epochs=3") == 0
    assert hil("train", tmp_path / "small.toml", "--run-dir", tmp_path / "parts") == 0
    (tmp_path / "small.toml").unlink()
    assert hil("train", "--resume", "--run-dir", tmp_path / "parts", "--set", "run.epochs=3") == 0
    assert summary(tmp_path / "parts")["weights"] == summary(tmp_path / "whole")["weights"]
    assert hil("train", "--resume", tmp_path / "parts") == 0  # nothing left to do


def test_other_settings_stay_what_they_are(trained, capsys):
    assert hil("train", "--resume", trained / "run", "--set", "optimizer.lr=0.1") == 2
    assert "runs with other settings (optimizer.lr" in capsys.readouterr().err


def test_no_experiment_and_no_run_is_said(capsys):
    assert hil("train", "--resume") == 2
    assert "which experiment?" in capsys.readouterr().err


def test_runs_are_set_beside_each_other(trained, tmp_path, capsys):
    assert hil("train", trained / "small.toml", "--run-dir", tmp_path / "other", "--set", "optimizer.lr=0.01") == 0
    for command in ("compare", "report"):
        page = tmp_path / f"{command}.html"
        assert hil(command, trained / "run", tmp_path / "other", "-o", page) == 0
        text = page.read_text(encoding="utf-8")
        assert "optimizer.lr" in text and "emulator:mixed-8bit?seed=1" in text and "<svg" in text


def test_the_report_of_one_training_is_written_again(trained, tmp_path):
    assert hil("report", trained / "run", "-o", tmp_path / "one.html") == 0
    assert "test accuracy" in (tmp_path / "one.html").read_text(encoding="utf-8")


def test_a_run_without_a_best_epoch_says_so(trained):
    with pytest.raises(RunError, match=r"no weights of a best epoch \(run\.keep_best = true\)"):
        package.load_run(trained / "run", which="best")


def test_what_pulses_trained_is_on_its_own_chip_alone(tmp_path):
    pulsed = SMALL + '[update]\nkind = "pulsed"\n'
    (tmp_path / "p.toml").write_text(pulsed.replace("epochs = 2", "epochs = 1"), encoding="utf-8")
    assert hil("train", tmp_path / "p.toml", "--run-dir", tmp_path / "run", "--device", "emulator:ecram?seed=1") == 0
    with package.load_run(tmp_path / "run") as loaded:
        own = loaded.evaluate().accuracy
    assert abs(own - summary(tmp_path / "run")["test_accuracy"]) < 0.1
    with pytest.raises(RunError, match=r"the weights are in the cells of emulator:ecram\?seed=1 and nowhere else"):
        package.load_run(tmp_path / "run", "reference:")


def test_sections_of_ones_own_stand_in_the_report_and_a_broken_one_hurts_no_other(trained, tmp_path, monkeypatch):
    from firmware_specs.registry import KINDS, lookup
    from hil.report.page import Section, Text

    monkeypatch.setattr(lookup, "_registered", {kind: {} for kind in KINDS})

    def wafer(folder):
        return Section("Wafer", [Text(f"wafer 7 of {folder.path.name}")])

    def broken(folder):
        raise KeyError("no map")

    package.register("reports", "wafer", wafer)
    package.register("reports", "broken", broken)
    assert hil("report", trained / "run", "-o", tmp_path / "own.html") == 0
    text = (tmp_path / "own.html").read_text(encoding="utf-8")
    assert "wafer 7 of run" in text and "failed: KeyError" in text and "test accuracy" in text
