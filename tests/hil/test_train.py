import errno
import json
import random
import signal
import sys
import threading
import time
import traceback
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from drivers.errors import LinkTimeout
from hil import data
from hil.cli import main
from hil.counterparts.opening.bench import open_bench
from hil.experiments.schema import Experiment
from hil.learning.model import build
from hil.training.loop import train
from hil.training.run import checkpoint, folder, interrupt, metrics
from hil.training.run.folder import RunError
from hil.training.run.interrupt import StopRequest

BLOCK = {
    "feedforward": [{"kind": "flatten"}, {"kind": "linear", "units": 12}, {"kind": "batch_norm"}],
    "energy": {"couplings": [{"kind": "dense", "units": 8}]},
}


def experiment(**more):
    run = {"epochs": 2, "batch": 50, "eval_batch": 20, "keep_checkpoints": 9} | more.pop("run", {})
    document = {
        "data": {"name": "digits", "train_samples": 230, "test_samples": 30},
        "device": "emulator:mixed-8bit?seed=4",
        "blocks": [BLOCK],
        "optimizer": {"lr": 0.01},
        "schedule": {"kind": "cosine", "per": "step"},
        "run": run,
    }
    return Experiment.model_validate(document | more)


class Silent:
    def step(self, position, record):
        pass

    def epoch(self, position, record):
        pass


def run(exp, path, *, stop_at=None, bench=None, stop=None, augment=None):
    """Trains in process; a stop as Ctrl-C gives it after step `stop_at`, or as `stop` says."""
    opened = folder.reopen(path) if path.exists() else folder.start(path, exp)
    bench = bench or open_bench(exp.device)
    asked = iter(range(1, 10_000))
    stop = stop or (lambda: signal.SIGINT if next(asked) == stop_at else None)
    dataset = replace(data.load(exp.data, Path()), augment=augment)
    model = build(exp, bench, dataset.shape, dataset.classes)
    return train(exp, model, bench, dataset, opened, Silent(), stop)


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"device": "reference:", "estimator": {"kind": "random_sign"}, "optimizer": {"kind": "sgd", "lr": 0.05}},
        {"device": "emulator:reram", "update": {"kind": "agad", "lines": 5, "chop": 2}},
    ],
    ids=["emulator, adam", "reference, random sign, sgd", "emulator, two arrays by pulses"],
)
def test_a_run_stopped_anywhere_and_resumed_is_the_unbroken_run(tmp_path, more):
    exp = experiment(**more)
    whole = run(exp, tmp_path / "whole")
    for stop_at in (1, 4, 5, 9):  # first step, before and at the end of an epoch, in the last one
        path = tmp_path / f"broken_{stop_at}"
        stopped = run(exp, path, stop_at=stop_at)
        assert stopped.signal == signal.SIGINT
        assert stopped.summary["steps"] == stop_at
        resumed = run(exp, path)
        assert resumed.summary["weights"] == whole.summary["weights"]
        assert (path / "metrics.jsonl").read_bytes() == (tmp_path / "whole" / "metrics.jsonl").read_bytes()


def command(path, *more):
    return ["train", str(path.parent / "small.toml"), "--run-dir", str(path), "--set", "run.checkpoint_every=1", *more]


@pytest.fixture
def small(tmp_path):
    from hil.experiments.experiment_file import dump

    (tmp_path / "small.toml").write_text(dump(experiment(run={"epochs": 3, "checkpoint_every": 1})))
    return tmp_path


KILLED = """
import os, random, signal, sys, threading
from hil.cli import main
from hil.training.run import checkpoint

written, at = checkpoint.write, int(sys.argv.pop(1))

def write(folder, step, *more):
    written(folder, step, *more)
    if step == at:
        threading.Timer(random.uniform(0.0, 0.02), os.kill, (os.getpid(), signal.SIGKILL)).start()

checkpoint.write = write
main(sys.argv[1:])
"""
"""The command, killed at some moment after the checkpoint of a step, however busy the machine is."""


def kill_at_step(python, path, step, *more):
    """Runs `hil train` in a process of its own, which is killed -9 once the checkpoint of a step is there."""
    child = python.popen(["-c", KILLED, str(step), *command(path, *more)])
    assert child.wait() == -signal.SIGKILL
    assert not (path / "summary.json").exists()


