"""The garbage collector while modules are loaded, and while a command works."""

import gc
import weakref

import pytest

from hil.cli import main
from hil.training import garbage, threads


class Ring:
    """What only the collector takes away."""

    def __init__(self) -> None:
        self.itself = self


def test_nothing_is_collected_while_loading_and_everything_after_it() -> None:
    with pytest.raises(ImportError), garbage.loading():
        assert not gc.isenabled()
        raise ImportError("an extra is missing")
    assert gc.isenabled()


def test_loading_leaves_a_collector_off_that_was_off() -> None:
    gc.disable()
    try:
        with garbage.loading():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()


@pytest.fixture
def nothing_kept(monkeypatch):
    """The suite itself keeps what it has collected, and does not count it."""
    monkeypatch.setattr(gc, "get_freeze_count", gc.get_freeze_count.__wrapped__)
    gc.unfreeze()
    yield
    gc.freeze()


def test_work_within_work_ends_nothing_of_the_outer(nothing_kept) -> None:
    with garbage.kept():
        kept = gc.get_freeze_count()
        with garbage.kept():
            pass
        assert gc.get_freeze_count() == kept > 0
    assert gc.get_freeze_count() == 0


def test_what_becomes_garbage_during_work_goes_and_what_was_there_waits(nothing_kept) -> None:
    before = Ring()
    was = weakref.ref(before)
    with garbage.kept():
        new = Ring()
        made = weakref.ref(new)
        del new, before
        gc.collect()
        assert made() is None and was() is not None
    gc.collect()
    assert was() is None


def test_a_training_keeps_what_was_there_until_its_end(nothing_kept, monkeypatch, tmp_path) -> None:
    kept, form = list[int](), threads.form_beside
    monkeypatch.setattr(threads, "form_beside", lambda model: (kept.append(gc.get_freeze_count()), form(model)))
    told = ("run.epochs=1", "data.train_samples=32", "data.test_samples=16")
    with pytest.raises(SystemExit) as ended:
        main(["train", "digits", "--run-dir", str(tmp_path / "run"), *(f"--set={each}" for each in told)])
    assert ended.value.code == 0
    assert len(kept) == 1 and kept[0] > 0
    assert gc.get_freeze_count() == 0
