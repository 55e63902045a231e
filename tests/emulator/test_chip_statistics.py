"""Noise and mismatch of a chip, measured from outside through its states, against the datasheet's figures.

Confidence intervals are wide enough (four standard errors and more) that a right chip fails them once in 10,000 seeds;
seeds are fixed, so a passing test keeps passing.
"""

import pytest
import torch
from scipy import stats

from emulator.chip import Chip
from firmware_specs.chains import dense_chain
from firmware_specs.datasheet import Datasheet, load

UNITS = 64


def sheet(**changes: dict) -> Datasheet:
    """`mixed-8bit` without any effect but the ones asked for, with ideal converters of wide range."""
    document = load("mixed-8bit").model_dump(mode="json")
    for name in ("drive_dac", "nudge_dac"):
        document[name] |= {"bits": 0, "low_a": -4e-3, "high_a": 4e-3}
    for name in ("state_adc", "output_adc"):
        document[name] |= {"bits": 0, "noise_sigma_v": 0.0, "low_v": -5.0, "high_v": 5.0}
    document["limits"]["max_drive_a"] = 1.0
    document["neurons"] |= {"gain_mismatch_sigma": 0.0, "offset_mismatch_sigma_v": 0.0}
    document["cells"] |= {"programming_noise": 0.0}
    for section, values in changes.items():
        document[section] |= values
    return Datasheet.model_validate(document)


def blank(datasheet: Datasheet, seed: int = 0, layers: int = 2) -> Chip:
    chip = Chip(datasheet, seed, dtype=torch.float64)
    chip.configure(0, dense_chain([UNITS] * layers))
    return chip


def current(chip: Chip, state: torch.Tensor) -> torch.Tensor:
    """Drive in amperes that a neuron of slope 1 turns into a state."""
    return state.double() / chip.datasheet.neurons.transimpedance_ohm


def weights_seen(chip: Chip) -> torch.Tensor:
    """Weights (post, pre) as the network feels them: each input in turn held at its upper rail, the others at 0."""
    drive = torch.eye(UNITS) * 60 - 30
    states = chip.settle(0, current(chip, drive))[0].states_v
    assert torch.equal(states[0], torch.eye(UNITS).double())
    return states[1].T


def within(samples: torch.Tensor, mean: float, sigma: float) -> None:
    """Mean and variance of independent samples lie in their confidence intervals, and the shape is normal."""
    flat = samples.flatten().double().numpy()
    count = len(flat)
    assert abs(flat.mean() - mean) < 4 * sigma / count**0.5
    low, high = stats.chi2.ppf([5e-5, 1 - 5e-5], count - 1) / (count - 1)
    assert low < flat.var(ddof=1) / sigma**2 < high
    assert stats.kstest(flat, stats.norm(mean, sigma).cdf).pvalue > 1e-4


def test_state_noise_has_the_datasheets_sigma_and_no_bias():
    chip = blank(sheet(state_adc={"noise_sigma_v": 0.004}, output_adc={"noise_sigma_v": 0.02}))
    half = torch.full((300, UNITS), 0.5)
    states = chip.settle(0, current(chip, half))[0].states_v
    within(states[0] - 0.5, 0.0, 0.004)
    within(states[1], 0.0, 0.02)


def test_readings_of_one_transaction_and_of_two_are_independent():
    chip = blank(sheet(state_adc={"noise_sigma_v": 0.01}))
    drive = current(chip, torch.full((100, UNITS), 0.5))
    free, nudged = chip.settle(0, drive, [torch.zeros(100, UNITS)])
    again = chip.settle(0, drive)[0]
    for a, b in ((free, nudged), (free, again)):
        pair = torch.stack([a.states_v[0].flatten(), b.states_v[0].flatten()])
        assert abs(float(torch.corrcoef(pair)[0, 1])) < 4 / pair.shape[1] ** 0.5


def test_gain_mismatch_is_measured_as_the_slope_of_every_neuron():
    chip = blank(sheet(neurons={"gain_mismatch_sigma": 0.02}), seed=5, layers=8)
    low, high = torch.full((1, UNITS), 0.2), torch.full((1, UNITS), 0.8)
    states = chip.settle(0, current(chip, torch.cat([low, high])))[0].states_v[0]
    slopes = (states[1] - states[0]) / 0.6
    within(torch.stack([slopes]), 1.0, 0.02)


def test_offset_mismatch_is_measured_at_the_summing_node():
    chip = blank(sheet(neurons={"offset_mismatch_sigma_v": 0.01}), seed=6)
    states = chip.settle(0, current(chip, torch.full((1, UNITS), 0.5)))[0].states_v
    within(torch.cat([states[0] - 0.5, states[1]]), 0.0, 0.01)


def test_programming_noise_follows_its_law_with_the_idle_cell_clipped_at_its_lowest_conductance():
    sigma = 0.01
    chip = blank(sheet(cells={"programming_noise": sigma}))
    cells = chip.datasheet.cells
    target = torch.full((2, UNITS + 1, UNITS), cells.g_min_s, dtype=torch.float64)
    target[0, :-1] = cells.g_min_s + cells.span_s / 2
    chip.program(0, [target])
    error = weights_seen(chip) / (cells.span_s * chip.datasheet.neurons.transimpedance_ohm) - 0.5
    # the bias line and the G- cell sit at g_min: their noise is half clipped, max(0, n)
    half_mean, half_variance = sigma / (2 * torch.pi) ** 0.5, sigma**2 * (0.5 - 1 / (2 * torch.pi))
    bias = error.mean(1) + half_mean
    assert float(bias.mean().abs()) < 5 * sigma / UNITS**0.5
    centered = error - error.mean(1, keepdim=True)
    expected = (sigma**2 + half_variance) * (UNITS - 1) / UNITS
    assert float(centered.var()) == pytest.approx(expected, rel=0.08)


