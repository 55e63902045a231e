"""Laws that measured cells follow: walks in ln t, tables of steps and heights, resets, corrupt and known cells."""

import math

import numpy as np
import pytest
import torch
from scipy import stats

from emulator.chip import Chip
from emulator.crossbar import EVERYWHERE
from firmware_specs.chains import dense_chain
from firmware_specs.datasheet import Datasheet, load
from firmware_specs.datasheet.pulses import Pulses

N = 128
CELLS = 2 * N * N
LOW_S, SPAN_S = 10e-6, 90e-6
WALK = {"law": "walk", "t0_s": 4e-3, "variance_slope_s2": 0.9e-12}


def chip_of(units=N, seed=3, **sections):
    plain = load("ideal").model_dump(exclude_unset=True)
    plain["cells"] |= {"g_min_s": LOW_S, "g_max_s": LOW_S + SPAN_S}
    chip = Chip(Datasheet.model_validate(plain | sections), seed, dtype=torch.float64)
    chip.configure(0, dense_chain([units, units], bias=False))
    return chip


def write(chip, x):
    shape = chip.arrays[0].crossbars[0].shape
    chip.program(0, [LOW_S + SPAN_S * torch.as_tensor(x, dtype=torch.float64).expand(shape)])


def seen(chip):
    return chip.conductances_s(0)[0].flatten().numpy()


def levels(chip):
    return (seen(chip) - LOW_S) / SPAN_S


def wait_until(chip, seconds):
    chip.wait(seconds - chip.conditions.clock_s)


@pytest.mark.parametrize("jumps", [0.0, 15.0], ids=["gaussian", "by jumps"])
@pytest.mark.parametrize("looks", [[1e5], [0.01, 1.0, 4.0, 1e5], [*np.geomspace(0.005, 1e5, 200)]], ids=len)
def test_the_variance_of_a_walk_is_linear_in_ln_t_however_often_one_looks(jumps, looks):
    chip = chip_of(drift=WALK | {"jumps": jumps, "mean_slope_s": -1e-7})
    write(chip, 0.5)
    start = seen(chip)
    for age in looks:
        wait_until(chip, age)
        moved = seen(chip) - start
    folds = math.log(1e5 / 4e-3)
    variance = 0.9e-12 * folds
    excess = 3 * jumps / folds
    assert abs(moved.mean() + 1e-7 * folds) < 4.5 * math.sqrt(variance / CELLS)
    assert abs(moved.var() / variance - 1) < 4.5 * math.sqrt((2 + excess) / CELLS)
    if jumps:
        assert stats.kurtosis(moved) == pytest.approx(excess, rel=0.35)
    else:
        assert stats.kstest((moved + 1e-7 * folds) / math.sqrt(variance), "norm").pvalue > 1e-4


def test_a_walk_of_a_table_of_time_has_the_variances_of_its_table_and_goes_on_beyond_it():
    """A walk that hardly moves at first, then in one decade, then again hardly: at, between and beyond its points."""
    ages, folds = (0.04, 0.4, 4.0), (0.3, 6.3, 6.6)
    chip = chip_of(drift=WALK | {"clock_ages_s": ages, "clock_folds": folds})
    write(chip, 0.5)
    start = seen(chip)
    expected = {0.04: 0.3, 0.04 * math.sqrt(10): 3.3, 0.4: 6.3, 4.0: 6.6, 40.0: 6.9}
    for age, folded in expected.items():
        assert chip.datasheet.drift.clock(math.log(age / 4e-3)) == pytest.approx(folded)
        wait_until(chip, age)
        moved = seen(chip) - start
        assert abs(moved.var() / (0.9e-12 * folded) - 1) < 4.5 * math.sqrt(2 / CELLS)


def test_increments_of_a_walk_are_independent_and_begin_anew_with_each_write():
    chip = chip_of(drift=WALK)
    write(chip, 0.5)
    track = [seen(chip)]
    for age in (1.0, 100.0, 1e4):
        wait_until(chip, age)
        track.append(seen(chip))
    first, second, third = np.diff(track, axis=0)
    for a, b in ((first, second), (first, third), (second, third)):
        assert abs(np.corrcoef(a, b)[0, 1]) < 4.5 / math.sqrt(CELLS)
    shared = np.corrcoef(track[1] - track[0], track[3] - track[0])[0, 1]
    assert shared == pytest.approx(math.sqrt(math.log(1 / 4e-3) / math.log(1e4 / 4e-3)), abs=0.02)
    write(chip, 0.5)
    assert np.allclose(seen(chip), LOW_S + 0.5 * SPAN_S)


