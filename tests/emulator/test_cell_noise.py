"""Noise and drift of 1e5 cells against their formulas: mean and spread within their confidence intervals."""

import math

import pytest
import torch

from emulator.chip import Chip
from emulator.crossbar import EVERYWHERE
from firmware_specs.chains import dense_chain
from firmware_specs.datasheet import Datasheet, load

N = 316
TOPOLOGY = dense_chain([N, N], bias=False)
CELLS = N * N
HOUR, DAY, YEAR = 3600.0, 86400.0, 3.156e7


def sheet(**sections):
    plain = load("ideal").model_dump(exclude_unset=True)
    plain["cells"] |= {"g_min_s": 0.0, "g_max_s": 25e-6}
    return Datasheet.model_validate(plain | {k: plain.get(k, {}) | v for k, v in sections.items()})


def chip_at(g, **sections):
    """A chip whose cells, both planes, were all written to a relative conductance."""
    chip = Chip(sheet(**sections), seed=3, dtype=torch.float64)
    chip.configure(0, TOPOLOGY)
    chip.program(0, [torch.full((2, N, N), g * 25e-6, dtype=torch.float64)])
    return chip


def conductances(chip):
    return chip.conductances_s(0)[0][0].flatten()


def near(values, target):
    """Equal up to the 32-bit code of an analog write circuit."""
    return (values - target).abs() < 1e-9 * 25e-6


def assert_normal(values, mean, sigma):
    """Mean and standard deviation within 4.5 standard errors: one false alarm in 1e5 tests."""
    n = values.numel()
    assert abs(float(values.mean()) - mean) < 4.5 * sigma / math.sqrt(n)
    assert abs(float(values.std()) / sigma - 1) < 4.5 / math.sqrt(2 * n)


@pytest.mark.parametrize(
    ("g", "sigma_us"), [(0.3, 0.26348 + 1.9650 * 0.3 - 1.1731 * 0.09), (0.5, 0.952705), (1.0, 1.05538)]
)
def test_polynomial_programming_noise_has_the_spread_of_the_fit(g, sigma_us):
    chip = chip_at(g, programming={"sigma_coefficients_s": [0.26348e-6, 1.9650e-6, -1.1731e-6]})
    assert_normal(conductances(chip), g * 25e-6, sigma_us * 1e-6)


def test_constant_programming_noise_is_a_fraction_of_the_range():
    chip = chip_at(0.5, cells={"programming_noise": 0.02})
    assert_normal(conductances(chip), 12.5e-6, 0.02 * 25e-6)


def test_write_verify_leaves_a_spread_within_the_tolerance_and_counts_its_writes():
    tolerance = 0.01
    chip = chip_at(
        0.5, cells={"programming_noise": 0.05}, programming={"verify_rounds": 200, "verify_tolerance": tolerance}
    )
    error = (conductances(chip) - 12.5e-6) / 25e-6
    assert float(error.abs().max()) <= tolerance
    # nearly flat density over the band, since sigma is five times wider
    assert float(error.std()) == pytest.approx(tolerance / math.sqrt(3), rel=0.02)
    hit = math.erf(tolerance / 0.05 / math.sqrt(2))
    pulses = chip.usage(0, 0)[0].double()
    assert float(pulses.mean()) == pytest.approx(1 / hit, rel=0.02)


def test_write_verify_reports_cells_that_never_hit():
    chip = chip_at(0.5, cells={"programming_noise": 0.05})
    outcome = chip.program(0, [torch.full((2, N, N), 12.5e-6, dtype=torch.float64)], verify=1, tolerance=0.01)
    miss = 1 - math.erf(0.01 / 0.05 / math.sqrt(2))
    expected = 2 * CELLS * miss**2
    assert abs(outcome.failed - expected) < 5 * math.sqrt(expected)
    assert outcome.cells == 2 * CELLS
    assert abs(outcome.pulses - 2 * CELLS * (1 + miss)) < 5 * math.sqrt(2 * CELLS * miss)


@pytest.mark.parametrize("law", ["relative", "additive"])
def test_white_read_noise_has_its_spread_and_averages_down(law):
    chip = chip_at(0.4, read_noise={"law": law, "sigma": 0.01})
    sigma = 0.01 * (10e-6 if law == "relative" else 25e-6)
    one, many = chip.read(0, 0)[0].flatten(), chip.read(0, 0, reads=16)[0].flatten()
    assert_normal(one, 10e-6, sigma)
    assert_normal(many, 10e-6, sigma / 4)


