"""Choices of convolutions over processes and runs: the cache, the override by name, provenance and checkpoints."""

import copy
import io
import json
import signal
import sys
from pathlib import Path
from typing import get_args

import pooch
import pytest
import torch
from filelock import FileLock, Timeout

from emulator.ways import BUDGET_S, ByName, ByRule, Chosen, Measured, Work
from hil.counterparts import convolutions
from hil.counterparts.convolutions import PATIENCE_S, VARIABLE, CacheFile, OfProcess, chooser
from hil.counterparts.opening.bench import open_bench
from hil.data import load
from hil.doctor import machine
from hil.experiments.schema import Experiment
from hil.experiments.sections import Settling
from hil.learning.model import build
from hil.training.loaded import load_run
from hil.training.loop import train
from hil.training.run import folder
from hil.training.stopping import stops

CONV = {
    "feedforward": [{"kind": "conv", "channels": 32}, {"kind": "batch_norm"}],
    "energy": {"couplings": [{"kind": "conv", "channels": 32}, {"kind": "conv", "channels": 32, "pool": True}]},
}
WORK = Work("up", 3, 5, 8, 8, 3, 1, 1, torch.float32, 16, 1)


class Finds(Measured):
    """Measures what it is told."""

    found = "direct"

    def _fastest(self, threads, usual, runs):
        return self.found if self.found in runs else usual


@pytest.fixture
def finds(monkeypatch, tmp_path):
    """`finds(name)`: every counterpart opened from now on finds this way fastest, and the cache is a new one."""
    monkeypatch.delenv(VARIABLE, raising=False)
    files = iter(range(99))

    def told(name, file=None):
        ways = Finds(CacheFile(tmp_path / f"{next(files) if file is None else file}.json", "here"))
        ways.found = name
        monkeypatch.setattr(convolutions, "measured", lambda: ways)

    return told


class Silent:
    def step(self, position, record):
        pass

    epoch = step


def experiment():
    return Experiment.model_validate(
        {
            "data": {"name": "digits", "train_samples": 40, "test_samples": 20},
            "blocks": [CONV],
            "settle": {"max_iterations": 6, "nudged_max_iterations": 3},
            "run": {"batch": 20, "epochs": 2},
        }
    )


def run(path, stop_at=None):
    """Trains in process, from where the folder is; a stop as Ctrl-C gives it after step `stop_at`."""
    exp, asked = experiment(), iter(range(1, 99))
    opened = folder.reopen(path) if path.exists() else folder.start(path, exp)
    free, nudged = stops(exp.settle)
    with open_bench(exp.device, stop=free, nudged_stop=nudged) as bench:
        dataset = load(exp.data, Path())
        model = build(exp, bench, dataset.shape, dataset.classes)
        stop = lambda: signal.SIGINT if next(asked) == stop_at else None  # noqa: E731
        return train(exp, model, bench, dataset, opened, Silent(), stop).summary


def test_a_resumed_run_forms_its_convolutions_as_it_began(tmp_path, finds):
    finds("winograd")
    whole = run(tmp_path / "whole")
    assert run(tmp_path / "broken", stop_at=1)["steps"] == 1
    finds("direct")  # on a machine whose cache was lost
    other = run(tmp_path / "other")
    resumed = run(tmp_path / "broken")
    assert resumed["weights"] == whole["weights"]
    assert other["weights"] != whole["weights"]  # else nothing was tested


def test_provenance_says_how_convolutions_were_formed(tmp_path, finds):
    finds("winograd")
    run(tmp_path / "run")
    session = json.loads((tmp_path / "run" / "provenance.json").read_text())["sessions"][-1]
    assert session["processor"]
    said = session["convolutions"]
    assert {key.split()[0] for key in said} == {"up", "pooled", "down", "change"}
    assert "winograd" in said.values()


def test_a_trained_run_is_tested_as_it_was_trained(tmp_path, finds):
    finds("winograd")
    run(tmp_path / "run")
    finds("direct")
    with load_run(tmp_path / "run") as loaded:
        assert "winograd" in loaded.bench.convolutions.by_work.values()


