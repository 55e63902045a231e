"""Pulses on rows and columns: through every door the same cells move as in process, and where they meet only."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from drivers.doors import Options
from drivers.errors import BudgetSpent, OutOfRange
from emulator.chip import Chip
from firmware_specs.chains import dense_chain
from firmware_specs.codes import Capability
from firmware_specs.datasheet import Datasheet, load
from firmware_specs.messages import Region, Train
from hil.counterparts.coincidence_plan import Outer
from hil.counterparts.device import DeviceBench
from hil.counterparts.emulator import EmulatorBench

TOPOLOGY = dense_chain([12, 8])
HALVES = {"pulses": {"law": "soft_bounds", "step": 0.01, "threshold_v": 0.6}, "coincidence": {"half_select": 0.5}}


def outer(seed, size=0.02, samples=6):
    draw = torch.Generator().manual_seed(seed)
    lines = (torch.randn(samples, n, generator=draw, dtype=torch.float64) for n in (13, 8))
    return Outer(*(size**0.5 * each for each in lines))


def halves(base="ideal"):
    document = load(base).model_dump(exclude_unset=True)
    return Datasheet.model_validate(document | HALVES)


def bits(*slots, lines):
    found = np.zeros((len(slots), lines), bool)
    for number, on in enumerate(slots):
        found[number, list(on)] = True
    return found


@pytest.mark.parametrize("sheet", ["ecram", "reram"])
def test_trains_reach_the_same_conductances_through_a_door_as_in_process(open_crossbar, door, sheet):
    crossbar, device = open_crossbar(sheet, 3)
    near, far = EmulatorBench(Chip(load(sheet), 3), "emulator:"), DeviceBench(crossbar, door, load(sheet))
    done = []
    for bench in (near, far):
        array = bench.place(TOPOLOGY)
        array.prepare({"weight_0": torch.full((8, 12), 0.05), "bias_0": torch.zeros(8)})
        draws = torch.Generator().manual_seed(5)
        done.append(([array.coincide([[outer(1), outer(2)]], slots, draws) for slots in (1, 7)], array.wear()))
    assert done[0] == done[1] and done[0][0][1].pulses > 100
    assert torch.equal(near.chip.conductances_s(0)[0], device.chip.conductances_s(0)[0])
    for mine, theirs in zip(near.chip.usage(0, 0), device.chip.usage(0, 0), strict=True):
        assert torch.equal(mine, theirs)


def test_tiles_take_their_part_of_every_train_through_a_door_as_in_process(open_both):
    process, device = open_both("pulsed product", seed=3)
    drive, done = torch.linspace(-1, 1, 24).view(2, 12), []
    for bench in (process, device):
        array = bench.place(TOPOLOGY)
        array.prepare({"weight_0": torch.full((8, 12), 0.05), "bias_0": torch.zeros(8)})
        sent = array.coincide([[outer(1)]], 7, torch.Generator().manual_seed(5))
        done.append((sent, array.wear(), array.settle(drive).free))
    assert done[0][:2] == done[1][:2] and done[0][0].pulses > 50
    assert all(torch.equal(a, b) for a, b in zip(done[0][2], done[1][2], strict=True))


def test_a_cell_gets_a_pulse_where_its_lines_meet_and_half_selected_ones_get_warm_alone(open_crossbar):
    crossbar, device = open_crossbar(halves(), 0)
    crossbar.configure(0, TOPOLOGY)
    crossbar.arm()
    crossbar.program(0, [np.full((2, 13, 8), sum(crossbar.g_range_s) / 2)])
    before, (had, heat) = device.chip.conductances_s(0)[0].clone(), device.chip.usage(0, 0)
    had, heat = had.clone(), heat.clone()
    slots = bits((0, 3), (3,), (), lines=4), bits((1,), (0, 1), (0,), lines=2)
    train = Train(Region(0, 0, 1, 2, 4, 3, 2), False, *slots)
    most = crossbar.coincide(0, [train], amplitude_v=1.0, width_s=1e-6)
    used, joules = device.chip.usage(0, 0)
    grown = np.zeros((2, 13, 8), int)
    grown[1, 2, 4], grown[1, 5, 4], grown[1, 5, 3] = 1, 2, 1
    assert (used - had).numpy().tolist() == grown.tolist() and most == 2 + 1
    moved = (device.chip.conductances_s(0)[0] - before).numpy()
    assert ((moved < 0) == (grown > 0)).all()
    warm = ((joules - heat) > 0).numpy()[1, 2:6, 3:5]
    assert warm.tolist() == [[True, True], [True, True], [True, True], [True, True]]
    assert not ((joules - heat) > 0)[0].any() and not ((joules - heat) > 0)[1, :2].any()
    g_s, half_j = float(before[1, 3, 4]), float((joules - heat)[1, 3, 4])  # its column alone, twice
    assert half_j == pytest.approx(2 * 0.5**2 * g_s * 1e-6, rel=1e-3)


def test_what_would_move_half_selected_cells_is_refused(open_crossbar):
    crossbar, device = open_crossbar(halves(), 0)
    crossbar.configure(0, TOPOLOGY)
    crossbar.arm()
    train = Train(Region(0, 0, 0, 0, 2, 0, 2), True, np.ones((1, 2), bool), np.ones((1, 2), bool))
    with pytest.raises(Exception, match=r"half-selected cells would see 0\.75 V"):
        crossbar.coincide(0, [train], amplitude_v=1.5, width_s=1e-6)
    assert int(device.chip.usage(0, 0)[0].max()) == 0
    with pytest.raises(ValueError, match=r"half_select: 0\.5 V would move half-selected cells"):
        Datasheet.model_validate(load("mixed-8bit").model_dump(exclude_unset=True) | {"coincidence": {}})


def test_a_budget_holds_for_all_trains_of_a_request_together(open_crossbar):
    crossbar, device = open_crossbar("ecram", 1, Options(limits={"this test": {"max_pulses_per_cell": 6.0}}))
    crossbar.configure(0, TOPOLOGY)
    crossbar.arm()
    train = Train(Region(0, 0, 0, 0, 2, 0, 2), True, np.ones((3, 2), bool), np.ones((3, 2), bool))
    shape = {"amplitude_v": 1.0, "width_s": 1e-6}
    with pytest.raises(BudgetSpent):
        crossbar.coincide(0, [train, train, train], **shape)
    assert int(device.chip.usage(0, 0)[0].max()) == 0
    assert crossbar.coincide(0, [train, train], **shape) == 6
    with pytest.raises(BudgetSpent):
        crossbar.coincide(0, [train], **shape)
    with pytest.raises(OutOfRange, match="train 1"):
        crossbar.coincide(0, [train, replace(train, rows=train.rows[:2])], **shape)
    with pytest.raises(OutOfRange, match="array 0"):
        crossbar.coincide(0, [replace(train, region=replace(train.region, column=7))], **shape)


def test_a_device_that_cannot_is_not_asked(open_crossbar):
    crossbar, _ = open_crossbar()
    crossbar.configure(0, TOPOLOGY)
    assert not crossbar.info.can(Capability.COINCIDE)
    train = Train(Region(0, 0, 0, 0, 1, 0, 1), True, np.ones((1, 1), bool), np.ones((1, 1), bool))
    with pytest.raises(OutOfRange, match="COINCIDE"):
        crossbar.coincide(0, [train], amplitude_v=1.0, width_s=1e-6)
