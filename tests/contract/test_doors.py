from functools import cache

import pytest
import torch

from emulator.chip import Chip
from firmware_specs.chains import dense_chain
from firmware_specs.datasheet import load
from firmware_specs.topology import Conv, Layer, Topology
from hil.counterparts.emulator import EmulatorBench
from hil.counterparts.product import ProductBench

SHEETS = ("mixed-8bit", "discrete-board")
CONV = Topology(
    layers=(Layer(shape=(2, 6, 6), slope=0.5), Layer(shape=(3, 3, 3), clamped=False)),
    couplings=(Conv(pre=0, post=1, kernel=3, pool=True),),
)


def parameters(topology, seed=1):
    generator = torch.Generator().manual_seed(seed)
    found = {}
    for index, coupling in enumerate(topology.couplings):
        rows, columns = topology.cells(coupling)
        drawn = torch.randn(columns, rows - 1, generator=generator) * 0.1
        found[f"weight_{index}"] = drawn.view(topology.weight_shape(coupling))
        found[f"bias_{index}"] = torch.randn(columns, generator=generator) * 0.1
    return found


def currents(topology, batch=5, seed=2):
    generator = torch.Generator().manual_seed(seed)
    drive = torch.randn(batch, *topology.drive_shape, generator=generator)
    nudge = torch.randn(batch, *topology.nudge_shape, generator=generator) * 0.1
    return drive, nudge


def every_state(settled):
    return [*settled.free, *(state for nudged in settled.nudged for state in nudged)]


TOPOLOGIES = {"two": dense_chain([20, 10]), "three": dense_chain([12, 8, 4]), "conv": CONV}


def three_steps(block, topology):
    """What a block answers to three steps, new weights before the first and the last."""
    for step in range(3):
        done = block.program(parameters(topology, step // 2))
        drive, nudge = currents(topology, seed=step)
        yield done, block.settle(drive, [nudge, -nudge])


@cache
def in_process(sheet, name):
    """The same for every door: asked once."""
    bench = EmulatorBench(Chip(load(sheet), 3), "process")
    return list(three_steps(bench.place(TOPOLOGIES[name]), TOPOLOGIES[name]))


@pytest.mark.parametrize("sheet", SHEETS)
@pytest.mark.parametrize("name", TOPOLOGIES)
def test_same_seed_gives_the_same_states_through_every_door(open_both, sheet, name):
    _, device = open_both(sheet, seed=3)
    far = three_steps(device.place(TOPOLOGIES[name]), TOPOLOGIES[name])
    for (written, mine), (also, theirs) in zip(in_process(sheet, name), far, strict=True):
        assert written == also
        for a, b in zip(every_state(mine), every_state(theirs), strict=True):
            assert a.dtype == b.dtype and torch.equal(a, b)
        for a, b in zip(mine.phases, theirs.phases, strict=True):
            assert torch.equal(a.settled, b.settled) and torch.equal(a.iterations, b.iterations)
            assert torch.equal(a.clipped_drives, b.clipped_drives) and torch.equal(a.rail_codes, b.rail_codes)


def test_training_steps_with_loaded_states_are_alike_through_every_door(open_both):
    topology = dense_chain([128, 64], slope=0.5)
    process, device = open_both("discrete-board")
    first, second = process.place(topology), device.place(topology)
    draw = torch.Generator().manual_seed(0)
    weights = {"weight_0": torch.randn(64, 128, generator=draw) * 0.05, "bias_0": torch.zeros(64)}
    for _ in range(5):
        assert first.program(weights) == second.program(weights)
        drive = torch.randn(32, 128, generator=draw) * 0.3
        nudge = torch.randn(32, 64, generator=draw) * 0.01
        mine, theirs = first.settle(drive), second.settle(drive)
        mine = first.settle(drive, [nudge, -nudge], mine.free)
        theirs = second.settle(drive, [nudge, -nudge], theirs.free)
        for a, b in zip(every_state(mine), every_state(theirs), strict=True):
            assert torch.equal(a, b)
        weights = {name: w + torch.randn(w.shape, generator=draw) * 0.002 for name, w in weights.items()}


PRODUCTS = {"arc-two-32x32-like": [36, 9], "openmena-8x8-like": [9, 9, 3]}


def two_steps(block, topology):
    for step in range(2):
        done = block.program(parameters(topology, step))
        drive, nudge = currents(topology, batch=3, seed=step)
        yield done, block.settle(drive, [nudge])


@cache
def products_in_process(sheet):
    """The same for every door, with the report after it: asked once."""
    bench, topology = ProductBench(Chip(load(sheet), 3), "process"), dense_chain(PRODUCTS[sheet], slope=0.5)
    return list(two_steps(bench.place(topology), topology)), bench.report()


@pytest.mark.parametrize("sheet", PRODUCTS)
def test_same_seed_gives_the_same_products_through_every_door(open_both, sheet):
    topology = dense_chain(PRODUCTS[sheet], slope=0.5)
    _, device = open_both(sheet, seed=3)
    near, report = products_in_process(sheet)
    for (written, mine), (also, theirs) in zip(near, two_steps(device.place(topology), topology), strict=True):
        assert written == also
        for a, b in zip(every_state(mine), every_state(theirs), strict=True):
            assert torch.equal(a, b)
        for a, b in zip(mine.phases, theirs.phases, strict=True):
            assert torch.equal(a.iterations, b.iterations) and torch.equal(a.residual, b.residual)
            assert torch.equal(a.clipped_drives, b.clipped_drives) and torch.equal(a.rail_codes, b.rail_codes)
    assert report == device.report()


def test_ideal_chip_differs_by_its_wire_codes_only(open_both):
    topology = dense_chain([20, 10])
    process, device = open_both("ideal")
    first, second = process.place(topology), device.place(topology)
    first.program(parameters(topology)), second.program(parameters(topology))
    drive, nudge = currents(topology)
    mine, theirs = first.settle(drive, [nudge]), second.settle(drive, [nudge])
    for a, b in zip((*mine.free, *mine.nudged[0]), (*theirs.free, *theirs.nudged[0]), strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=3e-6)
