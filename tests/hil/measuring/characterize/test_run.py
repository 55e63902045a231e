"""Characterizations: resumed without a repeated pulse, refused where they must be, written so that others can read."""

import csv
import json
import shutil
from types import SimpleNamespace

import numpy as np
import pytest
import xarray as xr
from typer.testing import CliRunner

from drivers.errors import LinkLost
from emulator import device
from emulator.chip import Chip
from firmware_specs.codes import Capability
from firmware_specs.datasheet import Datasheet, load
from firmware_specs.datasheet.pulses import Pulses
from hil.cli import build_app, main
from hil.counterparts.opening.wire import crossbar_of_chip
from hil.measuring.characterize import distance, plan, run, steps, store
from hil.measuring.characterize.items import (
    Drift,
    Found,
    NudgeLinearity,
    Programming,
    PulseResponse,
    ReadNoise,
    SettleTime,
    Transfer,
)
from hil.measuring.characterize.store import Store
from hil.measuring.twins import of_device as twin
from hil.report.characterization import write_comparison, write_report

SMALL = plan.Plan(
    rows=6,
    columns=4,
    found=Found(),
    programming=Programming(levels=(0.2, 0.8, 0.5), reads=2),
    drift=Drift(ages_s=(1.0, 10.0, 100.0)),
    pulse_response=PulseResponse(groups=4, pulses=2),
)


class Cut(BaseException):
    """The cable, or the power."""


def measure(chip, folder, what=SMALL, sheet=None):
    with crossbar_of_chip(chip) as crossbar:
        return run.characterize(crossbar, what, folder, sheet)


@pytest.fixture(scope="session")
def whole(tmp_path_factory):
    """A chip measured to the end, once for all: folder, chip, findings, and what its cells and clock said then."""
    folder, chip = tmp_path_factory.mktemp("whole") / "run", Chip(load("ecram"), seed=1)
    found = measure(chip, folder)
    return SimpleNamespace(
        folder=folder, chip=chip, found=found, taken=chip.usage(0, 0)[0].numpy().copy(), clock_s=chip.conditions.clock_s
    )


@pytest.fixture
def finished(whole, tmp_path):
    """Its folder, to write in."""
    return shutil.copytree(whole.folder, tmp_path / "run")


def cut_at(monkeypatch, owner, name, count, after):
    """Lets the call with this number end the program, before or after it did its work."""
    sound, calls = getattr(owner, name), []

    def cutting(*arguments, **more):
        calls.append(1)
        if len(calls) == count and not after:
            raise Cut
        result = sound(*arguments, **more)
        if len(calls) == count:
            raise Cut
        return result

    monkeypatch.setattr(owner, name, cutting)


@pytest.mark.usefixtures("unpublished")
def test_an_offset_agrees_as_far_as_the_datasheet_says_that_the_converters_bow(tmp_path):
    sheet = load("reram")
    straight = {
        key: value | {"inl_lsb": 0.0, "dnl_lsb": 0.0}
        for key, value in sheet.model_dump().items()
        if key.endswith(("dac", "adc"))
    }
    only = plan.Plan(rows=8, columns=8, transfer=Transfer(points=17, repeats=4))
    verdicts = [
        measure(Chip(sheet, 3), tmp_path / name, only, stated)["transfer.offset"].verdict
        for name, stated in (("own", sheet), ("straight", Datasheet.model_validate(sheet.model_dump() | straight)))
    ]
    assert verdicts == ["agrees", "differs"]


@pytest.mark.usefixtures("unpublished")
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize(
    ("owner", "name", "count"),
    [(steps.Pulses, "apply", 1), (steps.Pulses, "apply", 6), (Store, "keep", 8), (Store, "intend", 9),
     (steps.Wait, "apply", 2)],
)  # fmt: skip
def test_cut_off_anywhere_it_goes_on_without_a_repeated_pulse(owner, name, count, after, whole, tmp_path, monkeypatch):
    broken = Chip(load("ecram"), seed=1)
    with monkeypatch.context() as patch, pytest.raises(Cut):
        cut_at(patch, owner, name, count, after)
        measure(broken, tmp_path / "broken")
    measure(broken, tmp_path / "broken")
    taken = [whole.taken, broken.usage(0, 0)[0].numpy()]
    rewritten = 1 if owner is Store else 0  # a write that was cut off is made again, pulses never
    assert np.all(taken[1] >= taken[0])
    assert np.all(taken[1] - taken[0] <= rewritten)
    assert broken.conditions.clock_s == pytest.approx(whole.clock_s, abs=1.0)