def test_two_processes_with_one_cache_choose_alike(tmp_path, finds):
    finds("winograd", "shared")
    first = run(tmp_path / "first")
    finds("direct", "shared")
    second = run(tmp_path / "second")
    assert first["weights"] == second["weights"]


def test_a_way_is_named_by_the_experiment_or_else_by_the_environment(monkeypatch, finds):
    finds("direct")
    assert isinstance(open_bench("reference:").convolutions.ways, Finds)
    monkeypatch.setenv(VARIABLE, "packed")
    assert open_bench("reference:").convolutions.ways == ByName("packed")
    assert open_bench("emulator:ideal").convolutions.ways == ByName("packed")
    assert open_bench("reference:", convolutions="winograd").convolutions.ways == ByName("winograd")
    assert isinstance(open_bench("reference:", convolutions="rule").convolutions.ways, ByRule)


def test_an_unknown_name_is_refused_with_those_there_are(monkeypatch):
    with pytest.raises(ValueError, match="convolutions: 'fast', expected one of measured, rule, direct, packed"):
        chooser("fast")
    monkeypatch.setenv(VARIABLE, "fast")
    with pytest.raises(ValueError, match=f"{VARIABLE}: 'fast', expected one of"):
        chooser()


@pytest.mark.parametrize(
    "address", ["reference:", "emulator:ideal", "serial:/dev/none", "rack:none.toml", "visa:GPIB::1"]
)
def test_an_unknown_name_is_refused_whatever_is_opened(address):
    with pytest.raises(ValueError, match="convolutions: 'nonsense', expected one of measured"):
        open_bench(address, convolutions="nonsense")


def test_experiments_know_the_names_that_counterparts_know():
    assert set(get_args(Settling.model_fields["convolutions"].annotation)) == set(convolutions.WANTED)


def test_a_name_given_now_counts_more_than_a_checkpoint(finds):
    finds("direct")
    told = Chosen(ByName("packed"))
    convolutions.take(told, {"machine": convolutions.machine(), "ways": {str(WORK): "winograd"}})
    assert not told.by_work


@pytest.mark.parametrize(
    "found",
    [None, [], {}, {"machine": "another"}, {"machine": None, "ways": {}}, {"ways": {"up": "direct"}}],
    ids=str,
)
def test_another_machines_or_damaged_choices_are_not_taken(found, finds):
    finds("direct")
    told = chooser()
    convolutions.take(told, found)
    assert not told.by_work


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b"null", b'{"ways": 3}', b'{"ways": {"up": "fast", "down": 4}}', b"\xff\xfe", b"[" * 99_999],
    ids=range(8),
)
def test_a_damaged_cache_is_measured_anew(tmp_path, content):
    file = CacheFile(tmp_path / "some.json", "here")
    file.path.write_bytes(content)
    with file.held() as known:
        assert known == {}
        known[str(WORK)] = "direct"
    assert file.read() == {str(WORK): "direct"}
    assert {path.name for path in tmp_path.iterdir()} <= {"some.json", "some.lock"}


@pytest.mark.parametrize("place", ["in a file", "full"])
def test_a_cache_that_cannot_be_written_hurts_nobody(tmp_path, place, monkeypatch):
    folder = tmp_path / "folder"
    if place == "in a file":
        folder.write_text("no folder")
    file = CacheFile(folder / "some.json", "here")
    if place == "full":
        monkeypatch.setattr(convolutions.platform, "replace", lambda *_: (_ for _ in ()).throw(OSError(28, "full")))
    with file.held() as known:
        assert (known is None) == (place == "in a file")
        if known is not None:
            known[str(WORK)] = "direct"
    assert file.read() == {}
    assert place == "in a file" or {path.name for path in folder.iterdir()} <= {"some.lock"}


