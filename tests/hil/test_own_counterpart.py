"""A counterpart from outside the package: opened by name, trained on, named in a bench file, refused in words."""

import sys

import pytest

import hil
from firmware_specs.registry import KINDS, lookup
from hil.cli import main
from hil.counterparts.opening.address import AddressError

TEXT = """
from hil import register
from hil.counterparts.reference import ReferenceBench

@register("counterparts", "mine")
def mine(address):
    if address == "mine:bad":
        raise ValueError("mine: bad is no place")
    return lambda told: ReferenceBench(told.stop, told.nudged_stop, address=address)
"""


@pytest.fixture
def mine(tmp_path, monkeypatch):
    monkeypatch.setattr(lookup, "_registered", {kind: {} for kind in KINDS})
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "mine.py").write_text(TEXT, encoding="utf-8")
    yield "mine"
    sys.modules.pop("mine", None)


def test_a_scheme_of_ones_own_is_opened_by_name(mine):
    hil.plugin(mine)
    with hil.open_bench("mine:somewhere") as bench:
        assert bench.address == "mine:somewhere"


def test_it_is_trained_on_and_stands_in_bench_files(mine, tmp_path, capsys):
    (tmp_path / "lab.toml").write_text("[devices.sim]\naddress = 'mine:here'\n", encoding="utf-8")
    small = [f"--set={s}" for s in ("data.train_samples=64", "run.epochs=1")]
    told = ["--plugin", mine, "--bench", str(tmp_path / "lab.toml"), "--device", "sim", *small]
    with pytest.raises(SystemExit) as ended:
        main(["train", "digits", "--run-dir", str(tmp_path / "run"), *told])
    assert ended.value.code == 0, capsys.readouterr().err


def test_without_the_plugin_the_scheme_is_unknown():
    with pytest.raises(AddressError, match="unknown scheme 'mine'"):
        hil.open_bench("mine:somewhere")


def test_shipped_schemes_are_listed_with_what_they_are(capsys):
    with pytest.raises(SystemExit):
        main(["list", "counterparts"])
    said = capsys.readouterr().out
    assert "emulator   A software chip with noise" in said and "bench      A device by its name" in said
