"""Laws are chosen by held-out likelihood: emulated cells of a known law, measured as in a laboratory, give it back."""

import numpy as np
import pytest
import torch

from emulator.chip import Chip
from emulator.crossbar import EVERYWHERE
from firmware_specs.chains import dense_chain
from firmware_specs.datasheet import Datasheet, load
from hil.measuring.imports.readings import Readings
from hil.measuring.laws import choice, fluctuation, ramps, resets, retention, samples, writing
from hil.measuring.laws.samples import Range

WITHIN = Range(10e-6, 100e-6)
FAST = [f for f in ramps.FAMILIES if f.name in ("constant", "linear", "soft_bounds", "table")]


def chip_of(side, seed=1, **sections):
    plain = load("ideal").model_dump(exclude_unset=True)
    plain["cells"] |= {"g_min_s": WITHIN.low_s, "g_max_s": WITHIN.high_s}
    chip = Chip(Datasheet.model_validate(plain | sections), seed, dtype=torch.float64)
    chip.configure(0, dense_chain([side, side], bias=False))
    return chip


def write(chip, x):
    shape = chip.arrays[0].crossbars[0].shape
    values = torch.as_tensor(x, dtype=torch.float64).expand(shape)
    chip.program(0, [WITHIN.low_s + WITHIN.span_s * values])


def read(chip):
    return chip.read(0, 0).flatten().numpy()


def ramp_readings(chip, count, pulses):
    """Up and down ramps of every cell."""
    table = {"conductance": [], "pulse": [], "polarity": []}
    for up, start in ((True, 0.1), (False, 0.9)):
        write(chip, start)
        for n in range(count):
            if n:
                chip.pulse(0, 0, EVERYWHERE, pulses, up)
            g = read(chip)
            table["conductance"].append(g)
            table["pulse"].append(np.full(len(g), float(n * pulses)))
            table["polarity"].append(np.full(len(g), 1.0 if up else -1.0))
    cells = len(g)
    return Readings("ramps", np.tile(np.arange(cells), 2 * count), {k: np.concatenate(v) for k, v in table.items()})


LINEAR = {"law": "linear", "step": 0.02, "slope_up": 0.6, "slope_down": 0.3, "c2c": 0.3, "step_d2d": 0.2,
          "step_spread": "log_normal", "asymmetry": 0.1}  # fmt: skip


def test_ramps_of_a_linear_law_give_its_law_steps_spreads_and_read_noise():
    chip = chip_of(6, pulses=LINEAR, read_noise={"law": "additive", "sigma": 0.004})
    found = ramps.choose(samples.ramps_of(ramp_readings(chip, 26, 1), WITHIN), FAST)
    assert found.law == "linear"
    keys, sigma = found.sections["pulses"], found.uncertainty
    for key in ("step", "slope_up", "slope_down", "c2c"):
        assert abs(keys[key] - LINEAR[key]) < 4.5 * sigma[f"pulses.{key}"] + 0.05 * LINEAR[key]
    assert keys["step_d2d"] == pytest.approx(0.2, rel=0.3)
    assert found.sections["read_noise"]["sigma"] == pytest.approx(0.004, rel=0.15)
    assert found.scores[0].behind == 0 and "second best" in found.why and "36 and 36" not in found.why


def test_ramps_that_no_formula_describes_become_a_table():
    at = [0, 0.25, 0.5, 0.75, 1]
    law = {"law": "table", "step": 0.02, "levels": at, "up": [0.3, 1.2, 0.6, 1.3, 1], "down": [1, 1, 0.5, 1.1, 0.6],
           "spread_up": [0.2] * 5, "spread_down": [0.2] * 5}  # fmt: skip
    found = ramps.choose(samples.ramps_of(ramp_readings(chip_of(4, pulses=law), 26, 2), WITHIN), FAST[1::2])
    assert found.law.startswith("table")
    keys = found.sections["pulses"]
    x = np.array([0.25, 0.5, 0.75])
    for way in ("up", "down"):
        fitted = keys["step"] * np.interp(x, keys["levels"], keys[way])
        assert fitted == pytest.approx(0.02 * np.interp(x, at, law[way]), rel=0.15)


def test_read_noise_is_not_taken_for_noise_of_the_steps():
    """Differences of noisy readings hold the noise twice: 5 steps of read noise, none from pulse to pulse."""
    law = {"law": "constant", "step": 0.01}
    chip = chip_of(5, pulses=law, read_noise={"law": "additive", "sigma": 0.05})
    found = ramps.choose(samples.ramps_of(ramp_readings(chip, 60, 1), WITHIN), FAST[:2])
    assert found.sections["read_noise"]["sigma"] == pytest.approx(0.05, rel=0.1)
    assert found.sections["pulses"]["c2c"] < 1.0
    assert found.sections["pulses"]["step"] == pytest.approx(0.01, rel=0.1)