def test_conductances_never_leave_their_range():
    chip = blank(sheet(cells={"programming_noise": 0.2}))
    cells = chip.datasheet.cells
    for target in (cells.g_min_s, cells.g_max_s, 1.0, -1.0):
        chip.program(0, [torch.full((2, UNITS + 1, UNITS), target, dtype=torch.float64)])
        written = chip.conductances_s(0)[0]
        assert cells.g_min_s <= float(written.min()) <= float(written.max()) <= cells.g_max_s


def test_a_seed_is_a_specimen():
    noisy = load("mixed-8bit")

    def states(seed: int, configure_twice: bool = False) -> torch.Tensor:
        chip = blank(noisy, seed)
        if configure_twice:
            chip.configure(0, dense_chain([UNITS] * 2))
        return chip.settle(0, current(chip, torch.full((2, UNITS), 0.5)))[0].states_v[0]

    assert torch.equal(states(1), states(1))
    assert torch.equal(states(1), states(1, configure_twice=True))
    assert not torch.equal(states(1), states(2))


@pytest.mark.parametrize(
    "section",
    [{"faults": {"stuck_on": 0.02, "stuck_off": 0.02}}, {"faults": {"open_rows": 0.1, "open_columns": 0.1}},
     {"telegraph": {"amplitude": 0.5, "up_s": 1e6, "down_s": 1e6, "share": 0.1, "traps": 2}}],
    ids=["stuck cells", "dead lines", "traps"],
)  # fmt: skip
def test_what_is_broken_is_at_the_same_place_whatever_block_is_placed(section):
    plain = sheet().model_dump(mode="json", exclude_unset=True) | section

    def seen(rows: int, columns: int, *, bias: bool, seed: int = 3) -> torch.Tensor:
        chip = Chip(Datasheet.model_validate(plain), seed, dtype=torch.float64)
        chip.configure(0, dense_chain([rows, columns], bias=bias))
        target = torch.full((2, rows + bias, columns), chip.datasheet.cells.g_max_s / 2, dtype=torch.float64)
        chip.program(0, [target])
        return chip.conductances_s(0)[0]

    small = seen(40, 30, bias=False)
    assert len(small.unique()) > 1
    assert not torch.equal(small, seen(40, 30, bias=False, seed=4))
    assert torch.equal(small, seen(40, 30, bias=True)[:, :40])
    assert torch.equal(small, seen(64, 48, bias=True)[:, :40, :30])


def test_mismatch_stays_while_read_noise_changes_and_arrays_differ():
    chip = blank(sheet(neurons={"offset_mismatch_sigma_v": 0.01}), seed=3)
    chip.configure(1, dense_chain([UNITS] * 2))
    drive = current(chip, torch.full((1, UNITS), 0.5))
    assert torch.equal(chip.settle(0, drive)[0].states_v[0], chip.settle(0, drive)[0].states_v[0])
    assert not torch.equal(chip.settle(0, drive)[0].states_v[0], chip.settle(1, drive)[0].states_v[0])


def test_cells_that_are_not_written_keep_their_conductance_under_programming_noise():
    chip = blank(sheet(cells={"programming_noise": 0.01}))
    cells = chip.datasheet.cells
    target = torch.full((2, UNITS + 1, UNITS), cells.g_min_s + cells.span_s / 2, dtype=torch.float64)
    chip.program(0, [target])
    before = chip.conductances_s(0)[0].clone()
    mask = torch.zeros_like(target, dtype=torch.bool)
    mask[0, :3] = True
    chip.program(0, [target], [mask])
    after = chip.conductances_s(0)[0]
    assert torch.equal(after[~mask], before[~mask])
    assert not torch.equal(after[mask], before[mask])


def test_a_restored_chip_continues_with_the_same_noise():
    chip, other = blank(load("mixed-8bit"), 4), blank(load("mixed-8bit"), 4)
    drive = current(chip, torch.full((3, UNITS), 0.5))
    target = torch.full((2, UNITS + 1, UNITS), 3e-5, dtype=torch.float64)
    chip.program(0, [target])
    chip.settle(0, drive)
    saved = {name: value.clone() for name, value in chip.state_dict().items()}
    wanted = [r.states_v for r in (*chip.settle(0, drive, [drive / 100]), *chip.settle(0, drive))]
    other.load_state_dict(saved)
    got = [r.states_v for r in (*other.settle(0, drive, [drive / 100]), *other.settle(0, drive))]
    assert all(torch.equal(a, b) for x, y in zip(got, wanted, strict=True) for a, b in zip(x, y, strict=True))


def test_drives_beyond_the_dac_and_readings_at_the_rails_are_counted_per_sample():
    chip = blank(load("mixed-8bit").model_copy(update={"neurons": sheet().neurons}))
    reach = chip.datasheet.drive_dac.high_a
    drive = torch.zeros(3, UNITS, dtype=torch.float64)
    drive[1, :5] = 2 * reach
    drive[2, 0] = -2 * reach
    free, nudged = chip.settle(0, drive, [torch.full((3, UNITS), 1.0, dtype=torch.float64)])
    assert free.clipped_drives.tolist() == [0, 5, 1]
    assert nudged.clipped_drives.tolist() == [UNITS, UNITS + 5, UNITS + 1]
