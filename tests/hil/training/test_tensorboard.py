"""Event files, read as TensorBoard reads them."""

import contextlib
import math
import sys

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch import nn

from hil.counterparts.reference import ReferenceBench
from hil.training.state import Position
from hil.training.tensorboard import EventFile


@pytest.fixture
def bench():
    with ReferenceBench() as opened:
        yield opened


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "run" / "tensorboard"


def position(step):
    return Position(step=step, images=8 * step, seconds=2.0 * step)


def steps(folder, bench, begin, numbers):
    with EventFile(folder, begin, bench) as events:
        for number in numbers:
            events.step(position(number), {"loss": 1.0 / number})


def shown(folder, *names):
    found = EventAccumulator(str(folder), purge_orphaned_data=True)
    found.Reload()
    return [[(event.step, event.value) for event in found.Scalars(name)] for name in names]


def test_every_step_is_shown_with_all_its_scalars(folder, bench):
    steps(folder, bench, 0, [1, 2, 4])
    loss, speed = shown(folder, "train/loss", "train/images_per_second")
    assert loss == [(1, 1.0), (2, 0.5), (4, 0.25)]
    assert speed == [(1, 4.0), (2, 4.0), (4, 4.0)]


def test_a_step_can_be_seen_before_the_file_is_closed(folder, bench):
    with EventFile(folder, 0, bench) as events:
        events.step(position(1), {"loss": 2.0})
        assert shown(folder, "train/loss") == [[(1, 2.0)]]


def test_what_an_earlier_session_wrote_beyond_the_checkpoint_is_hidden(folder, bench):
    steps(folder, bench, 0, [1, 2, 3])
    steps(folder, bench, 1, [2])
    assert shown(folder, "train/loss") == [[(1, 1.0), (2, 0.5)]]
    assert len(list(folder.iterdir())) == 2


def test_it_is_hidden_however_soon_the_next_session_comes(folder, bench, monkeypatch):
    """TensorBoard reads files in the order of their names."""
    for begin, now_ns, numbers in ((0, 1_800_000_000_099_000_000, [1, 2, 3]), (1, 1_800_000_000_101_000_000, [2])):
        monkeypatch.setattr("time.time_ns", lambda now_ns=now_ns: now_ns)
        steps(folder, bench, begin, numbers)
    assert shown(folder, "train/loss") == [[(1, 1.0), (2, 0.5)]]


def test_an_epoch_has_its_numbers_and_a_histogram_of_all_finite_weights(folder, bench):
    model = nn.Linear(3, 2)
    with torch.no_grad():
        model.weight.copy_(torch.tensor([[-1.0, 0.0, 0.5], [0.5, 0.5, 2.0]]))
        model.bias[0] = math.nan
    with EventFile(folder, 0, bench) as events:
        events.epoch(position(5), {"test_accuracy": 0.75, "weights": {"a": 1}, "epoch": 1}, model)
    found = EventAccumulator(str(folder))
    found.Reload()
    assert found.Tags()["scalars"] == ["epoch/test_accuracy"]
    assert found.Tags()["histograms"] == ["weight"]
    drawn = found.Histograms("weight")[0]
    value = drawn.histogram_value
    assert (drawn.step, value.num, value.min, value.max, value.sum) == (5, 6, -1.0, 2.0, 2.5)
    counts = {round(edge, 6): count for edge, count in zip(value.bucket_limit, value.bucket, strict=True) if count}
    assert sorted(counts.values()) == [1, 1, 1, 3]
    assert all(any(0 <= edge - weight <= 0.1 * abs(edge) for edge in counts) for weight in (-1.0, 0.0, 0.5, 2.0))


def test_values_that_are_not_finite_or_too_large_are_written_as_such(folder, bench):
    with EventFile(folder, 0, bench) as events:
        for number, value in enumerate((math.nan, math.inf, 1e300), 1):
            events.step(position(number), {"loss": value})
    ((_, nan), (_, infinite), (_, large)) = shown(folder, "train/loss")[0]
    assert math.isnan(nan) and infinite == large == math.inf


@pytest.mark.skipif(sys.platform == "win32", reason="a folder with an open file cannot be moved here")
def test_a_folder_that_is_moved_takes_its_file_along(folder, bench):
    """And another run's folder in its place gets nothing of it, however soon it comes."""
    run = folder.parent
    with EventFile(folder, 0, bench) as events:
        events.step(position(1), {"loss": 1.0})
        run.rename(moved := run.with_name("moved"))
        folder.mkdir(parents=True)
        for number in range(2, 40):
            events.step(position(number), {"loss": 1.0})
    assert list(folder.iterdir()) == []
    assert [step for step, _ in shown(moved / "tensorboard", "train/loss")[0]] == list(range(1, 40))


def test_a_device_with_outputs_has_its_file_before_a_cell_moves_and_is_said_to_be_busy(folder, bench):
    said = []

    class WithOutputs(ReferenceBench):
        @contextlib.contextmanager
        def busy(self, seconds):
            said.append(seconds)
            yield
            assert len(list(folder.iterdir())) == 1, "opened while it knows of it"

    with WithOutputs() as device, EventFile(folder, 0, device):
        assert said == [60.0]
    assert len(list(folder.iterdir())) == 1