@pytest.mark.parametrize(
    "error", [PermissionError(13, "denied"), OSError(30, "read-only"), Timeout("some.lock")], ids=repr
)
def test_what_is_known_is_taken_where_it_cannot_be_written(tmp_path, monkeypatch, error):
    file = CacheFile(tmp_path / "some.json", "here")
    with file.held() as known:
        known[str(WORK)] = "winograd"
    waits = []

    class Kept(FileLock):
        def acquire(self, *_, **__):
            waits.append(self.timeout)
            raise error

    monkeypatch.setattr(convolutions, "FileLock", Kept)
    ways, runs = Measured(file), dict.fromkeys(("direct", "winograd"), pytest.fail)
    assert ways.way(WORK, "direct", runs) == "winograd"
    assert ways.way(WORK._replace(samples=1), "direct", runs) == "direct"
    given_up = isinstance(error, Timeout)  # once is enough
    assert waits == [PATIENCE_S, 0 if given_up else PATIENCE_S]


def test_a_lock_that_was_left_in_a_folder_that_cannot_be_written_opens_nothing(tmp_path, monkeypatch):
    file = CacheFile(tmp_path / "some.json", "here")
    with file.held() as known:
        known[str(WORK)] = "winograd"
    (tmp_path / "some.lock").touch()
    monkeypatch.setattr(convolutions.os, "access", lambda path, mode: False)  # chmod does not bind an administrator
    with file.held() as known:
        assert known is None
    assert file.read() == {str(WORK): "winograd"}


def test_others_wait_longer_than_one_measures():
    assert PATIENCE_S > 60 * BUDGET_S


def test_a_model_saved_whole_has_nothing_of_this_machines_choices(tmp_path, monkeypatch):
    monkeypatch.delenv(VARIABLE, raising=False)
    here, there = (OfProcess(CacheFile(tmp_path / f"{name}.json", name)) for name in ("here", "there"))
    monkeypatch.setattr(convolutions, "measured", lambda: here)
    exp, saved = experiment(), io.BytesIO()
    with open_bench("reference:") as bench:
        dataset = load(exp.data, Path())
        model = build(exp, bench, dataset.shape, dataset.classes)
        with torch.no_grad():
            model(dataset.train.images[:4].float())
        told = bench.convolutions
        assert told.by_work
        assert copy.deepcopy(told).ways is here
        torch.save(model, saved)
    for word in (str(tmp_path), *told.by_work):
        assert word.encode() not in saved.getvalue()
    monkeypatch.setattr(convolutions, "measured", lambda: there)
    again = torch.load(io.BytesIO(saved.getvalue()), weights_only=False)
    array = next(module.array for module in again.modules() if hasattr(module, "array"))
    assert array.ways == Chosen(there)


def test_the_cache_is_the_users_and_named_after_the_machine(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    file = convolutions.cache_file()
    assert file.path.parent == Path(pooch.os_cache("crossbar-hil")) / "convolutions"
    if sys.platform.startswith("linux"):  # elsewhere the variable need not mean anything
        assert tmp_path in file.path.parents
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "OTHER")
    assert convolutions.cache_file().path != file.path
    assert torch.__version__ in file.about


def test_doctor_says_where_choices_are_kept_or_what_is_named(monkeypatch, tmp_path):
    monkeypatch.setattr(convolutions, "cache_file", lambda: CacheFile(tmp_path / "some.json", "here"))
    said = {finding.name: finding.value for finding in machine.processor()}
    assert said["convolutions"] == f"{VARIABLE}=rule"
    monkeypatch.delenv(VARIABLE)
    with convolutions.cache_file().held() as known:
        known[str(WORK)] = "direct"
    said = {finding.name: finding.value for finding in machine.processor()}
    assert said["convolutions"] == f"measured, 1 choices in {tmp_path / 'some.json'}"
    monkeypatch.setenv(VARIABLE, "fast")
    found = machine.convolutions()
    assert found.verdict == "missing"
    assert found.needed_for == "reference:, emulator:"
    assert "winograd_packed" in found.mend