def test_cells_of_rram_relaxing_vary_as_those_of_technology_c_do():
    """Variances (uS^2) of the changes of its 8,838 cells of levels 8 to 24, but for readings 8 deviations off."""
    chip = Chip(load("rram-relaxing"), 3, dtype=torch.float64)
    chip.configure(0, dense_chain([300, 300], bias=False))
    start = torch.linspace(10e-6, 31.25e-6, 180_000, dtype=torch.float64).view(2, 300, 300)
    chip.program(0, [start])
    first, now = chip.read(0, 0), 0.0
    for age, table in ((0.01, 0.875), (0.1, 2.665), (1.0, 4.655), (1e5, 14.96)):
        chip.wait(age - now)
        now = age
        change = (chip.read(0, 0) - first).double().flatten() * 1e6
        near = change[(change - change.mean()).abs() <= 8 * change.std()]
        assert float(near.var()) == pytest.approx(table, rel=0.02), age


def test_jumps_lean_to_the_side_of_their_mean():
    chip = chip_of(drift=WALK | {"jumps": 10.0, "jump_mean_s": -1.5e-7})
    write(chip, 0.5)
    chip.wait(1e3)
    moved = seen(chip) - LOW_S - 0.5 * SPAN_S
    folds = math.log(1e3 / 4e-3)
    theta, single = -1.5e-7, 0.9e-12 - 1.5e-7**2 * 10
    skew = (3 * single * theta * 10 + 2 * theta**3 * 100) / 0.9e-12**1.5 / math.sqrt(folds)
    assert stats.skew(moved) == pytest.approx(skew, rel=0.2)
    assert abs(moved.mean()) < 4.5 * math.sqrt(0.9e-12 * folds / CELLS)


def test_heat_makes_a_walk_and_its_loss_run_faster():
    law = WALK | {"tau_s": 1e6, "rest_s": LOW_S, "activation_ev": 1.0}
    factor = math.exp(1.0 / 8.617333262e-5 * (1 / 300 - 1 / 400))
    hot, long = chip_of(drift=law), chip_of(drift=law)
    for chip in (hot, long):
        write(chip, 0.5)
    hot.conditions.set_temperature(400.0)
    hot.wait(100.0)
    long.wait(100.0 * factor)
    a, b = seen(hot), seen(long)
    assert a.mean() == pytest.approx(LOW_S + 0.5 * SPAN_S * math.exp(-100 * factor / 1e6), abs=1e-7)
    assert a.mean() == pytest.approx(b.mean(), abs=5e-8)
    assert a.std() == pytest.approx(b.std(), rel=0.03)


def test_cells_of_each_level_move_as_far_as_the_table_says():
    chip = chip_of(drift=WALK | {"levels": [0.1, 1.0], "level_factors": [0.0, 2.0]})
    x = torch.where(torch.arange(N) % 2 == 0, 0.0, 1.0)
    write(chip, x)
    before = seen(chip)
    chip.wait(1e4)
    moved = (seen(chip) - before).reshape(2, N, N)
    assert np.abs(moved[:, :, ::2]).max() == 0
    assert moved[:, :, 1::2].std() == pytest.approx(2 * math.sqrt(0.9e-12 * math.log(1e4 / 4e-3)), rel=0.03)


def act(chip, step):
    match step % 4:
        case 0:
            write(chip, 0.4)
        case 1:
            chip.pulse(0, 0, (0, slice(None), slice(0, 5)), 3, step % 8 == 1)
        case 2:
            chip.wait(10.0**step)
    return seen(chip)


@pytest.mark.parametrize("cut", [1, 2, 3, 6])
def test_a_restored_chip_walks_on_bit_by_bit(cut):
    sections = {
        "drift": WALK | {"jumps": 15.0, "tau_s": 1e4, "tau_d2d": 1.0, "rest_s": LOW_S},
        "pulses": {"law": "table", "step": 0.01, "levels": [0, 1], "up": [1, 0.5], "down": [0.5, 1],
                   "spread_up": [1, 2], "spread_down": [1, 2], "write_noise": 3.0, "step_spread": "log_normal",
                   "step_d2d": 0.5},
        "telegraph": {"amplitude": 0.1, "up_s": 1.0, "down_s": 1.0, "traps": 3, "share": 0.5},
    }  # fmt: skip
    whole, first, second = (chip_of(16, **sections) for _ in range(3))
    expected = [act(whole, n) for n in range(9)]
    for n in range(cut):
        act(first, n)
    second.load_state_dict({name: value.clone() for name, value in first.state_dict().items()})
    for n in range(cut, 9):
        assert np.array_equal(act(second, n), expected[n])
    assert all(torch.equal(v, whole.state_dict()[k]) for k, v in second.state_dict().items())