def test_a_finished_characterization_is_not_measured_again(whole, finished):
    second = measure(whole.chip, finished)
    assert np.array_equal(whole.chip.usage(0, 0)[0].numpy(), whole.taken)
    assert [f.measured for f in whole.found.figures] == [f.measured for f in second.figures]


def test_what_was_measured_so_far_can_be_read_while_it_goes_on(tmp_path, monkeypatch):
    monkeypatch.setattr(store, "PUBLISH_S", 0.0)
    seen = []

    def look(name, number, count):
        if 0 < number < count:
            seen.append(xr.load_dataset(tmp_path / "run" / f"{name}.nc", engine="h5netcdf").sizes["step"] - number)

    only = plan.Plan(rows=2, columns=2, programming=Programming(levels=(0.2, 0.8, 0.5), reads=2))
    with crossbar_of_chip(Chip(load("ecram"), seed=1)) as crossbar:
        run.characterize(crossbar, only, tmp_path / "run", progress=look)
    assert len(seen) >= 2 and set(seen) == {0}


def test_another_chip_or_plan_is_refused_by_name(finished):
    with pytest.raises(run.ChipError, match="seed-2"):
        measure(Chip(load("ecram"), seed=2), finished)
    with pytest.raises(run.ChipError, match="another plan"):
        measure(Chip(load("ecram"), seed=1), finished, SMALL.model_copy(update={"rows": 4}))


def test_a_plan_beyond_its_pulse_budget_is_refused_before_anything_is_written(tmp_path):
    chip = Chip(load("ecram"), seed=1)
    with pytest.raises(plan.PlanError, match=r"pulse_response 17"):
        measure(chip, tmp_path / "run", SMALL.model_copy(update={"pulse_budget": 10}))
    assert not chip.arrays, "nothing was placed"
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("text", "match"),
    [("nosuch = 1", "nosuch: unknown key"), ("rows = 1", "rows"), ("[drift]\nages_s = [1.0]", "drift.ages_s"),
     ("rows = ", "not TOML")],
)  # fmt: skip
def test_a_bad_plan_is_refused_with_file_and_key(text, match, tmp_path):
    path = tmp_path / "plan.toml"
    path.write_text(text)
    with pytest.raises(plan.PlanError, match=match) as refusal:
        plan.load(path)
    assert str(path) in str(refusal.value)


def test_data_have_units_and_provenance_and_can_be_read_by_anyone(whole):
    folder = whole.folder
    data = xr.load_dataset(folder / "drift.nc", engine="h5netcdf")
    assert data["age"].attrs["units"] == "s"
    assert data["conductance"].attrs["ancillary_variables"] == "conductance_sigma"
    assert data["conductance_sigma"].dims == data["conductance"].dims == ("step", "plane", "row", "column")
    span = float(data.attrs["g_max_s"]) - float(data.attrs["g_min_s"])
    assert float(data["conductance_sigma"].max()) < 0.1 * span < float(data["conductance"].max())
    assert np.diff(data["utc"].to_numpy()).astype(float).min() >= 0  # xarray made dates of them by their unit
    assert abs(float((data["utc"][0] - np.datetime64("now")) / np.timedelta64(1, "h"))) < 1
    for path in folder.glob("*.nc"):
        data = xr.load_dataset(path, engine="h5netcdf")
        assert data.attrs["Conventions"].startswith("CF-") and "k = 1" in data.attrs["uncertainty"]
        for place, count in (("plane", 2), ("row", 6), ("column", 4)):
            if place in data.dims:
                assert data[place].to_numpy().tolist() == list(range(count))
        for name, variable in data.variables.items():
            assert variable.attrs["long_name"].strip(), (path.name, name)
            assert name == "utc" or variable.attrs["units"], (path.name, name)
    data = xr.load_dataset(folder / "drift.nc", engine="h5netcdf")
    assert data.attrs["serial"] == "seed-1"
    assert data["level"].dims == ("step", "read", "plane", "row", "column")
    begun = json.loads((folder / "provenance.json").read_text())
    assert begun["plan"]["rows"] == 6 and begun["chip"]["model"] == "ecram"


def test_items_a_device_cannot_do_are_skipped_with_the_reason(tmp_path):
    without = load("discrete-board").model_copy(update={"pulses": Pulses()})
    found = measure(Chip(without, seed=1), tmp_path / "run")
    assert "PULSE" in found.skipped["pulse_response"]


