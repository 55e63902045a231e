"""Twins: taken for the chip they are of, cell by cell where it was looked at, and checked by halves of cells."""

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from emulator.chip import Chip
from emulator.crossbar import EVERYWHERE
from firmware_specs.chains import dense_chain
from firmware_specs.datasheet import Datasheet, load
from hil.cli import build_app
from hil.counterparts.described import datasheet_of, disagreements
from hil.counterparts.opening.wire import crossbar_of_chip
from hil.measuring.characterize import plan, run
from hil.measuring.characterize.items import Programming, PulseResponse, ReadNoise, Transfer
from hil.measuring.imports import folder
from hil.measuring.imports.readings import Readings
from hil.measuring.laws import ramps
from hil.measuring.laws.samples import Range
from hil.measuring.twins import check, of_device
from hil.measuring.twins.measured import TwinError, twin
from hil.report.characterization import write_report

WHO = {"vendor": "v", "model": "m"}


def walked(cells, seed, variance=0.9e-12, law=None):
    """Retention of cells about 20 uS, read at four ages."""
    plain = load("ideal").model_dump(exclude_unset=True)
    plain["cells"] |= {"g_min_s": 1e-6, "g_max_s": 41e-6}
    plain["drift"] = law or {"law": "walk", "t0_s": 4e-3, "variance_slope_s2": variance}
    plain["read_noise"] = {"law": "additive", "sigma": 0.002}
    chip = Chip(Datasheet.model_validate(plain), seed, dtype=torch.float64)
    side = int(np.sqrt(cells / 2))
    chip.configure(0, dense_chain([side, side], bias=False))
    chip.program(0, [torch.linspace(15e-6, 25e-6, 2 * side * side, dtype=torch.float64).view(2, side, side)])
    table, now = {"time": [], "conductance": []}, 0.0
    for age in (0.0, 0.1, 10.0, 1e4):
        chip.wait(age - now)
        now = age
        g = chip.read(0, 0).flatten().numpy()
        table["time"].append(np.full(len(g), age))
        table["conductance"].append(g)
    return Readings("retention", np.tile(np.arange(len(g)), 4), {k: np.concatenate(v) for k, v in table.items()})


def test_halves_of_cells_of_one_law_show_no_difference_and_a_wrong_law_is_seen(monkeypatch):
    found = check.by_halves({"retention": walked(1250, 1)}, load("mixed-8bit"))
    assert len(found) == 3 and all(c.cells == 625 for c in found)
    assert check.families(found)["retention"] > check.REJECTED
    assert all(0.88 < c.spread_ratio < 1.13 for c in found)  # 3 standard deviations of a ratio of 625 and 625
    honest = check.emulate
    monkeypatch.setattr(
        check, "emulate", lambda readings, sheet, within, seed: honest(
            readings, sheet.model_copy(update={"drift": sheet.drift.model_copy(update={"variance_slope_s2": 5e-12})}),
            within, seed,
        ),
    )  # fmt: skip
    worse = check.by_halves({"retention": walked(1250, 1)}, load("mixed-8bit"))
    assert check.families(worse)["retention"] < 1e-9  # distance 0.2 of 625 and 625


def test_one_cell_is_compared_with_a_twin_of_every_other_piece_of_its_ramps(monkeypatch):
    """Noise that outlives pulses, and stretches between which the cell goes on: the twin has both."""
    honest = ramps.choose
    monkeypatch.setattr(ramps, "choose", lambda ways, seed: honest(ways, ramps.FAMILIES[:1], seed))
    plain = load("ideal").model_dump(exclude_unset=True)
    plain["cells"] |= {"g_min_s": 1e-6, "g_max_s": 41e-6}
    plain["pulses"] = {"law": "constant", "step": 0.001, "write_noise": 30.0, "write_noise_memory": 8.0}
    chip = Chip(Datasheet.model_validate(plain), 2, dtype=torch.float64)
    chip.configure(0, dense_chain([1, 1], bias=False))
    chip.program(0, [torch.full((2, 1, 1), 3e-6, dtype=torch.float64)])
    g = []
    for _ in range(800):
        chip.pulse(0, 0, EVERYWHERE, 1, True)
        g.append(float(chip.read(0, 0).flatten()[0]))
    columns = {"conductance": np.array(g), "pulse": np.arange(800.0), "polarity": np.ones(800)}
    one = Readings("ramps", np.zeros(800, dtype=np.int64), columns)
    found = check.by_halves({"ramps": one}, load("mixed-8bit"))
    assert [(c.name, c.cells) for c in found] == [("ramps step up", 8), ("ramps spread up", 8)]
    assert check.families(found)["ramps"] > check.REJECTED  # twice the spread: KS 1 of 8 and 8, p 2e-4