def test_a_table_says_step_and_spread_of_every_level_and_direction():
    at, up, down = (0.0, 0.25, 1.0), (0.4, 1.0, 0.7), (1.0, 0.9, 0.2)
    rise, fall = (0.1, 0.5, 0.3), (0.2, 0.2, 0.6)
    law = {"law": "table", "step": 0.004, "levels": at, "up": up, "down": down, "spread_up": rise, "spread_down": fall}
    chip = chip_of(pulses=law)
    for x in (0.1, 0.25, 0.7, 0.9):
        for rising, mean, spread in ((True, up, rise), (False, down, fall)):
            write(chip, x)
            chip.pulse(0, 0, EVERYWHERE, 1, rising)
            moved = (levels(chip) - x) * (1 if rising else -1)
            wanted, sigma = 0.004 * np.interp(x, at, mean), 0.004 * np.interp(x, at, spread)
            assert abs(moved.mean() - wanted) < 4.5 * sigma / math.sqrt(CELLS)
            assert moved.std() == pytest.approx(sigma, rel=4.5 / math.sqrt(2 * CELLS))


def test_a_table_is_the_same_for_floats_arrays_and_tensors():
    law = Pulses(law="table", step=0.01, levels=(0, 0.3, 0.6, 1), up=(1, 2, 0.5, 0.7), down=(1, 1, 1, 1))
    x = np.linspace(-0.2, 1.2, 29)
    expected = np.interp(x, law.levels, law.up)
    assert law.response(x, True) == pytest.approx(expected, abs=1e-12)
    assert law.response(torch.tensor(x), True).numpy() == pytest.approx(expected, abs=1e-12)
    assert [law.response(float(v), True) for v in x] == pytest.approx(expected, abs=1e-12)


def test_power_law_steps_follow_their_differential_equation():
    # dx/dn = step (1 - x)^g: (1 - x)^(1 - g) = (1 - x0)^(1 - g) - (1 - g) step n; down by symmetry
    law = {"law": "power", "step": 1e-4, "gamma_up": 1.7, "gamma_down": 0.4}
    chip = chip_of(8, pulses=law)
    write(chip, 0.2)
    chip.pulse(0, 0, EVERYWHERE, 5000, True)
    assert levels(chip).mean() == pytest.approx(1 - (0.8**-0.7 + 0.7 * 0.5) ** (-1 / 0.7), rel=1e-3)
    write(chip, 0.9)
    chip.pulse(0, 0, EVERYWHERE, 5000, False)
    assert levels(chip).mean() == pytest.approx((0.9**0.6 - 0.6 * 0.5) ** (1 / 0.6), rel=1e-3)


def test_log_normal_devices_differ_by_factors():
    chip = chip_of(pulses={"law": "constant", "step": 1e-4, "step_d2d": 0.78, "step_spread": "log_normal"})
    write(chip, 0.2)
    chip.pulse(0, 0, EVERYWHERE, 10, True)
    factor = np.log((levels(chip) - 0.2) / 1e-3)
    assert abs(factor.mean()) < 4.5 * 0.78 / math.sqrt(CELLS)
    assert factor.std() == pytest.approx(0.78, rel=4.5 / math.sqrt(2 * CELLS))


def test_write_noise_is_drawn_anew_by_every_train_and_never_adds_up():
    chip = chip_of(pulses={"law": "constant", "step": 1e-4, "write_noise": 50.0})
    write(chip, 0.5)
    assert np.ptp(levels(chip)) < 1e-9
    tracks = []
    for _ in range(3):
        chip.pulse(0, 0, EVERYWHERE, 100, True)
        tracks.append(levels(chip))
        assert np.array_equal(levels(chip), tracks[-1])
    for number, track in enumerate(tracks, 1):
        assert track.mean() == pytest.approx(0.5 + 0.01 * number, abs=1e-4)
        assert track.std() == pytest.approx(5e-3, rel=0.02)
    assert abs(np.corrcoef(tracks[0], tracks[1])[0, 1]) < 0.03


