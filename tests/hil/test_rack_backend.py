"""The rack at the value seam, in process: what is written, what is planned, what is refused."""

import pytest
import torch

from drivers.deed_file import DeedFile
from drivers.errors import BudgetSpent, OutOfRange
from drivers.loopback import Loopback
from drivers.rack.rig import Rig
from emulator.rack.rack import VirtualRack
from firmware_specs.chains import dense_chain
from firmware_specs.racks import load_rack
from firmware_specs.topology import Dense, Layer, Topology
from hil.counterparts.rack import RackBench
from hil.counterparts.seam import PlacementError


def bench(**limits):
    rack = load_rack("bench-16x16")
    rack = rack.model_copy(update={"limits": rack.limits.model_copy(update=limits)})
    virtual = VirtualRack(rack)
    rig = Rig(rack, lambda box, spec, _: Loopback(virtual.feed(box), box))
    return virtual, RackBench(rig, "rack:test")


def network(hidden=4, outputs=2, sources=3, **layer):
    layers = (Layer(shape=(hidden,), **layer), Layer(shape=(outputs,), clamped=False))
    couplings = (Dense(pre=-1, post=0, bias=False), Dense(pre=0, post=1, bias=False))
    return Topology(substrate="resistive", source=(sources,), layers=layers, couplings=couplings)


def weights(seed=0):
    draw = torch.Generator().manual_seed(seed)
    return {
        "weight_0": torch.rand(4, 3, generator=draw) * 1.5 + 0.2,
        "weight_1": torch.rand(2, 4, generator=draw) * 1.5 + 0.2,
    }


def test_a_weight_that_moved_less_than_the_tolerance_is_left_alone():
    virtual, rack = bench()
    with rack:
        array = rack.place(network())
        first = array.program(weights())
        spent = rack.rig.spent.pulses.copy()
        moved = weights()
        moved["weight_0"][0, 0] += 0.02  # 1 % of the range; the tolerance is 2 %
        again = array.program(moved)
        moved["weight_0"][0, 0] += 0.2
        third = array.program(moved)
    assert first.written > 20
    assert (again.written, third.written) == (0, 1)
    assert (rack.rig.spent.pulses != spent).sum() <= 1
    assert virtual.bench.crossbar.g_s[0, 0] == pytest.approx(float(moved["weight_0"][0, 0]) * 1e-4, abs=4e-6)


def test_states_are_those_of_the_reference_network():
    _, rack = bench()
    drive = torch.tensor([[5.0, -5.0, 2.0], [1.0, 4.0, -3.0]])
    with rack:
        array = rack.place(network())
        array.program(weights())
        settled = array.settle(drive, [torch.full((2, 2), 2.0)])
        report = rack.report()
    from emulator.network import Stop
    from hil.counterparts.reference import ReferenceBench

    exact = ReferenceBench(Stop(500, 1e-9)).place(network())
    exact.program(weights())
    want = exact.settle(drive, [torch.full((2, 2), 2.0)])
    for got, true in zip((*settled.free, *settled.nudged[0]), (*want.free, *want.nudged[0]), strict=True):
        assert torch.allclose(got, true, atol=0.35)  # spare cells at the lowest conductance load the nodes a little
    assert settled.seconds > 0
    assert report["phases"] == 4
    assert report["cells_off_target"] == 0


def test_a_stuck_cell_is_reported_not_hidden():
    virtual, rack = bench()
    virtual.bench.crossbar.stuck[1, 1] = True
    virtual.bench.crossbar.g_s[1, 1] = 1.9e-4
    with rack:
        array = rack.place(network())
        array.program(weights() | {"weight_0": torch.full((4, 3), 0.5)})
        assert rack.report()["cells_off_target"] == 1


def test_a_run_beyond_the_pulse_budget_is_refused_before_anything_is_on():
    virtual, rack = bench(pulses_per_cell=3)
    with rack:
        rack.place(network())
        with pytest.raises(BudgetSpent, match="pulses a cell, the bench allows 3"):
            rack.plan(100, 10, 5, 10, 10, 2)
    assert not [e for e in virtual.log.of("output") if e.value]


@pytest.mark.parametrize(
    ("topology", "reason"),
    [
        (dense_chain([4, 2]), "must be resistive"),
        (
            Topology(
                substrate="resistive", source=(3,), layers=(Layer(shape=(2,)),), couplings=(Dense(pre=-1, post=0),)
            ),
            "bias = false",
        ),
        (network(slope=2.0), "no amplifiers"),
    ],
)
def test_blocks_a_rack_cannot_be_are_refused_with_the_reason(topology, reason):
    _, rack = bench()
    with rack, pytest.raises(PlacementError, match=reason):
        rack.place(topology)


def test_more_outputs_than_nudge_sources_are_refused():
    _, rack = bench()
    with rack, pytest.raises(OutOfRange, match="4 outputs need as many nudge sources"):
        rack.place(network(outputs=4))


def test_the_ledger_counts_what_the_virtual_instruments_did(tmp_path):
    virtual, rack = bench()
    with DeedFile(tmp_path / "ledger.bin") as file, rack, rack.counting(file):
        array = rack.place(network())
        array.program(weights())
        array.settle(torch.tensor([[5.0, -5.0, 2.0], [1.0, 4.0, -3.0]]), [torch.full((2, 2), 2.0)], reads=3)
        standing = rack.standing()
        cells = rack.cells()["crossbar"]
        done = rack.deeds()
        assert file.total == done
    log = virtual.bench.log
    at, high = rack.rig.rack.roles.force, rack.rig.limits.pulse_v
    volts = [e.value for e in log.of("level") if e.subject == at and abs(e.value) == pytest.approx(high)]
    assert (done.pulses_up, done.pulses_down) == (sum(v > 0 for v in volts), sum(v < 0 for v in volts))
    assert done.pulses_up > 0 and cells.pulses.sum() == len(volts)
    assert (done.free, done.nudged) == (2 + 1, 2)  # the first is looked at twice: is it at rest?
    assert done.adc == len(log.of("reading"))
    assert standing["outputs"] and any(i["output"].startswith("on") for i in standing["instruments"])
    assert all(not i["compliance"] for i in standing["instruments"] if i["output"] == "off")
    assert not rack.standing()["outputs"]