def test_held_out_cells_are_emulated_on_the_chip_of_the_sheet_with_its_noise_and_its_table_of_levels():
    plain = load("ideal").model_dump(exclude_unset=True)
    plain["cells"] |= {"g_min_s": 10e-6, "g_max_s": 50e-6}
    plain["read_noise"] = {"law": "additive", "sigma": 0.005}  # 0.2 uS
    plain["drift"] = {
        "law": "walk",
        "t0_s": 1.0,
        "variance_slope_s2": 1e-12,
        "levels": [0.4, 0.8],
        "level_factors": [0.5, 2.0],
    }
    sheet, cells = Datasheet.model_validate(plain), 4000
    start = np.repeat([20e-6, 40e-6], cells // 2)
    columns = {"time": np.repeat([0.0, 0.5, np.e**4], cells), "conductance": np.tile(start, 3)}
    made = check.emulate(Readings("retention", np.tile(np.arange(cells), 3), columns), sheet, Range(10e-6, 50e-6), 5)
    first, soon, late = made.conductance_s.reshape(3, 2, cells // 2) * 1e6
    assert (soon - first).std(axis=1) == pytest.approx(0.2 * np.sqrt(2), rel=0.06)
    assert (late - first).std(axis=1) == pytest.approx(np.hypot([0.5 * 2, 2 * 2], 0.2 * np.sqrt(2)), rel=0.06)


def test_a_comparison_that_cannot_be_computed_is_no_yes():
    nothing = check.Comparison("ramps step up", float("nan"), float("nan"), 1, float("nan"), float("nan"))
    assert nothing.rejected and "no difference seen" not in str(nothing)
    assert check.families([nothing]) == {"ramps": 0.0}


def test_circuits_about_imported_cells_are_scaled_to_their_conductances():
    made = twin({"retention": walked(200, 2)}, load("mixed-8bit"), WHO).datasheet
    like = load("mixed-8bit")
    assert made.neurons.transimpedance_ohm * made.cells.span_s == pytest.approx(
        like.neurons.transimpedance_ohm * like.cells.span_s
    )
    assert made.drive_dac.high_a / made.cells.span_s == pytest.approx(like.drive_dac.high_a / like.cells.span_s)
    assert made.pulses.law == "none" and made.drift.law == "walk"
    with pytest.raises(TwinError, match="Hopfield"):
        twin({"retention": walked(200, 2)}, load("resistive-ideal"), WHO)


def test_resets_alone_take_the_up_steps_of_a_one_sided_device_or_are_refused():
    volts = np.tile([1.0, 1.5, 2.0], 30)
    g = np.exp(np.random.default_rng(0).normal(np.tile([-10, -11.5, -10.5], 30), 0.1))
    readings = {"resets": Readings("resets", np.repeat(np.arange(30), 3), {"amplitude": volts, "conductance": g})}
    with pytest.raises(TwinError, match="--like"):
        twin(readings, load("mixed-8bit"), WHO)
    made = twin(readings, load("pcm"), WHO)
    assert made.datasheet.pulses.reset.volts == (1.0, 1.5, 2.0)
    assert made.datasheet.pulses.law == load("pcm").pulses.law


def faulty(tmp_path, seed=3):
    """A chip with stuck cells, its characterization, and the twin."""
    plain = load("mixed-8bit").model_dump(exclude_unset=True)
    plain["faults"] = {"stuck_on": 0.015, "stuck_off": 0.015}
    plain["neurons"] |= {"gain_mismatch_sigma": 0.05}
    chip = Chip(Datasheet.model_validate(plain), seed)
    what = plan.Plan(rows=12, columns=8, programming=Programming(), transfer=Transfer())
    with crossbar_of_chip(chip) as crossbar:
        info = crossbar.info
        found = run.characterize(crossbar, what, tmp_path / "run")
    return chip, info, found


def test_a_twin_is_taken_for_its_chip_and_has_its_stuck_cells_and_gains(tmp_path):
    chip, info, found = faulty(tmp_path)
    path = tmp_path / "twin.toml"
    path.write_text(of_device.fit(found).to_toml())
    sheet = load(path)
    assert disagreements(sheet, datasheet_of(info, "chip")) == []
    copy = Chip(sheet, seed=99)
    cells = []
    for one in (chip, copy):
        one.configure(0, dense_chain([12, 8], bias=False))
        levels = []
        for x in (0.2, 0.8):
            span = one.datasheet.cells
            one.program(0, [torch.full((2, 12, 8), span.g_min_s + x * span.span_s)])
            levels.append(one.conductances_s(0)[0])
        cells.append(torch.abs(levels[1] - levels[0]) < 0.3 * one.datasheet.cells.span_s)
    assert torch.equal(*cells) and int(cells[0].sum()) > 1
    gains = [one.arrays[0].wiring.neurons[0].gain.numpy() for one in (chip, copy)]
    known = np.abs(gains[1] / np.median(gains[1]) - 1) > 1e-6
    assert known.sum() > 3 and np.corrcoef(gains[0][known], gains[1][known])[0, 1] > 0.9


@pytest.mark.parametrize(
    ("threshold_v", "drivers"), [(0.6, {"half_select": 0.5}), (0.0, {"half_select": 0.0}), (0.6, None)]
)
def test_a_twin_moves_its_cells_in_every_way_its_device_states(tmp_path, threshold_v, drivers):
    plain = load("mixed-8bit").model_dump(exclude_unset=True)
    plain["update"] = {"rate_per_s": 5.0, "window_s": 0.02, "batch": 16, "gain": 0.1}
    plain["pulses"] = {
        "law": "linear", "step": 0.002, "amplitude_v": 1.0, "width_s": 1e-6, "threshold_v": threshold_v
    }  # fmt: skip
    if drivers:
        plain["coincidence"] = drivers
    with crossbar_of_chip(Chip(Datasheet.model_validate(plain), 2)) as crossbar:
        said = datasheet_of(crossbar.info, "chip")
        found = run.characterize(
            crossbar, plan.Plan(rows=4, columns=4, pulse_response=PulseResponse(groups=4)), tmp_path / "run"
        )
    made = of_device.fit(found).datasheet
    assert (made.update, made.coincidence) == (said.update, said.coincidence)
    assert made.update.batch == 16 and (made.coincidence is not None) == (drivers is not None)
    assert made.pulses.threshold_v == pytest.approx(threshold_v)


def test_the_command_says_why_and_compares_halves(tmp_path):
    table = tmp_path / "run"
    folder.write(walked(300, 5), table, "table", [_some_file(tmp_path)])
    write_report(run.load(table), table / "report.html")
    result = CliRunner().invoke(build_app(), ["twin", str(table), "-o", str(tmp_path / "t.toml"), "--check"])
    assert result.exit_code == 0, result.output
    assert "second best" in result.output or "simplest" in result.output
    assert "halves among themselves" in result.output
    sheet = load(tmp_path / "t.toml")
    assert sheet.drift.law == "walk"
    assert "nats" in (tmp_path / "t.toml").read_text()


def _some_file(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text("x")
    return path


def test_a_device_twin_chooses_laws_of_writing_reading_and_traps_by_held_out_cells(tmp_path):
    """Not only of pulses and drift: a spread that bends with the level, additive noise, cells with two levels."""
    plain = load("mixed-8bit").model_dump(exclude_unset=True)
    span = plain["cells"]["g_max_s"] - plain["cells"]["g_min_s"]
    plain["cells"].pop("programming_noise")
    plain["programming"] = {"sigma_coefficients_s": [0.004 * span, 0.08 * span, -0.07 * span]}
    plain["read_noise"] = {"law": "additive", "sigma": 0.0004}
    plain["telegraph"] = {"amplitude": 0.02, "up_s": 1.0, "down_s": 1.0, "share": 0.5}
    chip = Chip(Datasheet.model_validate(plain), 4)
    what = plan.Plan(rows=8, columns=6, programming=Programming(), read_noise=ReadNoise(reads=4, waits_s=(0.2,) * 120))
    with crossbar_of_chip(chip) as crossbar:
        found = run.characterize(crossbar, what, tmp_path / "run")
    made = of_device.fit(found)
    sheet = made.datasheet
    g = np.array([0.1, 0.5, 0.9])
    spread = [np.polynomial.Polynomial(c.programming.sigma_coefficients_s)(g) for c in (sheet, chip.datasheet)]
    assert spread[0] == pytest.approx(spread[1], rel=0.5) and spread[0][1] > 1.3 * spread[0][0]
    assert sheet.read_noise.law == "additive"
    assert sheet.telegraph.share == pytest.approx(0.5, abs=0.2)
    assert sheet.telegraph.amplitude == pytest.approx(0.02, rel=0.4)
    assert len(made.chosen) == 2 and all("nats" in one.why for one in made.chosen)