def test_write_noise_with_a_memory_is_forgotten_pulse_by_pulse_and_has_its_size_at_all_times():
    """After n pulses readings correlate as exp(-n / memory), in one train or many; an untouched cell keeps its own."""
    chip = chip_of(pulses={"law": "constant", "step": 1e-4, "write_noise": 50.0, "write_noise_memory": 10.0})
    write(chip, 0.3)
    chip.pulse(0, 0, EVERYWHERE, 200, True)
    first = levels(chip)
    assert (first - 0.32).std() == pytest.approx(5e-3, rel=0.02)
    for _ in range(5):
        chip.pulse(0, 0, EVERYWHERE, 1, True)
    after_5 = levels(chip)
    chip.pulse(0, 0, EVERYWHERE, 15, False)
    after_20 = levels(chip)
    for track, pulses in ((after_5, 5), (after_20, 20)):
        assert track.std() == pytest.approx(5e-3, rel=0.02)
        assert np.corrcoef(first, track)[0, 1] == pytest.approx(math.exp(-pulses / 10), abs=0.03)
    one = torch.zeros(chip.arrays[0].crossbars[0].shape, dtype=torch.int32)
    one.view(-1)[0] = 50
    chip.pulse(0, 0, EVERYWHERE, one, True)
    assert np.array_equal(levels(chip)[1:], after_20[1:])


def test_the_height_of_a_pulse_need_not_act_monotonously():
    heights = {"volts": [1.0, 2.0, 3.0], "up": [0.5, 2.0, 1.0], "down": [1.0, 0.0, 3.0]}
    chip = chip_of(8, pulses={"law": "constant", "step": 0.01, "heights": heights, "amplitude_v": 1.0, "width_s": 1e-6})
    for volts, up, factor in ((1.0, True, 0.5), (2.0, True, 2.0), (2.5, True, 1.5), (3.0, True, 1.0), (0.9, True, 0.0),
                              (2.0, False, 0.0), (3.0, False, 3.0), (1.5, False, 0.5)):  # fmt: skip
        write(chip, 0.5)
        chip.pulse(0, 0, EVERYWHERE, 4, up, volts, 2e-6)
        assert levels(chip).mean() == pytest.approx(0.5 + (0.08 if up else -0.08) * factor, abs=1e-9)


def test_a_reset_takes_a_cell_where_its_height_says_whatever_it_was():
    reset = {"volts": [1.0, 2.0, 3.0], "g_s": [5e-5, 2e-5, 4e-5], "spread": [0.0, 0.1, 0.0]}
    law = {"law": "constant", "step": 0.01, "one_sided": True, "reset": reset}
    chip = chip_of(pulses=law)
    for before in (0.2, 0.9):
        write(chip, before)
        chip.pulse(0, 0, EVERYWHERE, 7, False, 2.0)
        moved = np.log(seen(chip) / 2e-5)
        assert abs(moved.mean()) < 4.5 * 0.1 / math.sqrt(CELLS)
        assert moved.std() == pytest.approx(0.1, rel=0.02)
    chip.pulse(0, 0, EVERYWHERE, 1, False, 2.5)
    assert np.median(seen(chip)) == pytest.approx(math.sqrt(2e-5 * 4e-5), rel=0.01)
    held = seen(chip)
    chip.pulse(0, 0, EVERYWHERE, 1, False, 0.9)
    assert np.array_equal(seen(chip), held)


def test_corrupt_cells_stay_somewhere_in_their_range():
    faults = {"corrupt": 0.135, "corrupt_low_s": 3e-5, "corrupt_high_s": 4e-5, "stuck_on": 0.01}
    chip = chip_of(faults=faults, pulses={"law": "constant", "step": 0.1})
    for x in (0.0, 0.9):
        write(chip, x)
        chip.pulse(0, 0, EVERYWHERE, 1, True)
        corrupt = (seen(chip) > 3e-5) & (seen(chip) < 4e-5)
        assert corrupt.mean() == pytest.approx(0.135, abs=4.5 * math.sqrt(0.135 * 0.865 / CELLS))
        assert stats.kstest(seen(chip)[corrupt], stats.uniform(3e-5, 1e-5).cdf).pvalue > 1e-4


