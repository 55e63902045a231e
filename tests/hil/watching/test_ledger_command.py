"""`hil ledger`: what a run and what a chip was asked to do, in words; what is not known is said to be."""

import json
import shutil
import time

import pytest

from drivers.accounts import life_file
from drivers.deed_file import DeedFile
from firmware_specs.datasheet import load
from firmware_specs.datasheet.energy import Energy
from firmware_specs.deeds import Deeds
from hil.cli import main
from hil.watching.chips import Life
from hil.watching.ledger import CellsHad, Kept, Ledger, of_run

SMALL = """
device = "emulator:reram?seed=3"
[data]
name = "digits"
train_samples = 100
test_samples = 20
[[blocks]]
feedforward = [{ kind = "flatten" }, { kind = "linear", units = 12 }]
[blocks.energy]
couplings = [{ kind = "dense", units = 8 }]
[run]
epochs = 2
batch = 50
"""


def run(*arguments):
    with pytest.raises(SystemExit) as done:
        main([str(argument) for argument in arguments])
    return done.value.code


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ledger")
    (folder / "small.toml").write_text(SMALL)
    assert run("train", folder / "small.toml", "--run-dir", folder / "run") == 0
    return folder / "run"


def test_a_run_in_process_is_counted_as_it_was(trained, capsys):
    """2 epochs of 2 batches of 50, each settled freely and again with two nudges; a test of 20 after each epoch."""
    found = of_run(trained)
    assert (found.total.free, found.total.nudged) == (2 * 2 * 50 * 2 + 2 * 20, 2 * 2 * 50 * 2)
    assert found.total.adc == 20 * (found.total.free + found.total.nudged)
    assert found.total.dac == 12 * found.total.free + 8 * found.total.nudged
    assert (
        found.stages["test"].free == 40
        and found.stages["test"].nudged == 0
        and set(found.stages) == {"training", "test"}
    )
    assert found.total.array_j > 0 and found.cells_j == pytest.approx(found.total.write_pulses * 1e-11, rel=1e-3)
    assert run("ledger", trained, "--json", trained / "l.json") == 0
    said = capsys.readouterr().out
    assert "440" in said and "not known: the datasheet has no figure" in said and "Horowitz" in said
    document = json.loads((trained / "l.json").read_text())
    document.pop("made_by", None)
    assert document == json.loads((trained / "summary.json").read_text())["ledger"]
    assert document["joules_a_sample"] == pytest.approx(document["known_j"] / 200)
    report = (trained / "report.html").read_text()
    for text in ("pulses and writes, in the cells", "time of nudged phases", "Over their lives as far as it is known"):
        assert text in report, text
    train = found.stages["training"]
    assert train.free_s == pytest.approx(train.nudged_s)
    assert train.free_j < train.nudged_j < 3 * train.free_j, "two nudges drive the outputs apart"
    assert document["a_sample"]["nudged_j"] == pytest.approx(found.total.nudged_j / 200)
    assert found.total.free_j + found.total.nudged_j == pytest.approx(found.total.array_j)
    assert found.stages["test"].nudged_s == found.stages["test"].nudged_j == 0


def test_the_maps_of_a_run_that_is_over_are_those_of_its_end(trained):
    """However short it was: the pulses that the page draws are those that the ledger counts."""
    (cells,) = json.loads((trained / "picture.json").read_text())["cells"].values()
    assert max(map(max, cells["pulses"])) == of_run(trained).most_pulses > 1


def test_what_a_resumed_run_did_is_in_one_stage_each(trained, tmp_path):
    shutil.copytree(trained, tmp_path / "run")
    before = of_run(tmp_path / "run")
    assert run("train", "--resume", "--run-dir", tmp_path / "run", "--set", "run.epochs=3") == 0
    found = of_run(tmp_path / "run")
    assert found.total.free == before.total.free + 2 * 50 * 2 + 20
    assert set(found.stages) == {"training", "test"}
    for name in Deeds().document():
        parts = sum(getattr(deeds, name) for deeds in found.stages.values())
        assert parts == pytest.approx(getattr(found.total, name), rel=1e-9), name


def test_a_chip_is_known_by_a_part_of_its_name(capsys, tmp_path, monkeypatch):
    monkeypatch.setenv("CROSSBAR_HIL_LEDGERS", str(tmp_path))
    with DeedFile(life_file("acme xbar, serial number 12")) as file:
        file.add(Deeds(pulses_up=12345))
    assert run("ledger", "xbar") == 0 and "12,345" in capsys.readouterr().out
    life_file("acme other").write_bytes(b"junk")
    assert run("ledger") == 0 and "is no count of deeds" in capsys.readouterr().out
    with DeedFile(life_file("acme old")) as file:
        file.add(Deeds(pulses_up=5))
    assert run("ledger", "old", "--datasheet", "ecram", "--json", tmp_path / "old.json") == 0
    assert json.loads((tmp_path / "old.json").read_text())["acme-old"]["since"] == pytest.approx(time.time(), abs=60)
    assert run("ledger", "nobody") == 2 and "neither the folder of a run nor a chip" in capsys.readouterr().err


def test_figures_of_the_datasheet_make_joules_and_a_missing_one_a_gap():
    kept = Kept(images=10, epochs=2, macs_a_phase=1000)
    done = Deeds(free=10, adc=1000, dac=500, device_s=2.0, array_j=1e-6)
    found = Ledger(done, kept=kept, energy=Energy(adc_j=1e-12, circuits_w=0.5, source="measured by us"))
    assert found.joules()["conversions to codes"] == pytest.approx(1e-9)
    assert found.joules()["other circuits"] == 1.0 and found.joules()["conversions to analog"] is None
    assert found.document()["joules_a_sample"] == pytest.approx(0.1, rel=1e-3)
    assert found.digital_j == pytest.approx(10 * 1000 * 20 * 4.6e-12)


def test_the_day_a_cell_is_worn_is_that_of_this_runs_rate():
    before, after = CellsHad(most_pulses=1000), CellsHad(most_pulses=1500)
    kept = Kept(cells={"a": after}, cells_before={"a": before}, started=1e9, updated=1e9 + 3600)
    assert Ledger(Deeds(), kept=kept, endurance=2000.0).worn_at == pytest.approx(1e9 + 2 * 3600)
    assert Ledger(Deeds(), kept=kept).worn_at is None


def test_a_chip_is_worn_at_the_mean_rate_of_its_life():
    """50 of 100 pulses in ten days: the rest takes ten days more."""
    now = time.time()
    life = Life("acme", Deeds(pulses_up=50), most_pulses=50, since=now - 10 * 86400)
    assert life.worn_at(100.0) == pytest.approx(now + 10 * 86400, abs=60)
    assert life.worn_at(None) is None and Life("acme", Deeds(), most_pulses=50).worn_at(100.0) is None


def test_figures_without_a_source_are_refused():
    sheet = load("ideal").model_dump(exclude_none=True) | {"energy": {"adc_j": 1e-12}}
    with pytest.raises(ValueError, match="say where they are from"):
        type(load("ideal")).model_validate(sheet)
