"""`hil train` where torch sees a GPU; the GPU is pretended (see `conftest`)."""

import json
import signal
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch

from drivers.crossbar import Crossbar
from drivers.framed import Framed
from drivers.link import FramedLink
from drivers.loopback import Loopback
from drivers.recording import Recorded
from drivers.session import Session
from emulator.chip import Chip
from emulator.device import Device
from emulator.machine import Machine
from emulator.serial_endpoint import SerialEndpoint
from firmware_specs.datasheet import load
from hil import data
from hil.counterparts.device import DeviceBench
from hil.counterparts.opening.bench import open_bench
from hil.data.augment import flip_and_crop
from hil.data.dataset import Dataset, Split
from hil.experiments import experiment_file
from hil.learning.gradients.comparison import at_rest
from hil.learning.loss import task
from hil.learning.model import build
from hil.training.loop import train
from hil.training.optimize import optimizer
from hil.training.ranks import joined
from hil.training.run import folder
from hil.training.state import Position, TrainState
from hil.training.stopping import stops

SETTINGS = ["data.train_samples=12", "data.test_samples=4", "run.epochs=1", "run.batch=6", "run.eval_batch=4"]


@pytest.fixture(autouse=True)
def small_data(monkeypatch):
    """Random images in the shape of every data set."""

    def source(name):
        shape, classes = data.FORMS[name]
        draws = torch.Generator().manual_seed(1)
        split = Split(
            torch.randint(0, 256, (16, *shape), generator=draws, dtype=torch.uint8),
            torch.randint(0, classes, (16,), generator=draws),
        )
        return lambda root: Dataset(name, split, split, classes, 255.0, (0.5,), (0.25,), flip_and_crop)

    monkeypatch.setattr(data, "source", source)


SMALL = (
    "blocks=[{feedforward=[{kind='flatten'},{kind='linear',units=7},{kind='batch_norm'}],"
    "energy={couplings=[{kind='dense',units=5}]}}]"
)


class Silent:
    def step(self, position, record):
        pass

    def epoch(self, position, record):
        pass


@contextmanager
def opened(name, *settings, bench=None):
    """What `hil train` opens before it trains."""
    experiment = experiment_file.load(name, [*SETTINGS, *settings])
    dataset, dtype = data.load(experiment.data, Path()), getattr(torch, experiment.run.dtype)
    (free, nudged) = stops(experiment.settle)
    with joined() as ranks:
        where = ranks.device
        with bench or open_bench(experiment.device, device=where, dtype=dtype, stop=free, nudged_stop=nudged) as bench:
            model = build(experiment, bench, dataset.shape, dataset.classes).to(where)
            assert {p.device.type for p in model.parameters()} == {where.type}
            yield experiment, model, bench, dataset, ranks


def run(path, name, *settings, stop_at=None, bench=None):
    """Trains as `hil train` does, to the end or to a step; the metrics."""
    asked = iter(range(1, 1000))
    with opened(name, *settings, bench=bench) as (experiment, model, bench, dataset, ranks):
        there = folder.reopen(path) if path.exists() else folder.start(path, experiment)
        stop = lambda: signal.SIGINT if next(asked) == stop_at else None  # noqa: E731
        train(experiment, model, bench, dataset, there, Silent(), stop, ranks)
    return [json.loads(line) for line in there.metrics.read_text().splitlines()]


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("digits", ["device='emulator:pcm'"]),
        ("digits", ["device='emulator:discrete-board'", "estimator.kind='random_sign'", "optimizer.kind='sgd'"]),
        ("digits", ["device='emulator:openmena-8x8-like'", "settle.max_iterations=3", SMALL]),
        ("digits", ["estimator={kind='coupled'}"]),
        ("digits", ["estimator={kind='unrolled'}"]),
        ("mnist-dense", ["estimator={kind='implicit'}"]),
        ("mnist-conv", ["device='reference:?arithmetic=mixed'"]),
        ("mnist-conv", ["device='emulator:mixed-8bit'"]),
        ("mnist-resistive", []),
        ("mnist-resistive", ["device='emulator:resistive-ideal'"]),
        ("mnist-cells", ["update.kind='pulsed'", "device='emulator:reram'", "update.refresh_every=1"]),
        ("mnist-cells", ["update.kind='pulsed'", "device='emulator:ecram'", "update.refresh_every=1"]),
        ("mnist-cells", ["update.kind='coincidence'", "device='emulator:ecram'"]),
        ("dchn-digits", ["estimator.jumps='one_sided'"]),
        ("residual-digits", ["estimator.nudge='reevaluated'"]),
        ("cifar10-narrow-3block", []),
    ],
)
def test_an_experiment_trains_and_goes_on_from_its_checkpoint_there(gpu, tmp_path, name, settings):
    settings = ["settle.max_iterations=9", *settings]  # where it computes is seen in every sweep, and after eight
    stopped = run(tmp_path / "run", name, *settings, stop_at=1)
    assert [m["kind"] for m in stopped] == ["step"]
    assert [m["kind"] for m in run(tmp_path / "run", name, *settings)] == ["step", "step", "epoch"]
    session = json.loads((tmp_path / "run" / "provenance.json").read_text())["sessions"][1]
    assert session["torch_device"] == "cuda:0"
    assert not torch.backends.cudnn.allow_tf32


