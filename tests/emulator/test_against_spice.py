"""Emulated resistive arrays against ngspice, where it is installed: the same network, nothing simplified."""

import numpy as np
import pytest
import torch

from emulator import ngspice
from emulator.chip import Chip
from emulator.netlist import Circuit
from firmware_specs.chains import resistive_chain
from firmware_specs.datasheet import load
from firmware_specs.datasheet.nodes import Diodes, Nodes
from firmware_specs.datasheet.wires import Wires
from firmware_specs.topology import Layer

pytestmark = pytest.mark.skipif(not ngspice.available(), reason="ngspice is not installed")

POINTS = 6


def voltages(units, gain=1.0, diodes=True, nudged=False, **sections):
    """Node voltages (points, nodes) by the emulated chip and by ngspice."""
    exact = load("resistive-ideal").settle.model_copy(update={"max_iterations": 50_000, "tolerance": 1e-12})
    sheet = load("resistive-ideal").model_copy(update={"settle": exact, **sections})
    topology = resistive_chain(units[0], list(units[1:]))
    layers = tuple(Layer(shape=s.shape, clamped=s.clamped and diodes, slope=gain) for s in topology.layers)
    topology = topology.model_copy(update={"layers": layers})
    chip = Chip(sheet, dtype=torch.float64)
    chip.configure(0, topology)
    draw = np.random.default_rng(sum(units))
    targets = []
    for coupling in topology.couplings:
        rows, columns = topology.cells(coupling)
        cells = draw.uniform(0, 1e-4, (rows, columns)) * (draw.uniform(size=(rows, columns)) > 0.3)
        cells[-1] = sheet.cells.g_max_s / 2 + draw.normal(0, 1e-4, columns)
        targets.append(torch.from_numpy(cells[None]))
    chip.program(0, targets)
    drives = draw.normal(0, 1, (POINTS, units[0]))
    nudges = draw.normal(0, 1e-5, (POINTS, units[-1]))
    free, *rest = chip.settle(0, torch.from_numpy(drives), [torch.from_numpy(nudges)] if nudged else [])
    phase = rest[0] if nudged else free
    assert phase.settled.all()
    circuit = Circuit(sheet, topology, [g[0].numpy() for g in chip.arrays[0].conductances_s])
    solved = ngspice.solve(circuit, drives, nudges if nudged else None)
    return torch.cat([s.flatten(1) for s in phase.states_v], 1).numpy(), solved


def largest_difference(*arguments, **keywords):
    emulated, solved = voltages(*arguments, **keywords)
    assert np.abs(solved).max() > 0.05
    return np.abs(emulated - solved).max()


@pytest.mark.parametrize("size", [8, 32, 64])
def test_linear_networks_agree_to_a_nanovolt(size):
    assert largest_difference((size, size), diodes=False) < 1e-9


@pytest.mark.parametrize("size", [8, 32, 64])
def test_networks_with_ideal_diodes_agree_to_a_microvolt(size):
    assert largest_difference((size, size, 4)) < 1e-6


def test_nudged_deep_networks_agree():
    assert largest_difference((12, 10, 8, 4), nudged=True) < 1e-6


def test_amplifiers_agree():
    assert largest_difference((12, 10, 8, 4), gain=4.0) < 1e-6


@pytest.mark.parametrize("size", [8, 32])
@pytest.mark.parametrize("diodes", [Diodes(saturation_a=1e-12), Diodes(saturation_a=1e-9, ideality=0.01)])
def test_real_diodes_agree_with_the_spice_diode(size, diodes):
    assert largest_difference((size, size, 4), nodes=Nodes(leak_s=1e-9, diodes=diodes)) < 1e-6


def test_ideal_diodes_are_off_a_real_network_by_at_most_its_knee():
    """A diode that carries at most the network's largest current drops `n V_T ln(I / I_s + 1)` and no more."""
    diodes = Diodes(saturation_a=1e-12)
    ideal, _ = voltages((16, 16, 4))
    real, solved = voltages((16, 16, 4), nodes=Nodes(diodes=diodes))
    carried_a = 16 * 1e-4 * np.abs(solved).max() + 1e-5
    knee_v = diodes.thermal_v * np.log(carried_a / diodes.saturation_a + 1)
    assert 0.05 < np.abs(ideal - solved).max() <= knee_v
    assert np.abs(real - solved).max() < 1e-6


@pytest.mark.parametrize(
    "wires",
    [
        Wires(row_ohm=1.0, column_ohm=2.0, terminal_ohm=10.0, method="exact"),
        Wires(row_ohm=1.0, method="exact"),
        Wires(terminal_ohm=10.0, method="exact"),
    ],
)
def test_exact_wires_agree(wires):
    assert largest_difference((10, 12, 4), wires=wires) < 1e-6


def test_fast_wires_are_nearer_than_none():
    wires = {"row_ohm": 1.0, "column_ohm": 1.0, "terminal_ohm": 0.0}
    ladder, solved = voltages((16, 16, 4), wires=Wires(**wires, method="ladder"))
    ignored, _ = voltages((16, 16, 4))
    assert 0 < np.sqrt(np.mean((ladder - solved) ** 2)) < 0.9 * np.sqrt(np.mean((ignored - solved) ** 2))


def test_source_currents_with_wires_are_what_flows_into_the_first_layer():
    """Every current a source delivers ends in a diode, an output, or nowhere: at a linear network they sum to zero."""
    ammeter = {"low_a": -1.0, "high_a": 1.0}
    nodes = Nodes.model_validate({"ammeter": ammeter})
    sheet = load("resistive-ideal").model_copy(
        update={"nodes": nodes, "wires": Wires(row_ohm=5.0, column_ohm=5.0, method="exact")}
    )
    topology = resistive_chain(6, [5], bias=False)
    chip = Chip(sheet, dtype=torch.float64)
    chip.configure(0, topology)
    chip.program(0, [torch.rand(1, 6, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) * 1e-4])
    (reading,) = chip.settle(0, torch.linspace(-1, 1, 12, dtype=torch.float64).view(2, 6))
    assert reading.source_currents_a.abs().max() > 1e-6
    assert reading.source_currents_a.sum(1).abs().max() < 1e-12