def test_a_run_killed_twice_at_random_steps_goes_on_bit_exactly(python, small):
    main_exits_ok(command(small / "whole"))
    first, second = sorted(random.sample(range(1, 14), 2))
    print(f"killed at {first} and {second}")
    kill_at_step(python, small / "broken", first)
    kill_at_step(python, small / "broken", second, "--resume")
    main_exits_ok(command(small / "broken", "--resume"))
    whole, broken = (json.loads((small / name / "summary.json").read_text()) for name in ("whole", "broken"))
    assert broken["weights"] == whole["weights"]
    assert (small / "broken" / "metrics.jsonl").read_bytes() == (small / "whole" / "metrics.jsonl").read_bytes()
    sessions = json.loads((small / "broken" / "provenance.json").read_text())["sessions"]
    assert len(sessions) == 3
    assert 0 == sessions[0]["from_step"] <= sessions[1]["from_step"] <= sessions[2]["from_step"]


def test_a_run_killed_while_its_first_checkpoint_was_written_starts_over(small):
    main_exits_ok(command(small / "run", "--set", "run.epochs=1"))
    whole = json.loads((small / "run" / "summary.json").read_text())["weights"]
    folder = small / "run" / "checkpoints"
    first, *others = sorted(folder.glob("*.safetensors"))
    for file in [*folder.glob("*.json"), *others]:
        file.unlink()
    marker = small / "run" / ".crossbar-hil"
    marker.write_text(json.dumps(json.loads(marker.read_text()) | {"checkpointed": False}))
    assert first.is_file()
    main_exits_ok(command(small / "run", "--resume"))
    assert json.loads((small / "run" / "summary.json").read_text())["weights"] == whole


def main_exits_ok(arguments):
    with pytest.raises(SystemExit) as done:
        main(arguments)
    assert done.value.code == 0


@pytest.mark.parametrize("damage", ["cut tensors", "cut facts", "no tensors"])
def test_a_damaged_newest_checkpoint_falls_back_to_the_one_before(tmp_path, damage):
    exp = experiment(run={"checkpoint_every": 2})
    whole = run(exp, tmp_path / "whole")
    path = tmp_path / "broken"
    run(exp, path, stop_at=7)
    newest = sorted((path / "checkpoints").glob("*.json"))[-1]
    tensors = newest.with_suffix(".safetensors")
    match damage:
        case "cut tensors":
            tensors.write_bytes(tensors.read_bytes()[:-1])
        case "cut facts":
            newest.write_bytes(newest.read_bytes()[:-20])
        case "no tensors":
            tensors.unlink()
    assert checkpoint.newest(path / "checkpoints").facts["position"]["step"] == 6
    assert run(exp, path).summary["weights"] == whole.summary["weights"]


def timeout():
    raise LinkTimeout("settle was not answered within 2 s", device="serial:/dev/x", todo="Check the cable")


class Failing:
    """A bench whose arrays stop answering at one settle."""

    def __init__(self, address, at, fault=None):
        self.inner, self.left, self.fault = open_bench(address), at, fault or timeout

    def __getattr__(self, name):
        return getattr(self.inner, name)

    def place(self, topology):
        array = self.inner.place(topology)
        settle = array.settle

        def failing(*arguments):
            self.left -= 1
            if self.left == 0:
                self.fault()
            return settle(*arguments)

        array.settle = failing
        return array


@pytest.mark.parametrize("address", ["reference:", "emulator:mixed-8bit"])
@pytest.mark.parametrize(
    ("settle", "step"), [(5, 2), (6, 2), (11, 5)], ids=["free phase", "nudged phase", "test after the epoch"]
)
def test_a_device_failure_leaves_a_checkpoint_of_the_last_whole_step(tmp_path, address, settle, step):
    exp = experiment(device=address)
    whole = run(exp, tmp_path / "whole")
    path = tmp_path / "failed"
    with pytest.raises(LinkTimeout):
        run(exp, path, bench=Failing(address, settle))
    assert checkpoint.newest(path / "checkpoints").facts["position"]["step"] == step
    assert run(exp, path).summary["weights"] == whole.summary["weights"]
    assert (path / "metrics.jsonl").read_bytes() == (tmp_path / "whole" / "metrics.jsonl").read_bytes()


def test_a_second_signal_breaks_off_the_step_and_the_run_goes_on_from_the_one_before(tmp_path):
    exp = experiment()
    whole = run(exp, tmp_path / "whole")
    path = tmp_path / "broken"
    with StopRequest() as stop, pytest.raises(KeyboardInterrupt):

        def both_signals():
            signal.raise_signal(signal.SIGTERM)
            signal.raise_signal(signal.SIGINT)

        run(exp, path, bench=Failing(exp.device, 6, both_signals))
    assert stop.signal == signal.SIGTERM
    assert checkpoint.newest(path / "checkpoints").facts["position"]["step"] == 2
    assert run(exp, path).summary["weights"] == whole.summary["weights"]


