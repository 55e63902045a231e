"""Weights of several pairs of cells: what calibration sweeps, and how a stuck cell of any pair is balanced."""

import numpy as np
import pytest
import xarray as xr

from emulator.chip import Chip
from firmware_specs.chains import dense_chain
from firmware_specs.datasheet import Datasheet, load
from hil.counterparts.opening.wire import crossbar_of_chip
from hil.measuring.calibrate.measure import measure_array
from hil.measuring.characterize import health
from hil.measuring.characterize.probe import HELD, Probe
from hil.measuring.placed import differences


def chip_with(pairs, name="mixed-8bit", seed=3):
    sheet = load(name).model_dump(exclude_unset=True)
    for converter in ("drive_dac", "nudge_dac", "state_adc", "output_adc"):
        sheet[converter]["bits"] = 12
    sheet["cells"] |= {"pairs": pairs, "significance": 0.5}
    return Chip(Datasheet.model_validate(sheet), seed)


def test_calibration_sweeps_by_cells_and_finds_the_circuits_with_several_pairs_too():
    skipped = []
    for pairs in (1, 3):
        chip = chip_with(pairs)
        with crossbar_of_chip(chip) as crossbar:
            found = measure_array(crossbar, 0, dense_chain([24, 16, 8]))
        skipped.append(found.skipped)
        for layer, transfer in enumerate(found.layers):
            truth = chip.arrays[0].network.neurons[layer]
            gains = (transfer.gain - truth.gain.numpy()) / transfer.gain_sigma
            offsets = (transfer.offset + (truth.offset / truth.gain).numpy()) / transfer.offset_sigma
            assert max(np.abs(gains).max(), np.abs(offsets).max()) < 4.5, (pairs, layer)
    assert skipped[0] == skipped[1]


def test_levels_of_pairs_are_weights_by_their_significance():
    levels = np.array([0.5, 0.1, 0.0, 0.4, 0.8, 0.0])[:, None]
    assert differences(levels, 0.5) == pytest.approx([0.4 - 0.2 + 0.2])
    assert differences(levels[:1], 0.5) == pytest.approx([0.5])


def test_a_cell_stuck_high_in_any_pair_is_balanced_by_its_own_partner():
    chip = chip_with(3)
    with crossbar_of_chip(chip) as crossbar:
        probe = Probe(crossbar, 4, 3)
        probe.health = np.zeros(probe.shape, np.int8)
        probe.seen = np.zeros(probe.shape)
        for plane, row in ((1, 0), (4, 1), (2, 2), (3, 2)):
            probe.health[plane, row, 0], probe.seen[plane, row, 0] = health.STUCK_HIGH, 0.9
        levels = probe.balanced(0.0)
        assert {tuple(int(n) for n in place) for place in np.argwhere(levels > 0)} == {(0, 0, 0), (5, 1, 0)}
        assert levels.max() == pytest.approx(0.9)
        drive = probe.driven(0.5, 1, balanced=False)[0]
        assert list(drive[:4] == HELD) == [True, True, True, False]


def test_rows_are_usable_whose_stuck_cells_are_balanced_in_their_own_pair():
    codes, rest = np.zeros((6, 3, 2), np.int8), np.zeros((1, 6, 3, 2))
    codes[4, 0, 0] = codes[2, 1, 0] = health.STUCK_HIGH
    rest[0, 4:6, 0, 0] = 0.9
    rest[0, 2, 1, 0] = 0.9
    cells = ("plane", "row", "column")
    data = xr.Dataset({"health": (cells, codes), "rest": (("look", *cells), rest)})
    assert list(health.balanced_rows(data)) == [True, False, True]