def test_a_device_that_does_not_count_its_pulses_is_characterized_all_the_same(tmp_path, monkeypatch):
    able = device.capabilities
    monkeypatch.setattr(device, "capabilities", lambda chip: able(chip) & ~Capability.USAGE)
    found = measure(Chip(load("ecram"), seed=1), tmp_path / "run")
    assert "programming" in found.data
    assert "USAGE" in found.skipped["pulse_response"]


@pytest.mark.usefixtures("unpublished")
def test_stuck_cells_are_counted(tmp_path):
    sheet = load("mixed-8bit").model_dump() | {"faults": {"stuck_on": 0.1, "stuck_off": 0.05}}
    what = plan.Plan(rows=32, columns=16, programming=Programming())
    found = measure(Chip(Datasheet.model_validate(sheet), seed=2), tmp_path / "run", what)
    assert found["programming.stuck_on"].measured.agrees(0.1)
    assert found["programming.stuck_off"].measured.agrees(0.05)


@pytest.mark.usefixtures("unpublished")
def test_a_twin_behaves_like_its_source_on_held_out_measurements(tmp_path):
    what = plan.Plan(
        rows=16, columns=16, transfer=Transfer(), programming=Programming(), read_noise=ReadNoise(),
        pulse_response=PulseResponse(),
    )  # fmt: skip
    sheet = load("ecram")
    found = measure(Chip(sheet, seed=3), tmp_path / "source", what, sheet)
    fitted = twin.fit(found)
    path = tmp_path / "twin.toml"
    path.write_text(fitted.to_toml())
    held = distance.held_out(what)
    both = [
        measure(Chip(s, seed=seed), tmp_path / name, held, fitted.datasheet)
        for name, s, seed in (("again", sheet, 3), ("twin", load(path), 1))
    ]
    distances = distance.compare(*both)
    assert {d.name for d in distances} == {"read_noise", "programming", "pulse_response"}
    assert not [d for d in distances if d.rejected]


@pytest.mark.usefixtures("unpublished")
def test_a_twin_of_another_kind_of_chip_is_told_apart(tmp_path):
    what = plan.Plan(rows=16, columns=16, programming=Programming(), read_noise=ReadNoise(reads=16))
    both = [measure(Chip(load(name), seed=1), tmp_path / name, what) for name in ("ecram", "reram")]
    assert all(d.rejected for d in distance.compare(*both))


def test_a_measurement_does_not_go_on_in_cells_that_were_lost(tmp_path, monkeypatch):
    sheet = load("ecram")
    with monkeypatch.context() as patch, pytest.raises(Cut):
        cut_at(patch, steps.Pulses, "apply", 6, after=True)
        measure(Chip(sheet, seed=1), tmp_path / "run")
    with pytest.raises(run.ChipError, match=r"pulse_response was cut off after \d+ writes and pulses, .* counts 0"):
        measure(Chip(sheet, seed=1), tmp_path / "run")


@pytest.mark.usefixtures("unpublished")
def test_drives_that_a_coarse_converter_makes_one_are_measured_once(tmp_path):
    sheet = load("reram")
    found = measure(Chip(sheet, seed=3), tmp_path / "run", plan.Plan(rows=4, columns=4, transfer=Transfer(repeats=8)))
    drives = found.data["transfer"]["drive"].to_numpy()[0]
    assert 2**sheet.drive_dac.bits > len(np.unique(drives)) == len(drives) / 8 < Transfer().points


def test_reports_are_one_file_and_need_no_network(tmp_path):
    found = [measure(Chip(load("ecram"), seed=s), tmp_path / str(s), sheet=load("ecram")) for s in (1, 2)]
    write_report(found[0], tmp_path / "report.html")
    write_comparison(found, tmp_path / "comparison.html")
    for name, words in (("report", "programming.sigma"), ("comparison", "within uncertainty")):
        page = (tmp_path / f"{name}.html").read_text()
        assert words in page and "<svg" in page
        assert "src=" not in page and 'href="http' not in page
    assert "agrees" in found[0]._repr_html_()