def test_what_is_written_after_a_step_was_broken_off_is_not_broken_off_by_more_signals(tmp_path, monkeypatch):
    exp = experiment()
    path, written = tmp_path / "broken", []
    whole = checkpoint.write

    def written_slowly(*args, **options):
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGINT):
            signal.raise_signal(number)
        whole(*args, **options)
        written.append(args)

    with StopRequest() as stop:

        def twice():
            monkeypatch.setattr(checkpoint, "write", written_slowly)
            signal.raise_signal(signal.SIGTERM)
            signal.raise_signal(signal.SIGINT)

        with pytest.raises(KeyboardInterrupt):
            run(exp, path, bench=Failing(exp.device, 6, twice))
        assert written and stop.signal == signal.SIGTERM
        assert checkpoint.newest(path / "checkpoints").facts["position"]["step"] == 2
        later = time.monotonic() + interrupt.QUIET_S
        monkeypatch.setattr(interrupt.time, "monotonic", lambda: later)
        with pytest.raises(KeyboardInterrupt):  # what takes as long as this may be told to end
            signal.raise_signal(signal.SIGINT)


class SlowSource:
    """A data set that sends a second Ctrl-C once the training waits for nothing but the batch it still reads."""

    def __init__(self, at):
        self.left, self.main, self.done = at, threading.get_ident(), threading.Event()

    def __call__(self, images, generator):
        self.left -= 1
        if self.left == 0:
            while not any("shutdown" in called.name for called in self.called()):
                time.sleep(0.001)
            signal.pthread_kill(self.main, signal.SIGINT)
            self.done.wait(30)
        return images

    def called(self):
        return traceback.extract_stack(sys._current_frames()[self.main])


def test_a_second_signal_while_the_next_batch_is_waited_for_is_not_lost(tmp_path):
    exp = experiment()
    whole = run(exp, tmp_path / "whole")
    path, source = tmp_path / "broken", SlowSource(at=4)
    once = Failing(exp.device, 6, lambda: signal.raise_signal(signal.SIGTERM))
    with StopRequest() as stop, pytest.raises(KeyboardInterrupt):
        try:
            run(exp, path, bench=once, stop=lambda: stop.signal, augment=source)
        finally:
            source.done.set()
    assert checkpoint.newest(path / "checkpoints").facts["position"]["step"] == 3
    assert run(exp, path).summary["weights"] == whole.summary["weights"]


def test_a_step_that_outlasts_a_signal_is_broken_off_after_the_grace():
    with StopRequest() as stop, pytest.raises(KeyboardInterrupt):
        stop.hurry_s = 0.01
        signal.raise_signal(signal.SIGTERM)
        assert stop.signal == signal.SIGTERM
        signal.pause()
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)


def test_a_full_disk_is_told_by_what_ended_the_run_and_not_by_its_report(tmp_path, monkeypatch, capsys):
    def full(name):
        raise OSError(errno.ENOSPC, "No space left on device", name)

    def filling(experiment, model, bench, dataset, opened, *rest):
        opened.metrics.write_text("{}\n")
        full("step_000000002.safetensors")

    monkeypatch.setattr("hil.training.loop.train", filling)
    monkeypatch.setattr("hil.report.training.write_report", lambda opened: full("report.html"))
    with pytest.raises(SystemExit) as caught:
        main(["train", "digits", "--run-dir", str(tmp_path / "run")])
    assert caught.value.code == 2
    assert "cannot read or write step_000000002.safetensors: No space left" in capsys.readouterr().err


def test_a_first_step_waits_neither_for_plotting_nor_for_tensorboard_nor_for_export(small, monkeypatch):
    from hil.training import loop

    step = loop.step
    later = ("matplotlib", "hil.report.training", "tensorboard", "torch.utils.tensorboard", "torch.onnx")
    unavailable = pytest.MonkeyPatch()

    def first(*given):
        unavailable.undo()
        monkeypatch.setattr(loop, "step", step)
        return step(*given)

    monkeypatch.setattr(loop, "step", first)
    for module in later:
        unavailable.setitem(sys.modules, module, None)  # from here on an import of it is an error
    try:
        main_exits_ok(command(small / "run", "--set", "run.epochs=1"))
    finally:
        unavailable.undo()
    assert loop.step is step
    assert (small / "run" / "report.html").is_file()
    assert any((small / "run" / "tensorboard").iterdir())