def test_noise_that_outlives_pulses_comes_back_with_its_size_and_the_pulses_it_lasts():
    law = {"law": "constant", "step": 0.01, "c2c": 0.1, "write_noise": 2.0, "write_noise_memory": 6.0}
    chip = chip_of(4, pulses=law, read_noise={"law": "additive", "sigma": 0.003})
    found = ramps.choose(samples.ramps_of(ramp_readings(chip, 60, 1), WITHIN), FAST[:1])
    assert found.law == "constant, slow noise"
    for key, size in (("write_noise", 2.0), ("write_noise_memory", 6.0)):
        off, sigma = found.sections["pulses"][key] - size, found.uncertainty[f"pulses.{key}"]
        assert abs(off) < 3 * sigma < 0.6 * size
    Datasheet.model_validate(load("ideal").model_dump(exclude_unset=True) | {"pulses": found.sections["pulses"]})


def retention_readings(chip, ages):
    """All cells, over the middle of the range."""
    cells = len(read(chip))
    x = torch.linspace(0.3, 0.8, cells, dtype=torch.float64).view(chip.arrays[0].crossbars[0].shape)
    write(chip, x)
    table, now = {"time": [0.0 * np.ones(cells)], "conductance": [read(chip)]}, 0.0
    for age in ages:
        chip.wait(age - now)
        now = age
        table["time"].append(np.full(cells, age))
        table["conductance"].append(read(chip))
    return Readings(
        "retention", np.tile(np.arange(cells), len(ages) + 1), {k: np.concatenate(v) for k, v in table.items()}
    )


WALK = {"law": "walk", "t0_s": 4e-3, "variance_slope_s2": 0.9e-12, "mean_slope_s": -1e-7}
AGES = (0.01, 0.1, 1.0, 100.0, 1e5)


@pytest.mark.parametrize(
    ("law", "name"),
    [(WALK, "walk"),
     (WALK | {"jumps": 12.0}, "walk, jumps"),
     ({"law": "relaxation", "t0_s": 4e-3, "mean_slope_s": -1e-7, "spread_slope_s": 2e-7, "spread_offset_s": 5e-7},
      "relaxation"),
     ({"law": "power", "t0_s": 1.0, "nu_mean": 0.05, "nu_sigma": 0.01}, "power")],
    ids=lambda v: v if isinstance(v, str) else "",
)  # fmt: skip
def test_retention_series_give_back_their_law(law, name):
    chip = chip_of(16, drift=law, read_noise={"law": "additive", "sigma": 0.001})
    found = retention.choose(samples.retention_of(retention_readings(chip, AGES)), WITHIN)
    assert found.law == name
    keys = found.sections["drift"]
    Datasheet.model_validate(load("ideal").model_dump(exclude_unset=True) | {"drift": keys})
    sure = {"walk": 0.12, "walk, jumps": 0.25, "relaxation": 0.1, "power": 0.02}[name]  # what 512 cells can tell
    key = {"walk": "variance_slope_s2", "walk, jumps": "variance_slope_s2", "relaxation": "spread_slope_s"}
    key = key.get(name, "nu_mean")
    assert abs(keys[key] - law[key]) < 3 * found.uncertainty[f"drift.{key}"] < 3 * sure * law[key]
    if "mean_slope_s" in law and "jumps" not in law:
        assert abs(keys["mean_slope_s"] + 1e-7) < 3 * found.uncertainty["drift.mean_slope_s"] < 3 * 0.4e-7


def test_cells_that_never_move_have_the_law_none():
    found = retention.choose(samples.retention_of(retention_readings(chip_of(6), AGES)), WITHIN)
    assert found.law == "none" and not found.sections and "no reading moved" in found.notes


def test_bakes_at_several_temperatures_give_the_activation_energy():
    law = {"law": "exponential", "tau_s": 1e9, "tau_d2d": 0.5, "rest_s": 10e-6, "activation_ev": 1.0}
    table = {"time": [], "conductance": [], "temperature": [], "cell": []}
    for n, kelvin in enumerate((380.0, 400.0, 420.0, 440.0)):
        chip = chip_of(8, seed=n, drift=law, read_noise={"law": "additive", "sigma": 0.002})
        write(chip, 0.7)
        for wait in (0.0, 3600.0):
            chip.conditions.set_temperature(kelvin)
            chip.wait(wait)
            chip.conditions.set_temperature(300.0)
            g = read(chip)
            for name, value in (("time", wait), ("temperature", kelvin)):
                table[name].append(np.full(len(g), value))
            table["conductance"].append(g)
            table["cell"].append(np.arange(len(g)) + n * len(g))
    joined = {k: np.concatenate(v) for k, v in table.items()}
    found = retention.choose(samples.retention_of(Readings("retention", joined.pop("cell"), joined)), WITHIN)
    assert "Arrhenius" in found.law
    assert found.sections["drift"]["activation_ev"] == pytest.approx(1.0, abs=0.06)
    assert found.uncertainty["drift.activation_ev"] < 0.06


