"""Resistive networks through every byte door: the states, source currents and gradients of the value door."""

from importlib import resources

import pytest
import torch

from drivers.errors import FloatingNode
from firmware_specs.chains import resistive_chain
from firmware_specs.codes import ErrorCode, State
from firmware_specs.topology import Layer
from hil.counterparts.described import datasheet_of
from hil.counterparts.device import DeviceBench
from hil.learning.block import EnergyBlock
from hil.learning.estimator import Estimator

AMMETER = """
[nodes.ammeter]
bits = 16
low_a = -1.0e-3
high_a = 1.0e-3
noise_sigma_a = 1.0e-8
"""
AMPLIFIED = resistive_chain(9, [6, 4, 3]).model_copy(
    update={"layers": (Layer(shape=(6,), slope=2.0), Layer(shape=(4,), slope=4.0), Layer(shape=(3,), clamped=False))}
)


@pytest.fixture(params=[False, True], ids=["voltages only", "ammeter"])
def sheet(request, tmp_path):
    if not request.param:
        return "resistive-board"
    text = (resources.files("firmware_specs.datasheets") / "resistive-board.toml").read_text()
    path = tmp_path / "with-ammeter.toml"
    path.write_text(text + AMMETER)
    return str(path)


@pytest.mark.parametrize("topology", [resistive_chain(12, [8, 4]), AMPLIFIED], ids=["two layers", "amplifiers"])
def test_same_seed_gives_the_same_resistive_states_through_every_door(open_both, sheet, topology):
    outcomes = []
    for bench in open_both(sheet, seed=3):
        torch.manual_seed(0)
        block = EnergyBlock(topology, bench, Estimator())
        drive = (torch.randn(5, *topology.drive_shape) * 50).requires_grad_()
        seen = []
        block.observer = seen.append
        block(drive).square().sum().backward()
        states = [*seen[0].free, *seen[1].free, *(s for nudged in seen[1].nudged for s in nudged)]
        currents = seen[1].source_currents
        assert (currents is not None) == sheet.endswith("with-ammeter.toml")
        gradients = [p.grad for p in block.parameters()] + [drive.grad]
        assert all(g.abs().max() > 0 for g in gradients)
        outcomes.append([*states, *(currents or ()), *gradients])
    for mine, theirs in zip(*outcomes, strict=True):
        assert torch.equal(mine, theirs)


def test_a_floating_node_is_a_refusal_that_names_it_and_leaves_outputs_as_they_were(open_crossbar):
    crossbar, device = open_crossbar("resistive-ideal", 0)
    topology = resistive_chain(3, [4, 2], bias=False)
    bench = DeviceBench(crossbar, "door", datasheet_of(crossbar.info, "door"))
    block = EnergyBlock(topology, bench, Estimator())
    with torch.no_grad():
        block.weight_0.fill_(0.1)
        block.weight_1.fill_(0.1)
        block.weight_0[2] = 0.0
        block.weight_1[:, 2] = 0.0
    drive = torch.ones(2, 3)
    with pytest.raises(FloatingNode, match="FLOATING: array 0: no path to a source: layer 0 node 2") as refusal:
        block(drive)
    assert refusal.value.code == ErrorCode.FLOATING
    assert device.outputs.state is State.ARMED
    assert not device.faults_unseen
    with torch.no_grad():
        block.weight_0[2] = 0.1
    assert block(drive).isfinite().all()
