"""Resistive datasheets and topologies: what is accepted, and what is refused with the reason."""

import copy
import tomllib
from importlib import resources

import pytest
from pydantic import ValidationError

from firmware_specs.chains import resistive_chain
from firmware_specs.datasheet import Datasheet, load
from firmware_specs.datasheet.converters import SourceDac
from firmware_specs.topology import Conv, Dense, Layer, Topology, TopologyError

BOARD = tomllib.loads((resources.files("firmware_specs.datasheets") / "resistive-board.toml").read_text())


@pytest.mark.parametrize("name", ["resistive-ideal", "resistive-board"])
def test_shipped_resistive_sheets_are_driven_by_voltages(name):
    sheet = load(name)
    assert sheet.resistive
    assert isinstance(sheet.drive_dac, SourceDac)


@pytest.mark.parametrize(
    ("section", "keys", "reason"),
    [
        ("cells", {"mapping": "differential"}, "needs 'single'"),
        ("drive_dac", {"low_a": -1e-5, "high_a": 1e-5}, "driven by voltages"),
        ("drive_dac", {"low_v": 1.0, "high_v": 10.0}, "low_v < 0 < high_v"),
        ("drive_dac", {"low_v": -20.0, "high_v": 20.0}, "max_source_v = 10.0"),
        ("neurons", BOARD["neurons"] | {"gain_mismatch_sigma": 0.1}, "no circuit to mismatch"),
        ("state_adc", {"low_v": -1.0, "high_v": 1.0}, "narrower than the rails"),
        ("fabric", BOARD["fabric"] | {"substrate": "hopfield"}, "hopfield array needs 'differential'"),
    ],
)
def test_contradictory_resistive_datasheet_is_refused(section, keys, reason):
    sheet = copy.deepcopy(BOARD)
    sheet[section] = keys if section != "cells" else sheet["cells"] | keys
    with pytest.raises(ValidationError, match=reason):
        Datasheet.model_validate(sheet)


def test_resistive_chain_joins_sources_to_the_first_layer():
    topology = resistive_chain(6, [5, 3])
    assert topology.drive_shape == (6,)
    assert [topology.cells(c) for c in topology.couplings] == [(7, 5), (6, 3)]
    assert topology.layers[0].excitatory == 3


@pytest.mark.parametrize(
    ("layers", "couplings", "reason"),
    [
        ([(4,), (2,)], [Dense(pre=-1, post=0)], "nothing drives it"),
        ([(4,), (2,)], [Dense(pre=-1, post=0), Dense(pre=-1, post=1)], "is a chain"),
        ([(4, 6, 6)], [Conv(pre=-1, post=0)], "dense couplings only"),
    ],
)
def test_resistive_network_that_is_no_dense_chain_is_refused(layers, couplings, reason):
    with pytest.raises(TopologyError, match=reason):
        Topology(
            substrate="resistive",
            source=(2, 6, 6),
            layers=tuple(Layer(shape=s) for s in layers),
            couplings=tuple(couplings),
        )