@pytest.mark.parametrize("age_s", [1.0, HOUR, DAY, YEAR])
@pytest.mark.parametrize(("g", "quality"), [(0.1, 0.0088 / 0.1**0.65), (0.5, 0.0088 / 0.5**0.65), (0.005, 0.2)])
def test_flicker_read_noise_grows_with_the_logarithm_of_time(g, quality, age_s):
    chip = chip_at(
        g, read_noise={"law": "flicker", "scale": 0.0088, "exponent": 0.65, "ceiling": 0.2, "t_read_s": 250e-9}
    )
    chip.wait(age_s)
    growth = math.sqrt(math.log((age_s + 250e-9) / 500e-9))
    assert_normal(chip.read(0, 0)[0].flatten(), g * 25e-6, g * 25e-6 * quality * growth)


@pytest.mark.parametrize("age_s", [1.0, HOUR, DAY, YEAR])
def test_power_law_drift_has_the_exponents_of_the_fit(age_s):
    drift = {
        "law": "power",
        "t0_s": 20.0,
        "nu_mean": {"slope": -0.0155, "offset": 0.0244, "low": 0.049, "high": 0.1},
        "nu_sigma": {"slope": -0.0125, "offset": -0.0059, "low": 0.008, "high": 0.045},
    }
    chip = chip_at(0.5, drift=drift)
    chip.wait(age_s)
    nu = -torch.log(conductances(chip) / 12.5e-6) / math.log1p(age_s / 20.0)
    assert_normal(nu, 0.049, 0.008)


def test_a_device_keeps_its_drift_exponent_when_it_is_written_again():
    chip = chip_at(0.5, drift={"law": "power", "t0_s": 1.0, "nu_mean": 0.05, "nu_sigma": 0.01})
    chip.wait(DAY)
    first = conductances(chip).clone()
    chip.program(0, [torch.full((2, N, N), 12.5e-6, dtype=torch.float64)])
    assert bool(near(conductances(chip), 12.5e-6).all())
    chip.wait(DAY)
    assert torch.allclose(conductances(chip), first, rtol=1e-12)


@pytest.mark.parametrize("age_s", [1.0, HOUR, DAY, YEAR])
def test_exponential_drift_decays_towards_rest_with_spread_time_constants(age_s):
    chip = chip_at(0.5, drift={"law": "exponential", "tau_s": 1e5, "tau_d2d": 0.3, "rest_s": 1e-6})
    chip.wait(age_s)
    left = ((conductances(chip) - 1e-6) / 11.5e-6).clamp(min=1e-300)
    if age_s == YEAR:  # exp(-300): nothing left to take a logarithm of
        assert float(left.max()) < 1e-30
        return
    assert_normal(torch.log(-torch.log(left)), math.log(age_s / 1e5), 0.3)


@pytest.mark.parametrize("age_s", [1.0, HOUR, DAY, YEAR])
def test_relaxation_shifts_and_spreads_with_the_logarithm_of_time(age_s):
    drift = {
        "law": "relaxation",
        "t0_s": 1.0,
        "mean_slope_s": -0.089e-6,
        "spread_slope_s": 0.042e-6,
        "spread_offset_s": 0.4118e-6,
    }
    chip = chip_at(0.8, drift=drift)
    chip.wait(age_s)
    folds = math.log(age_s)
    assert_normal(conductances(chip), 20e-6 - 0.089e-6 * folds, 0.042e-6 * folds + 0.4118e-6)


def test_relaxation_is_drawn_anew_at_every_write_and_begins_at_its_origin():
    drift = {"law": "relaxation", "t0_s": 1.0, "spread_offset_s": 0.4118e-6}
    chip = chip_at(0.8, drift=drift)
    assert bool(near(conductances(chip), 20e-6).all())
    chip.wait(1.0)
    first = conductances(chip).clone() - 20e-6
    chip.program(0, [torch.full((2, N, N), 20e-6, dtype=torch.float64)])
    chip.wait(1.0)
    second = conductances(chip) - 20e-6
    assert abs(float((first * second).mean())) < 4.5 * 0.4118e-6**2 / math.sqrt(CELLS)


