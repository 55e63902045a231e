"""The rack driver in front of a virtual rack, in process: what it measures, against what the crossbar is."""

import numpy as np
import pytest

from drivers.errors import OutOfRange
from drivers.loopback import Loopback
from drivers.rack import cells
from drivers.rack.rig import Rig
from emulator.rack.rack import VirtualRack
from firmware_specs.racks import load_rack


def bench(name, **dut):
    rack = load_rack(name)
    if "timing" in dut:
        rack = rack.model_copy(update={"timing": rack.timing.model_copy(update=dut.pop("timing"))})
    virtual = VirtualRack(rack.model_copy(update={"dut": rack.dut.model_copy(update=dut)}))
    return virtual, Rig(virtual.rack, lambda box, spec, _: Loopback(virtual.feed(box), box))


@pytest.mark.parametrize("name", ["keithley-8x8", "keysight-8x8"])
def test_a_map_is_within_the_stated_accuracy_of_every_cell(name):
    virtual, rig = bench(name)
    with rig:
        got = cells.conductance_map(rig)
    truth = virtual.bench.crossbar.g_s
    assert np.all(np.abs(got.g_s - truth) <= got.uncertainty_s)
    assert np.median(got.uncertainty_s / truth) < 0.005
    assert len(got.open_cells) == 0


@pytest.mark.parametrize("parking", ["ground", "half"])
@pytest.mark.parametrize("wire_ohm", [0.0, 2.0])
def test_a_16x16_map_finds_stuck_and_open_cells_with_and_without_wire_resistance(parking, wire_ohm):
    virtual, rig = bench(
        "bench-16x16", wire_ohm=wire_ohm, stuck=0.02, open=0.02, timing={"wire_ohm": wire_ohm, "contact_ohm": 0.1}
    )
    with rig:
        got = cells.conductance_map(rig, parking=parking)
    bar = virtual.bench.crossbar
    assert np.all(np.abs(got.g_s - bar.g_s) <= got.uncertainty_s)
    assert bar.dead.sum() > 0
    assert {tuple(cell) for cell in got.open_cells} == {tuple(cell) for cell in np.argwhere(bar.dead)}


def test_an_iv_curve_is_ohmic_where_the_cell_is():
    virtual, rig = bench("bench-16x16")
    with rig:
        got = cells.curve(rig, 3, 7, np.linspace(-0.2, 0.2, 9))
    assert np.allclose(got.amps, got.volts * virtual.bench.crossbar.g_s[3, 7], rtol=3e-3, atol=5e-9)


def test_products_by_column_agree_with_the_conductances():
    virtual, rig = bench("bench-16x16")
    wanted = np.random.default_rng(0).uniform(-0.2, 0.2, 16)
    with rig:
        volts, amps = cells.product(rig, wanted)
    assert np.allclose(volts, wanted, atol=4e-3)
    assert np.allclose(amps, volts @ virtual.bench.crossbar.g_s, rtol=2e-3, atol=1e-7)


def test_reading_beyond_the_limit_is_refused_before_anything_is_sourced():
    virtual, rig = bench("bench-16x16")
    with rig:
        for call in (lambda: cells.conductance_map(rig, 0.5), lambda: cells.curve(rig, 0, 0, np.array([0.1, np.nan]))):
            with pytest.raises(OutOfRange, match="nothing was sent"):
                call()
    assert not [e for e in virtual.log.of("level") if e.value != 0]
