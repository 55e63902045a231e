"""One thread where more are not faster, and not where somebody asked for a number."""

import pytest
import torch

from firmware_specs.chains import dense_chain
from hil.counterparts.opening.bench import open_bench
from hil.learning.block import EnergyBlock
from hil.training import threads


@pytest.fixture
def four(monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    before = torch.get_num_threads()
    torch.set_num_threads(4)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def model():
    with open_bench("reference:") as bench:
        yield torch.nn.Sequential(EnergyBlock(dense_chain([64, 16]), bench))


def timed(monkeypatch, one, many):
    """What the looks at the clock are to find."""

    def fastest(work, number):
        torch.set_num_threads(number)
        return one if number == 1 else many

    monkeypatch.setattr(threads, "_fastest", fastest)


def test_one_thread_is_taken_and_said_where_more_are_not_faster(four, model, monkeypatch):
    timed(monkeypatch, 1.0, 0.95)
    said = threads.choose(model, 32)
    assert (torch.get_num_threads(), "on one thread: 4 are not faster" in said) == (1, True)


def test_more_are_kept_where_they_are_faster(four, model, monkeypatch):
    timed(monkeypatch, 1.0, 0.5)
    assert (threads.choose(model, 32), torch.get_num_threads()) == ("", 4)


def test_the_environment_and_the_run_that_goes_on_decide_themselves(four, model, monkeypatch, tmp_path):
    timed(monkeypatch, 1.0, 2.0)
    (tmp_path / "provenance.json").write_text('{"sessions": [{"threads": 2}, {"threads": 3}]}', encoding="utf-8")
    assert (threads.choose(model, 32, tmp_path), torch.get_num_threads()) == ("", 2)
    torch.set_num_threads(4)
    monkeypatch.setenv("OMP_NUM_THREADS", "4")
    assert (threads.choose(model, 32), torch.get_num_threads()) == ("", 4)


def test_the_clock_is_really_looked_at(four, model):
    threads.choose(model, 32)
    assert torch.get_num_threads() in (1, 4)


def test_large_layers_are_not_timed(four, monkeypatch):
    monkeypatch.setattr(threads, "_fastest", lambda *_: pytest.fail("timed"))
    with open_bench("reference:") as bench:
        big = torch.nn.Sequential(EnergyBlock(dense_chain([1024, 1024]), bench))
        assert threads.choose(big, 64) == ""