def every_drawing_has_its_table(folder):
    """SVG, PNG and CSV of each, quantities with their units in the table's head and on the axes, numbers below."""
    drawn = {path.stem for path in folder.glob("*.svg")}
    assert len(drawn) >= 4
    for suffix in ("png", "csv"):
        assert {path.stem for path in folder.glob(f"*.{suffix}")} == drawn
    siemens = 0
    for name in drawn:
        assert (folder / f"{name}.png").read_bytes().startswith(b"\x89PNG")
        svg = (folder / f"{name}.svg").read_text()
        assert "<svg" in svg and "1e-" not in svg.replace("1e-0", "")  # no offset text beside an axis
        lines = [line for line in (folder / f"{name}.csv").read_text().splitlines() if not line.startswith("#")]
        head = next(csv.reader(lines))
        rows = list(csv.reader(lines[1:]))
        assert rows and all(len(row) == len(head) for row in rows)
        numbers = [cell for row in rows for cell in row if cell]
        assert sum(isinstance(float(cell), float) for cell in numbers if cell[0] in "-.0123456789") > 0
        siemens += any("(S)" in title for title in head)
    assert siemens > 0


def test_the_commands_work_together(tmp_path):
    def hil(*arguments):
        shown = CliRunner().invoke(build_app(), list(map(str, arguments)))
        assert shown.exit_code == 0, shown.output
        return shown.output

    plan_file = tmp_path / "plan.toml"
    plan_file.write_text("rows = 8\ncolumns = 8\n[programming]\n[read_noise]\n[transfer]\n")
    chip = "emulator:mixed-8bit?seed=4"
    assert "agrees" in hil("characterize", "--device", chip, "--plan", plan_file, "--out", tmp_path / "run")
    hil("report", tmp_path / "run", "-o", tmp_path / "again.html", "--figures", tmp_path / "drawn")
    every_drawing_has_its_table(tmp_path / "drawn")
    hil("twin", tmp_path / "run", "-o", tmp_path / "twin.toml")
    assert load(tmp_path / "twin.toml").cells.programming_noise == pytest.approx(0.005, rel=0.2)


def test_so_few_cells_have_read_noise_and_no_law_of_it(tmp_path):
    found = measure(Chip(load("ecram"), seed=1), tmp_path / "run", plan.Plan(rows=2, columns=2, read_noise=ReadNoise()))
    assert [f.name for f in found.figures if f.name.startswith("read_noise")] == [
        "read_noise.relative", "read_noise.additive",
    ] and "read_noise" not in found.skipped  # fmt: skip


@pytest.mark.parametrize(
    ("cause", "code"), [(LinkLost("the connection is gone"), 3), (KeyboardInterrupt(), 130), (SystemExit(143), 143)]
)
def test_a_measurement_that_was_broken_off_says_how_it_goes_on(tmp_path, monkeypatch, capsys, cause, code):
    def pulled(*_):
        raise cause

    monkeypatch.setattr(steps.Write, "apply", pulled)
    out = tmp_path / "begun"
    with pytest.raises(SystemExit) as caught:
        main(["characterize", "--device", "emulator:mixed-8bit", "--size", "4", "--out", str(out)])
    assert caught.value.code == code
    assert f"the same command goes on with {out}" in capsys.readouterr().err
    with pytest.raises(run.ChipError, match=r"not finished: go on with `hil characterize .*begun`"):
        run.load(out)
    with pytest.raises(run.ChipError, match="there is no such folder: make one with `hil characterize"):
        run.load(tmp_path / "nothing")
    with pytest.raises(run.ChipError, match="no characterization in it: make one with `hil characterize"):
        run.load(tmp_path)


@pytest.mark.usefixtures("unpublished")
def test_a_resistive_board_is_characterized_and_has_a_twin(tmp_path):
    sheet = load("resistive-board").model_dump()
    sheet["output_adc"] |= {"gain_error_sigma": 0.01}
    sheet["neurons"] |= {"node_capacitance_f": 2e-9}
    sheet["settle"] |= {"mode": "transient"}
    sheet = Datasheet.model_validate(sheet)
    what = plan.Plan(
        rows=16, columns=16, transfer=Transfer(points=9), settle_time=SettleTime(), nudge=NudgeLinearity(),
        programming=Programming(), read_noise=ReadNoise(),
    )  # fmt: skip
    found = measure(Chip(sheet, seed=2), tmp_path / "run", what, sheet)
    assert [f for f in found.figures if f.verdict == "differs"] == []
    middle_s = (sheet.cells.g_min_s + sheet.cells.g_max_s) / 2
    assert found["settle_time.tau"].measured.agrees(2e-9 / (16 * middle_s), 5)
    path = tmp_path / "twin.toml"
    path.write_text(twin.fit(found).to_toml())
    fitted = load(path)
    assert fitted.resistive and fitted.output_adc.gain_error_sigma == pytest.approx(0.01, rel=0.6)
    assert fitted.neurons.node_capacitance_f == pytest.approx(2e-9, rel=0.05)
