"""Rails as numbers of a file: what differs in the last digit, is not stated or contradicts itself."""

from datetime import UTC, datetime

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from torch import nn

from emulator.chip import Chip
from firmware_specs.chains import dense_chain
from firmware_specs.datasheet import Datasheet, load
from hil import EnergyBlock
from hil.counterparts.described import disagreements
from hil.counterparts.emulator import EmulatorBench
from hil.experiments.experiment_file import load as load_experiment
from hil.experiments.sections import UniformInit
from hil.learning.initial import initialize
from hil.learning.model import build
from hil.measuring.calibrate.file import CalibrationExpired, CalibrationFile
from hil.measuring.laws.changes import strictly_rising


def changed(name, high_v=4.0, **neurons):
    document = load(name).model_dump(mode="json", exclude_unset=True)
    document["neurons"] |= neurons
    if "state_adc" in document:
        document["state_adc"]["high_v"] = high_v
    return Datasheet.model_validate(document)


@pytest.mark.parametrize(("unit_v", "rail_v", "rail"), [(0.2, 1.2, 6), (0.1, 0.3, 3), (0.25, 1.5, 6)])
def test_a_rail_in_state_units_need_not_be_a_round_number(unit_v, rail_v, rail):
    """1.2 / 0.2 is 5.999999999999999."""
    sheet = changed("self-updating", state_unit_v=unit_v, clamped_high_v=rail_v, linear_high_v=4.0)
    experiment = load_experiment("xor-cells", [f"rail={rail}.0", "slope=1.0", "update.kind=device"])
    build(experiment, EmulatorBench(Chip(sheet, 0), "test"), (2,), 2)


def test_linear_neurons_reach_as_far_as_clamped_ones():
    with pytest.raises(ValidationError, match=r"clamped_high_v <= linear_high_v is needed, got 1.5 V above 0.5 V"):
        changed("ideal", state_unit_v=0.25, clamped_high_v=1.5, linear_low_v=-0.5, linear_high_v=0.5)


def test_a_rail_of_one_state_unit_is_the_same_stated_or_not():
    plain, stated = changed("mixed-8bit"), changed("mixed-8bit", clamped_high_v=load("mixed-8bit").neurons.state_unit_v)
    other = changed("mixed-8bit", clamped_high_v=0.9 * plain.neurons.rail_v)
    assert not disagreements(stated, plain) and not disagreements(plain, stated)
    assert any("clamped_high_v" in line for line in disagreements(plain, other))


@pytest.mark.parametrize("gain", [0.5, 40.0])
def test_initial_weights_of_any_gain_are_within_the_range_of_the_cells_and_norms_keep_theirs(gain):
    chip = EmulatorBench(Chip(load("mixed-8bit"), 0), "test")
    experiment = load_experiment("digits", [f"init={{kind='uniform',gain={gain}}}", "device='emulator:mixed-8bit'"])
    model = build(experiment, chip, (1, 8, 8), 10)
    block = next(part for part in model.modules() if isinstance(part, EnergyBlock))
    low, high = block.array.ranges.weight
    weight = next(v for name, v in block.named_parameters() if name.startswith("weight"))
    assert float(weight.detach().min()) >= low and float(weight.detach().max()) <= high
    norm = nn.LayerNorm([3, 4])
    initialize(nn.Sequential(norm), UniformInit(gain=gain))
    assert torch.equal(norm.weight, torch.ones(3, 4))


@pytest.mark.parametrize(("calibrated", "trained"), [(1.0, 6.0), (6.0, 1.0), (6.0, 2.5)])
def test_a_calibration_serves_the_same_block_with_any_rail_and_no_other(calibrated, trained):
    def block(rail, units=4):
        plain = dense_chain([5, 7, units])
        layers = tuple(layer.model_copy(update={"rail": rail if layer.clamped else 1.0}) for layer in plain.layers)
        return plain.model_copy(update={"layers": layers})

    made = {"id": "c1", "model": "m", "serial": "s", "made": datetime.now(UTC), "valid_days": 7.0}
    array = {"array": 0, "topology": block(calibrated).model_dump_json(), "skipped": {}, "layers": [], "couplings": []}
    file = CalibrationFile.model_validate({"calibration": made, "arrays": [array]})
    assert file.entry(0, block(trained)).array == 0
    with pytest.raises(CalibrationExpired):
        file.entry(0, block(trained, units=3))


def test_a_clock_that_stands_still_rises_all_the_same():
    found = strictly_rising(np.array([0.1, 0.18, 0.18, 0.17, 0.4]))
    assert (np.diff(found) > 0).all() and np.allclose(found, [0.1, 0.18, 0.18, 0.18, 0.4])