@pytest.mark.parametrize(
    ("name", "device"), [("digits", "reference:"), ("dchn-digits", "reference:"), ("digits", "emulator:mixed-8bit")]
)
def test_it_learns_what_it_learns_on_the_cpu(pretended, tmp_path, name, device):
    settings = [f"device='{device}'", "run.dtype='float64'", "settle.tolerance=0.0", "settle.max_iterations=12"]
    here = run(tmp_path / "cpu", name, *settings)
    with pretended():
        there = run(tmp_path / "gpu", name, *settings)
    for mine, theirs in zip(here, there, strict=True):
        numbers = {key: value for key, value in mine.items() if isinstance(value, float)}
        norms = {key for key in numbers if key.startswith("gradient_norm")}
        assert {k: theirs[k] for k in numbers.keys() - norms} == pytest.approx(
            {k: numbers[k] for k in numbers.keys() - norms}, rel=1e-6
        )
        # where a state lies between two codes of a converter, the last bit decides which: one code in all gradients
        within = 1e-6 if device == "reference:" else 1e-3
        assert {k: theirs[k] for k in norms} == pytest.approx({k: numbers[k] for k in norms}, rel=within)


@pytest.mark.parametrize("sheet", ["mixed-8bit", "openmena-8x8-like", "resistive-board"])
def test_a_device_behind_a_wire_answers_in_tensors_of_the_gpu(gpu, tmp_path, sheet):
    link = FramedLink(
        Recorded(Loopback(SerialEndpoint(Machine(Device(Chip(load(sheet), 0))), "a").feed, "a")), owner="a"
    )
    crossbar = Crossbar(Session(Framed(link), watchdog_s=60.0))
    bench = DeviceBench(crossbar, "loopback", load(sheet))
    name, more = ("mnist-resistive", "run.seed=1") if sheet == "resistive-board" else ("digits", SMALL)
    metrics = run(tmp_path / "run", name, "settle.max_iterations=3", more, bench=bench)
    assert [m["kind"] for m in metrics] == ["step", "step", "epoch"]


def test_a_step_that_failed_half_way_is_undone_there(gpu):
    with opened("digits", "device='emulator:mixed-8bit'") as (experiment, model, bench, dataset, ranks):
        state = TrainState(model, optimizer(experiment.optimizer, model.parameters()), bench, Position())
        images = dataset.prepare(dataset.train.images, ranks.device, torch.float32)
        first = model(images)
        before = state.before_step()
        second = model(images)
        state.undo_step(before)
        assert torch.equal(model(images), second)
        assert not torch.equal(first, second)


def test_the_gradient_study_runs_there(gpu):
    with opened("residual-digits", "run.dtype='float64'", "settle.tolerance=1e-10", "settle.max_iterations=500") as (
        experiment,
        model,
        _,
        dataset,
        ranks,
    ):
        images = dataset.prepare(dataset.train.images[:4], ranks.device, torch.float64)
        labels = dataset.train.labels[:4].to(ranks.device)
        for found in at_rest(model, task(experiment.loss).loss, images, labels):
            assert found.cosine > 0.9


def test_two_processes_that_share_one_gpu_stay_on_the_cpu(gpu, monkeypatch):
    with joined() as alone:
        assert alone.device.type == "cuda"
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    with joined() as sharing:
        assert sharing.device.type == "cpu"
