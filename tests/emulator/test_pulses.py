"""Pulse laws against closed forms, their spreads against the datasheet, and what a chip does with pulses."""

import math

import pytest
import torch

from emulator.chip import Chip
from emulator.crossbar import EVERYWHERE
from firmware_specs.chains import dense_chain
from firmware_specs.datasheet import Datasheet, load

N = 32
TOPOLOGY = dense_chain([N, N], bias=False)


def chip_with(units=N, seed=5, **pulses):
    plain = load("ideal").model_dump(exclude_unset=True)
    plain["cells"] |= {"g_min_s": 1e-6, "g_max_s": 11e-6}
    chip = Chip(Datasheet.model_validate(plain | {"pulses": pulses}), seed=seed, dtype=torch.float64)
    chip.configure(0, dense_chain([units, units], bias=False))
    return chip


def levels(chip):
    """Relative conductances of every cell."""
    return (chip.conductances_s(0)[0] - 1e-6) / 10e-6


def set_level(chip, x):
    chip.program(0, [torch.full_like(chip.conductances_s(0)[0], 1e-6 + x * 10e-6)])


def pulsed(x, count, up, **law):
    chip = chip_with(**law)
    set_level(chip, x)
    chip.pulse(0, 0, EVERYWHERE, count, up)
    seen = levels(chip)
    assert float(seen.std()) < 1e-9
    return float(seen.mean())


@pytest.mark.parametrize("count", [1, 7, 40])
@pytest.mark.parametrize("up", [True, False])
def test_constant_steps_add_up_and_stop_at_the_end(count, up):
    expected = min(0.5 + 0.02 * count, 1.0) if up else max(0.5 - 0.02 * count, 0.0)
    assert pulsed(0.5, count, up, law="constant", step=0.02) == pytest.approx(expected, abs=1e-8)


@pytest.mark.parametrize("count", [1, 10, 100])
def test_soft_bounds_approach_the_end_geometrically(count):
    law = {"law": "soft_bounds", "step": 0.01, "zero": 0.375}
    up = 1 - (1 - 0.2) * (1 - 0.01 / (1 - 0.375)) ** count
    down = 0.8 * (1 - 0.01 / 0.375) ** count
    assert pulsed(0.2, count, True, **law) == pytest.approx(up, abs=1e-8)
    assert pulsed(0.8, count, False, **law) == pytest.approx(down, abs=1e-8)


def test_every_cell_of_a_train_gets_its_own_number_of_pulses():
    chip = chip_with(law="soft_bounds", step=0.01, zero=0.375)
    set_level(chip, 0.2)
    counts = torch.randint(0, 90_000, (N, N), generator=torch.Generator().manual_seed(1)) // 1000
    chip.pulse(0, 0, EVERYWHERE, counts.expand(levels(chip).shape), True)
    expected = 1 - 0.8 * (1 - 0.01 / (1 - 0.375)) ** counts.double()
    assert torch.allclose(levels(chip).double(), expected.expand(levels(chip).shape), atol=1e-7)


@pytest.mark.parametrize("count", [1, 10, 100])
def test_linear_steps_follow_their_recursion(count):
    law = {"law": "linear", "step": 0.005, "zero": 0.4, "slope_up": 0.1153, "slope_down": 0.5085}
    # x' = x + step (1 - s (x - z)/(1 - z)): a line in x, so x_n = r^n (x_0 - x_f) + x_f with the fixed point x_f
    up_rate, down_rate = 0.005 * 0.1153 / 0.6, 0.005 * 0.5085 / 0.4
    up_fixed, down_fixed = 0.4 + 0.6 / 0.1153, 0.4 - 0.4 / 0.5085
    up = (1 - up_rate) ** count * (0.3 - up_fixed) + up_fixed
    down = (1 - down_rate) ** count * (0.9 - down_fixed) + down_fixed
    assert pulsed(0.3, count, True, **law) == pytest.approx(up, abs=1e-8)
    assert pulsed(0.9, count, False, **law) == pytest.approx(down, abs=1e-8)


def test_exponential_steps_match_the_differential_equation_for_small_steps():
    # dx/dn = step (1 + A exp(g z)), z = -2x for scale = shift = -1: ln((e^(2gx) + A)/(e^(2gx0) + A)) = 2 g step n
    a, g, step, count = 27.235, 2.5, 1e-5, 2000
    seen = pulsed(0.1, count, True, law="exponential", step=step, amplitude_up=-a, gamma_up=g, scale=-1.0, shift=-1.0)
    expected = math.log((math.exp(2 * g * 0.1) + a) * math.exp(2 * g * step * count) - a) / (2 * g)
    assert seen == pytest.approx(expected, rel=1e-3)
    assert seen - 0.1 > 10 * step * count  # far from a constant step


def test_asymmetry_makes_up_and_down_steps_differ():
    law = {"law": "constant", "step": 0.01, "asymmetry": 0.2}
    assert pulsed(0.5, 10, True, **law) == pytest.approx(0.62, abs=1e-8)
    assert pulsed(0.5, 10, False, **law) == pytest.approx(0.42, abs=1e-8)


def test_effort_scales_with_height_above_the_threshold_and_with_width():
    chip = chip_with(law="constant", step=0.01, amplitude_v=2.0, threshold_v=1.0, width_s=1e-6)
    set_level(chip, 0.2)
    for amplitude_v, width_s, expected in ((2.0, 1e-6, 0.30), (1.5, 1e-6, 0.35), (2.0, 3e-6, 0.65), (1.0, 1e-3, 0.65)):
        chip.pulse(0, 0, EVERYWHERE, 10, True, amplitude_v, width_s)
        assert float(levels(chip).mean()) == pytest.approx(expected, abs=1e-8)


