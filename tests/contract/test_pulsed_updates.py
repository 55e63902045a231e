"""Pulsed updates through every door move the same cells as in process, and a refresh writes them anew."""

import pytest
import torch

from emulator.chip import Chip
from firmware_specs.chains import dense_chain
from firmware_specs.datasheet import load
from firmware_specs.messages import Region
from hil.counterparts.cell_array import CellArray
from hil.counterparts.device import DeviceBench
from hil.counterparts.emulator import EmulatorBench

TOPOLOGY = dense_chain([12, 8])


def parameters(scale, seed):
    draw = torch.Generator().manual_seed(seed)
    return {
        "weight_0": torch.randn(8, 12, generator=draw).clamp(-2, 2) * scale,
        "bias_0": torch.randn(8, generator=draw).clamp(-2, 2) * scale,
    }


@pytest.mark.parametrize("sheet", ["ecram", "pcm"])
def test_pulses_reach_the_same_conductances_through_a_door_as_in_process(open_crossbar, door, sheet):
    crossbar, device = open_crossbar(sheet, 3)
    near, far = EmulatorBench(Chip(load(sheet), 3), "emulator:"), DeviceBench(crossbar, door, load(sheet))
    arrays = [bench.place(TOPOLOGY) for bench in (near, far)]
    done = []
    for array in arrays:
        assert isinstance(array, CellArray)
        array.prepare(parameters(0.1, 1))
        sent = [array.pulse(parameters(0.05, 2 + step), 31, torch.Generator().manual_seed(step)) for step in range(3)]
        done.append(sent)
    assert done[0] == done[1]
    counts = torch.randint(-5, 6, (13, 8), generator=torch.Generator().manual_seed(9))
    whole = [array.send(0, counts, 31, torch.Generator().manual_seed(10)) for array in arrays]
    assert whole[0] == whole[1] and whole[0].pulses == int(counts.abs().sum())
    worn = [array.wear() for array in arrays]
    assert worn[0] == worn[1] and worn[0].weights == 13 * 8
    # the same rows, to the codes of the wire
    rows = [array.weights(0, slice(2, 7), 4) for array in arrays]
    assert rows[0].shape == (5, 8)
    span = near.chip.datasheet.cells.span_s * near.chip.datasheet.neurons.transimpedance_ohm
    assert float((rows[0] - rows[1]).abs().max()) < 0.1 * span
    assert torch.equal(near.chip.conductances_s(0)[0], device.chip.conductances_s(0)[0])
    assert torch.equal(near.chip.usage(0, 0)[0], device.chip.usage(0, 0)[0])


def test_tiles_are_pulsed_and_refreshed_through_a_door_as_in_process(open_both):
    process, device = open_both("pulsed product", seed=3)
    drive, done, few = torch.linspace(-1, 1, 24).view(2, 12), [], parameters(0.1, 1)
    few["weight_0"][3, 4] += 0.2
    for bench in (process, device):
        array = bench.place(TOPOLOGY)
        assert isinstance(array, CellArray)
        array.prepare(parameters(0.1, 1))
        sent = array.pulse(parameters(0.05, 2), 31, torch.Generator().manual_seed(0))
        states = [array.settle(drive).free]
        written = [array.program(parameters(0.1, 1)), array.program(few)]
        again = array.refresh()
        assert array.weights(0, slice(1, 12), 1).shape == (11, 8) and array.wear().weights == 13 * 8
        states.append(array.settle(drive).free)
        done.append((sent, written, again, states))
    (sent, *counts, mine), (their_sent, *their_counts, theirs) = done
    assert (sent, counts) == (their_sent, their_counts)
    (_, one), again = counts
    assert sent.pulses > 0 and one.written in (1, 2) and again.written == 2 * 13 * 8
    assert all(torch.equal(a, b) for a, b in zip(sum(mine, ()), sum(theirs, ()), strict=True))


def test_a_refresh_writes_every_cell_again(open_crossbar, door):
    crossbar, device = open_crossbar("ecram", 3)
    array = DeviceBench(crossbar, door, load("ecram")).place(TOPOLOGY)
    array.program(parameters(0.1, 1))
    before = device.chip.usage(0, 0)[0].clone()
    done = array.refresh()
    assert done.written == done.cells == before.numel()
    assert torch.equal(device.chip.usage(0, 0)[0], before + 1)


def test_crowded_pairs_of_a_one_sided_law_are_rewritten_through_a_door(open_crossbar, door):
    crossbar, device = open_crossbar("pcm", 3)
    array = DeviceBench(crossbar, door, load("pcm")).place(TOPOLOGY)
    array.prepare(parameters(0.0, 1))
    chip = device.chip
    for plane in (0, 1):  # rows 0 and 1 are full then, both cells
        crossbar.pulse(Region(0, 0, plane, 0, 2, 0, 8), up=True, amplitude_v=1.5, width_s=1e-7, count=300)
    before = chip.usage(0, 0)[0].clone()
    done = array.refresh()
    again = chip.usage(0, 0)[0] - before
    assert 20 < done.written <= 2 * 2 * 8  # all but stuck and short-ranged ones
    assert int(again[:, 2:].sum()) == 0
    assert float(chip.conductances_s(0)[0][:, :2].median()) == pytest.approx(12.55e-6, rel=0.15)