def test_traps_matter_more_at_low_conductance_and_several_make_several_levels():
    law = {"amplitude": 0.02, "amplitude_exponent": 1.0, "up_s": 1.0, "down_s": 1.0, "traps": 2}
    chip = chip_of(telegraph=law)
    x = torch.where(torch.arange(N) % 2 == 0, 0.0, 1.0)
    write(chip, x)
    g = seen(chip).reshape(2, N, N)
    for at_s, found in ((LOW_S, g[:, :, ::2]), (LOW_S + SPAN_S, g[:, :, 1::2])):
        a = 0.02 * (at_s / (LOW_S + SPAN_S)) ** -1
        wanted = sorted({(1 + s * a / 2) * (1 + t * a / 2) for s in (-1, 1) for t in (-1, 1)})
        values, counts = np.unique(np.round(found / at_s, 6), return_counts=True)
        assert values == pytest.approx(wanted, abs=2e-6)
        assert counts / found.size == pytest.approx([0.25, 0.5, 0.25], abs=0.02)


def test_cells_and_units_of_one_very_chip_are_where_the_datasheet_says():
    known = {"stuck": [[0, 2, 3, 7e-5], [1, 0, 1, 2e-5]], "gain": [0.1, -0.2, 0, 0], "offset_v": [0.01, 0, 0, 0]}
    for seed in (1, 2):
        chip = chip_of(4, seed, specimen=known)
        write(chip, 0.3)
        g = chip.conductances_s(0)[0]
        assert (float(g[0, 2, 3]), float(g[1, 0, 1])) == pytest.approx((7e-5, 2e-5))
        assert int((torch.abs(g - LOW_S - 0.3 * SPAN_S) > 1e-9).sum()) == 2
        post = chip.arrays[0].wiring.neurons[0]
        assert post.gain.tolist() == pytest.approx([1.1, 0.8, 1.0, 1.0])
        assert float(post.offset[0]) == pytest.approx(-1.1 * 0.01 / chip.datasheet.neurons.state_unit_v)


@pytest.mark.parametrize(
    ("section", "reason"),
    [
        ({"drift": {"law": "walk", "t0_s": 1.0}}, "variance_slope_s2"),
        ({"drift": {"law": "walk", "variance_slope_s2": 1e-12}}, "time origin"),
        ({"drift": WALK | {"spread_offset_s": 1e-6}}, "of law 'relaxation'"),
        ({"drift": {"law": "exponential", "tau_s": 1.0, "jumps": 2.0}}, "jumps: of law 'walk'"),
        ({"drift": WALK | {"jumps": 1.0, "jump_mean_s": 1e-6}}, "must stay below variance_slope_s2"),
        ({"drift": WALK | {"clock_ages_s": [1.0, 10.0], "clock_folds": [2.0, 2.0]}}, "folds that rise from 0"),
        ({"drift": WALK | {"clock_ages_s": [1e-3, 10.0], "clock_folds": [1.0, 2.0]}}, "ages after t0_s"),
        ({"drift": WALK | {"levels": [0.1, 0.9], "level_factors": [1.0]}}, "1 values for the 2 points"),
        ({"pulses": {"law": "table", "step": 0.01, "levels": [0, 1], "up": [1, 1]}}, "up and down"),
        ({"pulses": {"law": "table", "step": 0.01, "levels": [0.1, 1], "up": [1, 1], "down": [1, 1]}}, "from 0 to 1"),
        ({"pulses": {"law": "table", "step": 0.01, "levels": [0, 0.5, 1], "up": [1, 0, 1], "down": [1, 1, 1]}},
         "cannot reach its range"),
        ({"pulses": {"law": "table", "step": 0.01, "levels": [0, 1], "up": [1, 1], "down": [1, 1],
                     "spread_up": [1, 1]}}, "both or neither"),
        ({"pulses": {"law": "constant", "step": 0.01, "levels": [0, 1]}}, "belong to law 'table'"),
        ({"pulses": {"law": "constant", "step": 0.01, "reset": {"volts": [1, 2], "g_s": [1e-5, 1e-6]}}}, "one_sided"),
        ({"pulses": {"law": "constant", "step": 0.01, "heights": {"volts": [2, 1], "up": [1, 1]}}}, "must rise"),
        ({"faults": {"corrupt": 0.1}}, "corrupt_low_s"),
        ({"specimen": {"stuck": [[0, 0, 0, 1e-6], [0, 0, 0, 2e-6]]}}, "named twice"),
    ],
)  # fmt: skip
def test_half_given_laws_are_refused_with_the_reason(section, reason):
    plain = load("ideal").model_dump(exclude_unset=True)
    with pytest.raises(ValueError, match=reason):
        Datasheet.model_validate(plain | section)
