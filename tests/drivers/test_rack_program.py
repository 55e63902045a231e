"""Pulses with write-verify on a virtual rack: targets are met, neighbours are left alone, budgets stop hard."""

import numpy as np
import pytest

from drivers.errors import BudgetSpent, OutOfRange
from drivers.loopback import Loopback
from drivers.rack.cells import select
from drivers.rack.program import PulseLaw, pulse, pulse_mode, write
from drivers.rack.rig import Rig
from emulator.rack.rack import VirtualRack
from firmware_specs.racks import load_rack


def bench(name="bench-16x16", limits=None, **dut):
    rack = load_rack(name)
    rack = rack.model_copy(
        update={
            "dut": rack.dut.model_copy(update=dut),
            "limits": rack.limits.model_copy(update=limits or {}),
        }
    )
    virtual = VirtualRack(rack)
    return virtual, Rig(rack, lambda box, spec, _: Loopback(virtual.feed(box), box))


def test_cells_reach_their_targets_in_a_few_pulses_and_their_neighbours_stay():
    virtual, rig = bench(initial="low")
    before = virtual.bench.crossbar.g_s.copy()
    target = np.full((16, 16), np.nan)
    target[2:6, 3:9] = np.random.default_rng(0).uniform(1e-5, 2e-4, (4, 6))
    with rig:
        got = write(rig, target, PulseLaw())
    truth = virtual.bench.crossbar.g_s
    asked = ~np.isnan(target)
    assert len(got.missed) == 0
    assert np.abs(truth[asked] - target[asked]).max() < 0.03 * 1.9e-4
    assert np.array_equal(truth[~asked], before[~asked])
    assert got.pulses[asked].mean() < 6
    assert got.pulses[~asked].sum() == 0


def test_a_stuck_cell_is_reported_after_its_tries():
    virtual, rig = bench(initial="low")
    virtual.bench.crossbar.stuck[1, 1] = True
    target = np.full((16, 16), np.nan)
    target[1, 1] = 1e-4
    with rig:
        got = write(rig, target, tries=7)
    assert got.missed.tolist() == [[1, 1]]
    assert got.pulses[1, 1] == 7


def test_no_cell_gets_more_pulses_than_its_budget():
    virtual, rig = bench(limits={"pulses_per_cell": 5}, initial="low")
    virtual.bench.crossbar.stuck[1, 1] = True
    target = np.full((16, 16), np.nan)
    target[1, 1] = 1e-4
    with rig, pytest.raises(BudgetSpent, match="cell \\(1, 1\\) would have 6 pulses"):
        write(rig, target)
    pulses = [e for e in virtual.log.of("level") if e.subject == "smu1.a" and abs(e.value) > 1]
    assert len(pulses) == 5
    assert not virtual.bench.outputs_on()


@pytest.mark.parametrize(
    ("volts", "width_s", "count"), [(2.5, 1e-4, 1), (1.0, 1e-2, 1), (1.0, 1e-4, 0), (np.nan, 1e-4, 1)]
)
def test_pulses_beyond_the_limits_never_reach_the_wire(volts, width_s, count):
    virtual, rig = bench(initial="low")
    with rig:
        pulse_mode(rig)
        select(rig, 0, 0, "half")
        with pytest.raises(OutOfRange):
            pulse(rig, volts, width_s, count, 0, 0)
    assert not [e for e in virtual.log.of("level") if e.value != 0]


def test_a_rack_whose_smu_cannot_time_pulses_says_so():
    _, rig = bench("keithley-8x8")
    with rig, pytest.raises(OutOfRange, match=r"needs roles\.bias"):
        write(rig, np.full((8, 8), 1e-4))


def test_writing_finds_every_stuck_and_open_cell():
    virtual, rig = bench(stuck=0.04, open=0.04)
    target = np.full((16, 16), np.nan)
    target[:6] = 1e-4
    with rig:
        got = write(rig, target)
    bar = virtual.bench.crossbar
    bad = (bar.stuck | bar.dead) & ~np.isnan(target)
    assert bar.stuck[:6].any() and bar.dead[:6].any()
    assert {tuple(cell) for cell in got.missed} == {tuple(cell) for cell in np.argwhere(bad)}
