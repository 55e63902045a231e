"""A restored chip goes on bit by bit, with every effect of the presets, wherever it was interrupted."""

import pytest
import torch

from emulator.chip import Chip
from emulator.crossbar import EVERYWHERE
from firmware_specs.chains import dense_chain
from firmware_specs.datasheet import load

TOPOLOGY = dense_chain([20, 12])


def act(chip, step):
    """One of the things a training and its bench do, by number; what it shows."""
    generator = torch.Generator().manual_seed(step)
    cells = chip.datasheet.cells
    match step % 6:
        case 0:
            chip.program(0, [cells.g_min_s + torch.rand(2, 21, 12, generator=generator) * cells.span_s / 4])
        case 1:
            chip.pulse(0, 0, (0, slice(None), slice(None)), 2, True)
        case 2:
            chip.wait(3600.0)
        case 3:
            return chip.measure(0, 0, EVERYWHERE, [0.1], reads=2)
        case 4:
            chip.conditions.set_temperature(300.0 + step)
    unit_a = chip.datasheet.neurons.state_unit_v / chip.datasheet.neurons.transimpedance_ohm
    drive = torch.rand(4, 20, generator=generator) * unit_a
    readings = chip.settle(0, drive, [torch.full((4, 12), 0.1 * unit_a)], reads=2)
    return torch.cat([s.flatten() for r in readings for s in r.states_v])


@pytest.mark.parametrize("sheet", ["pcm", "reram", "ecram", "mixed-8bit"])
@pytest.mark.parametrize("cut", [1, 3, 5, 8])
def test_a_restored_chip_goes_on_bit_by_bit(sheet, cut):
    steps = range(12)
    whole, first, second = (Chip(load(sheet), 5) for _ in range(3))
    for chip in (whole, first, second):
        chip.configure(0, TOPOLOGY)
    expected = [act(whole, n) for n in steps]
    for n in steps[:cut]:
        act(first, n)
    second.load_state_dict({name: value.clone() for name, value in first.state_dict().items()})
    seen = [act(second, n) for n in steps[cut:]]
    assert all(torch.equal(a, b) for a, b in zip(seen, expected[cut:], strict=True))
    assert second.conditions.state().tolist() == whole.conditions.state().tolist()
    ours, theirs = second.state_dict(), whole.state_dict()
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