def test_a_diverging_run_stops_with_advice(tmp_path):
    with pytest.raises(RunError, match=r"diverged at step \d+: .*Lower optimizer\.lr"):
        run(experiment(device="reference:", loss="mse", optimizer={"kind": "sgd", "lr": 1e18}), tmp_path / "run")


def test_the_run_folder_holds_what_the_design_promises(small):
    path = small / "run"
    main_exits_ok(command(path, "--json", str(small / "out.json"), "--set", "run.seed=7"))
    summary = json.loads((small / "out.json").read_text())
    assert summary.pop("made_by") == "crossbar-hil"
    assert summary == json.loads((path / "summary.json").read_text())
    assert 0 <= summary["test_accuracy"] <= 1
    assert (summary["epochs"], summary["steps"], summary["seed"]) == (3, 15, 7)
    assert summary["device"] == "emulator:mixed-8bit?seed=4"
    assert summary["seconds"] > 0
    assert summary["images_per_second"] > 0
    records = metrics.read(path / "metrics.jsonl")
    assert [r["step"] for r in records if r["kind"] == "step"] == list(range(1, 16))
    assert all(0 <= r["settled"] <= 1 and 0 <= r["clipped"] <= 1 for r in records if r["kind"] == "step")
    confusion = torch.tensor(json.loads((path / "evaluation.json").read_text())["confusion"])
    assert confusion.sum() == 30
    assert int(confusion.trace()) == round(summary["test_accuracy"] * 30)
    assert list((path / "tensorboard").glob("events.*"))
    session = json.loads((path / "provenance.json").read_text())["sessions"][0]
    assert session["counterpart"]["model"] == "mixed-8bit"
    assert session["seed"] == 7


def refused(arguments, capsys, code=2):
    with pytest.raises(SystemExit) as done:
        main(arguments)
    error = capsys.readouterr().err
    assert done.value.code == code
    assert error.startswith("hil: ")
    assert error.count("\n") == 1
    return error


def test_a_run_folder_is_never_lost_by_accident(small, capsys):
    path = small / "run"
    main_exits_ok(command(path, "--set", "run.epochs=1"))
    capsys.readouterr()
    assert "--resume goes on with it, --overwrite replaces it" in refused(command(path), capsys)
    error = refused(command(path, "--resume", "--set", "optimizer.lr=0.5"), capsys)
    assert "optimizer.lr: " in error and " -> 0.5" in error
    assert "holds no run to resume" in refused(command(small / "other", "--resume"), capsys)
    foreign = small / "photos"
    foreign.mkdir()
    (foreign / "cat.jpg").write_bytes(b"cat")
    assert "is not a run folder" in refused(command(foreign, "--overwrite"), capsys)
    assert (foreign / "cat.jpg").exists()
    main_exits_ok(command(path, "--overwrite", "--set", "run.epochs=1"))


def test_a_folder_that_cannot_be_made_is_one_line_and_exit_code_2(small, capsys):
    (small / "file").write_text("")
    error = refused(["train", "digits", "--run-dir", str(small / "file" / "run")], capsys)
    assert error == f"hil: cannot read or write {small}/file/run: Not a directory\n"


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["train", "nothing"], "neither a shipped experiment"),
        (["train", "digits", "--set", "run.epochs=0"], "run.epochs"),
        (["train", "digits", "--device", "usb"], "is not an address"),
        (["train", "iris", "--device", "rack:"], "a rack in a file is rack:FILE"),
        (["train", "digits", "--device", "ideal?seed=1"], "Did you mean emulator:ideal?seed=1?"),
        (["train", "digits", "--device", "/dev/ttyUSB0"], "Did you mean serial:/dev/ttyUSB0?"),
        (["train", "digits", "--device", "emulator:resistive-ideal"], "blocks.0.energy: does not fit resistive-ideal"),
        (["train", "digits", "--device", "emulator:none"], "neither a shipped datasheet"),
        (["train", "digits", "--device", "emulator:ideal?speed=3"], "unknown option speed"),
        (["train", "mnist-dense", "--data-root", "nowhere"], "train-images-idx3-ubyte[.gz] is missing"),
        (["train", "digits", "--set", "data.name=cats"], "'cats' is not a data set"),
        (["report", "nowhere"], "nowhere: there is no such folder: make one with"),
        (
            ["characterize", "--device", "emulator:ideal", "--out", "runs", "--plan", "none.toml"],
            "none.toml: not readable",
        ),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(arguments, expected, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert expected in refused(arguments, capsys)
    assert not (tmp_path / "runs").exists()