def test_repeated_reads_give_white_noise_and_the_traps():
    chip = chip_of(3, telegraph={"amplitude": 0.1, "up_s": 2.0, "down_s": 1.0, "share": 0.5},
                   read_noise={"law": "relative", "sigma": 0.003})  # fmt: skip
    write(chip, torch.linspace(0.1, 0.9, 18, dtype=torch.float64).view(2, 3, 3))
    rows = []
    for _ in range(1500):
        chip.wait(0.1)
        rows.append(read(chip))
    there = int((chip.arrays[0].crossbars[0]._traps.amplitude > 0).sum())
    data = samples.Series(np.stack(rows, axis=1), 0.1)
    found = fluctuation.choose(data, WITHIN)
    assert found.law == "relative"
    assert found.sections["read_noise"]["sigma"] == pytest.approx(0.003, rel=0.1)
    trap = found.sections["telegraph"]
    assert trap["share"] == pytest.approx(there / 18)
    assert trap["amplitude"] == pytest.approx(0.1, rel=0.1)
    assert (trap["up_s"], trap["down_s"]) == pytest.approx((2.0, 1.0), rel=0.35)


def test_resets_that_rise_and_fall_with_the_height_become_a_table():
    law = {
        "law": "constant",
        "step": 0.1,
        "one_sided": True,
        "reset": {
            "volts": [1, 1.5, 2, 2.5, 3, 3.4],
            "g_s": [7e-5, 3e-5, 5e-5, 2e-5, 6e-5, 3e-5],
            "spread": [0.1, 0.05, 0.05, 0.1, 0.05, 0.05],
        },
    }
    chip = chip_of(6, pulses=law)
    table = {"amplitude": [], "conductance": []}
    for volts in law["reset"]["volts"]:
        chip.pulse(0, 0, EVERYWHERE, 1, False, volts)
        table["conductance"].append(read(chip))
        table["amplitude"].append(np.full(72, volts))
    readings = Readings("resets", np.tile(np.arange(72), 6), {k: np.concatenate(v) for k, v in table.items()})
    found = resets.choose(samples.resets_of(readings))
    assert found.law == "table" and "not monotone in the height" in found.notes
    reset = found.sections["pulses"]["reset"]
    assert reset["g_s"] == pytest.approx(law["reset"]["g_s"], rel=0.08)
    assert reset["spread"] == pytest.approx(law["reset"]["spread"], rel=0.35)


def test_write_logs_give_a_spread_that_depends_on_the_level_where_it_does():
    for sections, law in (({"programming": {"sigma_coefficients_s": [1e-7, 3e-6, -2.5e-6]}}, "quadratic"),
                          ({}, "constant")):  # fmt: skip
        chip = chip_of(12, **sections)
        if not sections:
            chip.datasheet.cells.__dict__["programming_noise"] = 0.01
        target, g = [], []
        for x in (0.1, 0.3, 0.5, 0.7, 0.9):
            write(chip, x)
            g.append(read(chip))
            target.append(np.full(288, WITHIN.low_s + x * WITHIN.span_s))
        data = samples.Writes(np.concatenate(target), np.concatenate(g), np.tile(np.arange(288), 5))
        found = writing.choose(data, WITHIN)
        assert found.law == law


def test_a_law_of_more_parameters_must_earn_them_and_nan_never_wins():
    generator = np.random.default_rng(0)
    base = generator.normal(size=100)
    found, scores = choice.rank(
        {"rich": (9, base + generator.normal(0.01, 0.1, 100)), "poor": (1, base), "broken": (1, base * np.nan)}, 100
    )
    assert found == "poor"
    assert {s.law for s in scores} == {"rich", "poor"}
    assert choice.rank({"rich": (9, base + 1), "poor": (1, base)}, 100)[0] == "rich"
    # of few units: many that agree decide although two of them weigh most, one alone does not
    agree = np.array([40.0, 14, 6, 5, 2, 2, 2, 2, 1, 1, 1, 1, 1, 1, 0.5, 0.5, 0.5, -0.5, -1, -1])
    assert agree.sum() < 2 * np.sqrt(20) * agree.std(ddof=1)
    assert choice.rank({"rich": (9, agree), "poor": (1, 0 * agree)}, 20)[0] == "rich"
    alone = np.array([40.0, *[1.0, -1.0] * 9, 1.0])
    assert choice.rank({"rich": (9, alone), "poor": (1, 0 * alone)}, 20)[0] == "poor"
    with pytest.raises(ValueError, match="no law could be fitted"):
        choice.rank({"broken": (1, base * np.nan)}, 100)
