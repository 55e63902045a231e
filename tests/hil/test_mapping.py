"""Model units to siemens, volts and amperes, against values worked out by hand."""

import pytest
import torch

from firmware_specs.chains import dense_chain
from firmware_specs.datasheet import Datasheet, load
from firmware_specs.topology import Conv, Layer, Topology
from hil.counterparts.mapping import Mapping
from hil.counterparts.opening.bench import open_bench


def mapping(**changes) -> Mapping:
    """Cells of 1 .. 11 uS, 100 kOhm, 2 V a state unit: weights -1 .. 1, 20 uA a current unit."""
    document = load("ideal").model_dump(mode="json")
    document["cells"] |= {"g_min_s": 1e-6, "g_max_s": 11e-6}
    document["neurons"] |= {"transimpedance_ohm": 1e5, "state_unit_v": 2.0}
    for section, values in changes.items():
        document[section] |= values
    return Mapping(Datasheet.model_validate(document))


def test_units_by_hand():
    units = mapping(nudge_dac={"low_a": -4e-6, "high_a": 6e-6})
    assert units.current_unit_a == pytest.approx(2e-5)
    assert units.state_unit_v == 2.0
    assert units.ranges.nudge_limit == pytest.approx(0.2)
    assert units.ranges.weight == pytest.approx((-1.0, 1.0))


def test_a_weight_is_a_pair_of_which_one_cell_stays_at_its_lowest_conductance():
    weights = {"weight_0": torch.tensor([[0.5, -0.25], [0.0, 1.0]]), "bias_0": torch.tensor([-1.0, 0.1])}
    (pair,), clipped = mapping().conductances_s(dense_chain([2, 2]), weights)
    plus = [[6e-6, 1e-6], [1e-6, 11e-6], [1e-6, 2e-6]]
    minus = [[1e-6, 1e-6], [3.5e-6, 1e-6], [11e-6, 1e-6]]
    torch.testing.assert_close(pair, torch.tensor([plus, minus], dtype=torch.float64), atol=1e-12, rtol=0)
    assert clipped == 0


def test_weights_beyond_the_range_are_written_as_its_end_and_counted():
    weights = {"weight_0": torch.tensor([[1.5, -7.0], [1.0, -1.0]]), "bias_0": torch.zeros(2)}
    (pair,), clipped = mapping().conductances_s(dense_chain([2, 2]), weights)
    assert clipped == 2
    assert pair[0, 0, 0].item() == pytest.approx(11e-6)
    assert pair[1, 1, 0].item() == pytest.approx(11e-6)


def test_a_kernel_is_a_column_in_the_order_of_its_inputs():
    topology = Topology(
        layers=(Layer(shape=(2, 3, 3)), Layer(shape=(1, 2, 2))), couplings=(Conv(pre=0, post=1, kernel=2, padding=0),)
    )
    weight = torch.arange(8.0).view(1, 2, 2, 2) / 10
    (pair,), _ = mapping().conductances_s(topology, {"weight_0": weight, "bias_0": torch.tensor([0.9])})
    column = (pair[0] - pair[1])[:, 0] * 1e5
    torch.testing.assert_close(column, torch.tensor([0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.9]).double())


def test_what_the_ideal_chip_computes_is_what_was_programmed():
    with open_bench("emulator:ideal", dtype=torch.float64) as bench:
        array = bench.place(dense_chain([2, 1], clamp_last=False))
        weights = {"weight_0": torch.tensor([[0.5, -0.25]]).double(), "bias_0": torch.tensor([0.125]).double()}
        array.program(weights)
        # large drives hold both units at their rails, whatever comes back
        state = array.settle(torch.tensor([[50.0, 50.0], [50.0, -50.0], [-50.0, 50.0]]).double()).free[1]
    torch.testing.assert_close(state[:, 0], torch.tensor([0.375, 0.625, -0.125]).double(), atol=1e-6, rtol=0)
