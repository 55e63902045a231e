"""Random telegraph noise of 1e5 cells against the two-state process: mean, spread, memory, and the chip's clock."""

import math

import pytest
import torch

from emulator.cells import telegraph
from emulator.chip import Chip
from firmware_specs.chains import dense_chain
from firmware_specs.datasheet import Datasheet, load
from firmware_specs.datasheet.noise import Telegraph

N = 316
CELLS = N * N
G_S = 10e-6
LAW = {"amplitude": 0.1, "up_s": 3.0, "down_s": 1.0}
P, RATE = 0.75, 1 / 3 + 1


def sheet(**law):
    plain = load("ideal").model_dump(exclude_unset=True)
    plain["cells"] |= {"g_min_s": 0.0, "g_max_s": 25e-6}
    return Datasheet.model_validate(plain | {"telegraph": law})


def chip_of(seed=3, **law):
    chip = Chip(sheet(**law), seed, dtype=torch.float64)
    chip.configure(0, dense_chain([N, N], bias=False))
    chip.program(0, [torch.full((2, N, N), G_S, dtype=torch.float64)])
    return chip


def levels(chip):
    """Relative conductances of one plane, flat."""
    return chip.conductances_s(0)[0][0].flatten() / G_S


@pytest.mark.parametrize("waits_s", [(), (0.1,) * 20, (1000.0,)], ids=["new", "after many steps", "after one long one"])
def test_mean_and_spread_are_stationary_from_the_start(waits_s):
    chip = chip_of(**LAW)
    for wait_s in waits_s:
        chip.wait(wait_s)
        chip.conductances_s(0)
    seen, sigma = levels(chip), 0.1 * math.sqrt(P * (1 - P))
    assert set(seen.mul(1e6).round().long().tolist()) == {1_050_000, 950_000}
    assert abs(float(seen.mean()) - (1 + 0.1 * (P - 0.5))) < 4.5 * sigma / math.sqrt(CELLS)
    # of a two-valued variable the spread follows from the share of the upper level
    assert float(seen.std()) == pytest.approx(sigma, abs=4.5 * 0.1 * abs(1 - 2 * P) / (2 * math.sqrt(CELLS)) + 1e-6)


@pytest.mark.parametrize("step_s", [0.01, 0.3, 1.0])
def test_memory_fades_with_the_sum_of_both_rates(step_s):
    chip = chip_of(**LAW)
    trace = [levels(chip)]
    for _ in range(4):
        chip.wait(step_s)
        trace.append(levels(chip))
    start = trace[0] - trace[0].mean()
    for number, later in enumerate(trace):
        seen = float((start * (later - later.mean())).mean() / (start.std() * later.std()))
        assert abs(seen - math.exp(-RATE * number * step_s)) < 4.5 / math.sqrt(CELLS) * 1.5


def test_amplitudes_and_dwell_times_belong_to_the_device():
    law = Telegraph(**LAW, amplitude_d2d=0.5, dwell_d2d=0.3, share=0.4)
    traps = telegraph.draw(law, (CELLS,), torch.device("cpu"), 7)
    there = traps.amplitude > 0
    assert abs(float(there.double().mean()) - 0.4) < 4.5 * math.sqrt(0.24 / CELLS)
    logs = torch.log(traps.amplitude[there])
    count = int(there.sum())
    assert abs(float(logs.mean()) - math.log(0.1)) < 4.5 * 0.5 / math.sqrt(count)
    assert abs(float(logs.std()) / 0.5 - 1) < 4.5 / math.sqrt(2 * count)
    for times, middle in ((traps.up_s, 3.0), (traps.down_s, 1.0)):
        assert abs(float(torch.log(times).mean()) - math.log(middle)) < 4.5 * 0.3 / math.sqrt(CELLS)
        assert abs(float(torch.log(times).std()) / 0.3 - 1) < 4.5 / math.sqrt(2 * CELLS)


def test_each_device_spends_its_own_share_of_time_in_its_upper_level():
    law = Telegraph(**LAW, dwell_d2d=1.0)
    traps = telegraph.draw(law, (50,), torch.device("cpu"), 1)
    up, generator, seen = telegraph.first(traps, 1), torch.Generator().manual_seed(0), torch.zeros(50)
    for _ in range(4000):
        up = telegraph.later(traps, up, 1000.0, generator)  # long enough for independent states
        seen += up
    expected = traps.occupancy
    error = (expected * (1 - expected) / 4000).sqrt()
    assert float(((seen / 4000 - expected).abs() / error).max()) < 4.5


def test_no_amplitude_is_no_noise_and_a_time_too_short_changes_nothing():
    silent = chip_of(amplitude=0.0)
    assert float((levels(silent) - 1).abs().max()) < 1e-8
    chip = chip_of(**LAW)
    before = levels(chip).clone()
    chip.wait(1e-4)
    assert torch.equal(levels(chip), before)
    assert torch.equal(before, levels(chip_of(**LAW)))
    assert not torch.equal(before, levels(chip_of(seed=4, **LAW)))


def test_a_restored_chip_goes_on_switching_bit_by_bit():
    chip, other = chip_of(**LAW), chip_of(**LAW)
    chip.wait(2.0)
    chip.conductances_s(0)
    other.load_state_dict({name: value.clone() for name, value in chip.state_dict().items()})
    for each in (chip, other):
        each.wait(0.7)
    assert torch.equal(levels(chip), levels(other))


def test_levels_without_dwell_times_are_refused():
    with pytest.raises(ValueError, match="needs up_s and down_s"):
        Telegraph(amplitude=0.1)
