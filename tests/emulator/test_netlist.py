"""The netlist's text: what every element of a small network becomes."""

import numpy as np
import pytest

from emulator import netlist
from emulator.netlist import Circuit
from emulator.ngspice import read_raw
from firmware_specs.chains import dense_chain, resistive_chain
from firmware_specs.datasheet import load
from firmware_specs.datasheet.nodes import Diodes, Nodes
from firmware_specs.datasheet.wires import Wires
from firmware_specs.topology import Layer


def circuit(units=(2, 2), gain=1.0, **sections):
    sheet = load("resistive-ideal").model_copy(update=sections)
    topology = resistive_chain(units[0], list(units[1:]))
    layers = tuple(Layer(shape=s.shape, clamped=s.clamped, slope=gain) for s in topology.layers)
    topology = topology.model_copy(update={"layers": layers})
    cells = [np.full(topology.cells(c), 1e-4) for c in topology.couplings]
    for matrix in cells:
        matrix[-1] = 5e-4  # mid-range: no bias current
    return Circuit(sheet, topology, cells)


def elements(text):
    return {line.split()[0]: line.split()[1:] for line in text.splitlines() if line[:1].isalpha()}


def test_divider_has_one_resistor_a_cell_and_one_source_an_input():
    found = elements(netlist.write(circuit(), np.array([[1.0, -0.5]])))
    assert found["Vs1"] == ["s1", "0", "-0.5"]
    assert found["Rg0_1_0"][:2] == ["s1", "n0_0"]
    assert float(found["Rg0_1_0"][2]) == pytest.approx(1e4)
    assert sum(name.startswith("R") for name in found) == 4
    assert not any(name.startswith(("Ib", "B", "D")) for name in found)


def test_cells_without_conductance_are_left_out():
    open_cell = circuit()
    open_cell.conductances_s[0][1, 0] = 0.0
    found = elements(netlist.write(open_cell, np.zeros((1, 2))))
    assert "Rg0_1_0" not in found and "Rg0_0_0" in found


def test_bias_line_becomes_a_current_source_about_mid_range():
    biased = circuit()
    biased.conductances_s[0][-1] = [6e-4, 5e-4]
    found = elements(netlist.write(biased, np.zeros((1, 2))))
    assert found["Ib0_0"][:2] == ["0", "n0_0"]
    assert float(found["Ib0_0"][2]) == pytest.approx(1e-4 * 0.01)
    assert "Ib0_1" not in found


def test_diodes_point_from_ground_to_excitatory_and_to_ground_from_inhibitory_nodes():
    real = Nodes(leak_s=1e-9, diodes=Diodes(saturation_a=1e-12, ideality=2.0, temperature_k=310.0))
    text = netlist.write(circuit((2, 2, 1), nodes=real), np.zeros((1, 2)))
    found = elements(text)
    assert found["Dk0_0"] == ["0", "n0_0", "knee"]
    assert found["Dk0_1"] == ["n0_1", "0", "knee"]
    assert float(found["Rl0_1"][2]) == pytest.approx(1e9)
    assert "temp=36.85" in text and "N=2" in text
    assert "-v(n0_0)" in netlist.write(circuit((2, 2, 1)), np.zeros((1, 2)))


def test_wires_lie_between_ports_and_cells():
    wired = circuit((2, 3), wires=Wires(row_ohm=1.0, column_ohm=2.0, terminal_ohm=5.0))
    found = elements(netlist.write(wired, np.zeros((1, 2))))
    assert found["Rwr0_1_0"] == ["s1", "r0_1_0", "6"]
    assert found["Rwr0_1_2"] == ["r0_1_1", "r0_1_2", "1"]
    assert found["Rwc0_2_0"] == ["n0_2", "c0_2_0", "7"]
    assert found["Rg0_0_2"][:2] == ["r0_0_2", "c0_2_1"], "the first row is the farthest from the nodes"
    only_terminals = circuit((2, 3), wires=Wires(terminal_ohm=5.0))
    assert elements(netlist.write(only_terminals, np.zeros((1, 2))))["Rg0_0_2"][:2] == ["r0_0", "c0_2"]


def test_amplifier_has_gain_forward_and_its_inverse_backward():
    amplified = circuit((2, 2, 1), gain=4.0)
    found = elements(netlist.write(amplified, np.zeros((1, 2))))
    assert found["Ea0_0"][-1] == "4" and found["Fa0_0"] == ["n0_0", "0", "Va0_0", "0.25"]
    assert found["Rg1_0_0"][:2] == ["a0_0", "n1_0"]
    assert amplified.nodes == ["a0_0", "a0_1", "n1_0"]


def test_points_alter_only_what_changes():
    drives = np.array([[1.0, 2.0], [1.0, 3.0]])
    text = netlist.write(circuit(), drives, np.array([[0.0, 0.0], [0.0, 1e-6]]))
    control = text[text.index(".control") :].splitlines()
    assert [line for line in control if line.startswith("alter")] == [
        "alter Vs1 = 3",
        "alter Inudge1 = 9.9999999999999995e-07",
    ]
    assert control.count("op") == 2


def test_hopfield_blocks_and_wrong_shapes_are_refused():
    with pytest.raises(ValueError, match="neuron circuits"):
        Circuit(load("ideal"), dense_chain([2, 2]), [])
    with pytest.raises(ValueError, match=r"conductances_s\[0\]: shape \(2, 2\), the crossbar has \(3, 2\)"):
        Circuit(load("resistive-ideal"), resistive_chain(2, [2]), [np.ones((2, 2))])
    with pytest.raises(ValueError, match="one point or more"):
        netlist.write(circuit(), np.zeros((1, 3)))


def test_raw_file_holds_one_plot_a_point():
    header = "Title: x\nPlotname: Operating Point\nFlags: real\nNo. Variables: 2\nNo. Points: 1\nVariables:\n"
    variables = "\t0\tv(n0_0)\tvoltage\n\t1\tv(n0_1)\tvoltage\n"
    plots = [(header + variables + "Binary:\n").encode() + np.array(v).tobytes() for v in ([1.0, 2.0], [3.0, -4.0])]
    assert read_raw(b"".join(plots)) == [{"v(n0_0)": 1.0, "v(n0_1)": 2.0}, {"v(n0_0)": 3.0, "v(n0_1)": -4.0}]