def test_cycle_to_cycle_noise_has_its_spread_and_adds_up_in_squares():
    chip = chip_with(224, law="constant", step=0.001, c2c=0.6)
    set_level(chip, 0.5)
    chip.pulse(0, 0, EVERYWHERE, 16, True)
    moved, n = levels(chip) - 0.5, 2 * 224**2
    sigma = 0.001 * 0.6 * 4
    assert abs(float(moved.mean()) - 0.016) < 4.5 * sigma / math.sqrt(n)
    assert abs(float(moved.std()) / sigma - 1) < 4.5 / math.sqrt(2 * n)


def test_devices_differ_for_life_in_step_asymmetry_and_range():
    law = {"law": "constant", "step": 0.001, "step_d2d": 0.2, "asymmetry_d2d": 0.1}
    chip = chip_with(224, **law)
    set_level(chip, 0.5)
    n = 2 * 224**2
    chip.pulse(0, 0, EVERYWHERE, 10, True)
    first = levels(chip) - 0.5
    set_level(chip, 0.5)
    chip.pulse(0, 0, EVERYWHERE, 10, True)
    assert torch.allclose(levels(chip) - 0.5, first, atol=1e-9)
    set_level(chip, 0.5)
    chip.pulse(0, 0, EVERYWHERE, 10, False)
    down = 0.5 - levels(chip)
    step, skew = (first + down) / 0.02, (first - down) / (first + down)
    for seen, mean, sigma in ((step, 1.0, 0.2), (skew, 0.0, 0.1)):
        assert abs(float(seen.mean()) - mean) < 5 * sigma / math.sqrt(n)
        assert abs(float(seen.std()) / sigma - 1) < 5 / math.sqrt(2 * n)
    ranges = chip_with(224, law="constant", step=0.1, bounds_d2d=0.05)
    ranges.pulse(0, 0, EVERYWHERE, 20, True)
    top = levels(ranges)
    assert abs(float(top.mean()) - 1) < 5 * 0.05 / math.sqrt(n)
    assert abs(float(top.std()) / 0.05 - 1) < 5 / math.sqrt(2 * n)


def test_only_the_region_moves_by_its_own_counts_and_usage_says_so():
    chip = chip_with(law="constant", step=0.01, amplitude_v=1.0, width_s=1e-6)
    set_level(chip, 0.2)
    counts = torch.arange(6).view(2, 3)
    delivered, most = chip.pulse(0, 0, (1, slice(4, 6), slice(7, 10)), counts, True)
    assert (delivered, most) == (15, 6)  # one write before
    expected = torch.full((2, N, N), 0.2, dtype=torch.float64)
    expected[1, 4:6, 7:10] += 0.01 * counts
    assert torch.allclose(levels(chip), expected, atol=1e-8)
    pulses, energy_j = chip.usage(0, 0, (1, slice(4, 6), slice(7, 10)))
    assert torch.equal(pulses, (counts + 1).int())
    assert torch.allclose(energy_j.double(), counts * (1e-6 + expected[1, 4:6, 7:10] * 10e-6) * 1e-6, rtol=1e-5)


def test_pulses_start_from_the_drifted_conductance():
    plain = load("ideal").model_dump(exclude_unset=True)
    plain |= {"pulses": {"law": "constant", "step": 0.01}, "drift": {"law": "exponential", "tau_s": 1e7}}
    chip = Chip(Datasheet.model_validate(plain), dtype=torch.float64)
    chip.configure(0, TOPOLOGY)
    chip.program(0, [torch.full((2, N, N), 5e-4, dtype=torch.float64)])
    chip.wait(1e7)
    chip.pulse(0, 0, EVERYWHERE, 1, True)
    assert torch.allclose(chip.conductances_s(0)[0], torch.tensor(5e-4 / math.e + 1e-5, dtype=torch.float64), rtol=1e-6)


def test_a_chip_without_a_pulse_law_refuses_pulses():
    chip = Chip(load("ideal"))
    chip.configure(0, TOPOLOGY)
    with pytest.raises(ValueError, match="no pulse law"):
        chip.pulse(0, 0, EVERYWHERE, 1, True)


def test_the_same_transactions_meet_the_same_noise_and_a_restored_chip_continues():
    law = {"law": "soft_bounds", "step": 0.01, "c2c": 0.5, "step_d2d": 0.2}
    chip, other = chip_with(**law), chip_with(**law)
    for one in (chip, other):
        one.pulse(0, 0, EVERYWHERE, 20, True)
    assert torch.equal(levels(chip), levels(other))
    third = chip_with(**law)
    third.load_state_dict(chip.state_dict())
    for one in (chip, third):
        one.pulse(0, 0, (0, slice(0, 5), slice(None)), 20, False)
    assert torch.equal(levels(chip), levels(third))
    assert torch.equal(chip.usage(0, 0)[0], third.usage(0, 0)[0])


@pytest.mark.parametrize("shapes", [[(N, N)], [(1, N, N)], [(2, N, N + 1)], [(2, 1, 1)], [(2, N, N), (2, N, N)], []])
@pytest.mark.parametrize("masks", [False, True])
def test_cells_of_another_shape_are_not_written(shapes, masks):
    chip = chip_with()
    set_level(chip, 0.25)
    there = [torch.full((2, N, N), 5e-6, dtype=torch.float64)]
    wrong = [torch.ones(shape, dtype=torch.bool if masks else torch.float64) for shape in shapes]
    with pytest.raises(ValueError, match=rf"(masks|targets) of shape .* expected .*\(2, {N}, {N}\)"):
        chip.program(0, there, wrong) if masks else chip.program(0, wrong)
    assert (levels(chip) - 0.25).abs().max() < 1e-9