def test_heat_makes_drift_run_faster_by_arrhenius():
    drift = {"law": "exponential", "tau_s": 1e5, "activation_ev": 0.5}
    cold, hot = chip_at(0.5, drift=drift), chip_at(0.5, drift=drift)
    hot.conditions.set_temperature(350.0)
    factor = math.exp(0.5 / 8.617333262e-5 * (1 / 300 - 1 / 350))
    cold.wait(1000.0 * factor)
    hot.wait(1000.0)
    assert hot.conditions.clock_s == 1000.0
    assert torch.allclose(conductances(hot), conductances(cold), rtol=1e-9)


def test_conductances_follow_the_temperature_and_return():
    chip = chip_at(0.5, cells={"temperature_coefficient_per_k": 0.005})
    chip.conditions.set_temperature(310.0)
    assert torch.allclose(conductances(chip), torch.tensor(12.5e-6 * 1.05, dtype=torch.float64))
    chip.conditions.set_temperature(300.0)
    assert torch.allclose(conductances(chip), torch.tensor(12.5e-6, dtype=torch.float64))


def test_stuck_cells_have_their_shares_and_stay_where_they_are():
    chip = chip_at(0.5, faults={"stuck_on": 0.02, "stuck_off": 0.05})
    values = conductances(chip)
    for share, value in ((0.02, 25e-6), (0.05, 0.0), (0.93, 12.5e-6)):
        expected = share * CELLS
        assert abs(int(near(values, value).sum()) - expected) < 4.5 * math.sqrt(CELLS * share * (1 - share))
    before = near(values, 25e-6)
    chip.program(0, [torch.full((2, N, N), 5e-6, dtype=torch.float64)])
    assert torch.equal(near(conductances(chip), 25e-6), before)


def test_open_lines_carry_nothing():
    chip = chip_at(0.5, faults={"open_rows": 0.1, "open_columns": 0.1})
    plane = conductances(chip).view(N, N)
    dead_rows, dead_columns = (plane == 0).all(1), (plane == 0).all(0)
    for dead in (dead_rows, dead_columns):
        assert abs(int(dead.sum()) - 0.1 * N) < 4.5 * math.sqrt(0.09 * N)
    assert bool(near(plane[~dead_rows][:, ~dead_columns], 12.5e-6).all())


def test_a_cell_beyond_its_endurance_stays_where_it_is():
    chip = chip_at(0.5, endurance={"cycles": 3.0})
    for level in (0.2, 0.4, 0.6, 0.8):
        chip.program(0, [torch.full((2, N, N), level * 25e-6, dtype=torch.float64)])
    assert torch.allclose(conductances(chip), torch.tensor(0.4 * 25e-6, dtype=torch.float64))
    worn, _ = chip.health(0, 0)
    assert bool(worn.all())


def test_cells_of_very_long_life_take_their_pulses():
    endurance = {"cycles": 1e9, "spread": 2.0}
    chip = chip_at(0.5, endurance=endurance, pulses={"law": "constant", "step": 0.01})
    before = conductances(chip).clone()
    chip.pulse(0, 0, EVERYWHERE, 3, up=True)
    assert bool((conductances(chip) > before).all())


def test_cells_older_than_the_retention_are_reported():
    chip = chip_at(0.5, drift={"retention_s": DAY})
    chip.wait(DAY + 1)
    mask = torch.zeros(2, N, N, dtype=torch.bool)
    mask[0, :10] = True
    chip.program(0, [torch.full((2, N, N), 1e-6, dtype=torch.float64)], [mask])
    _, expired = chip.health(0, 0)
    assert torch.equal(expired, ~mask)


@pytest.mark.parametrize("seconds", [-1.0, math.nan, math.inf])
def test_time_runs_forward_by_a_finite_amount(seconds):
    with pytest.raises(ValueError, match="0 or more seconds"):
        chip_at(0.5).wait(seconds)


@pytest.mark.parametrize("kelvin", [0.0, -3.0, math.nan])
def test_temperature_is_above_zero(kelvin):
    with pytest.raises(ValueError, match="more than 0 K"):
        chip_at(0.5).conditions.set_temperature(kelvin)
