"""Resistive networks: textbook circuits, Kirchhoff's laws, and independent solvers."""

import numpy as np
import pytest
import torch
from scipy import optimize, special

from emulator.diodes import Shockley, wright_omega
from emulator.network import Stop, relax
from emulator.nodes import Surroundings
from emulator.resistive import FloatingNodeError, build, source_currents
from firmware_specs.chains import resistive_chain
from firmware_specs.topology import Dense, Layer, Topology

EXACT = Stop(max_iterations=20_000, tolerance=1e-13)


def network(topology, seed=0, surroundings=None, zeros=0.3):
    generator = torch.Generator().manual_seed(seed)
    weights, biases = {}, {}
    for i, coupling in enumerate(topology.couplings):
        rows, columns = topology.cells(coupling)
        g = torch.rand(columns, rows - coupling.bias, dtype=torch.float64, generator=generator)
        weights[i] = g * (torch.rand(g.shape, generator=generator) > zeros)
        biases[i] = torch.randn(columns, dtype=torch.float64, generator=generator) if coupling.bias else None
    return build(topology, weights, biases, surroundings or Surroundings()), weights, biases


def single(weights, clamped, **surroundings):
    """One node, one source a conductance."""
    g = torch.tensor([weights], dtype=torch.float64)
    topology = Topology(
        substrate="resistive",
        source=(len(weights),),
        layers=(Layer(shape=(1,), clamped=clamped),),
        couplings=(Dense(pre=-1, post=0, bias=False),),
    )
    return build(topology, {0: g}, {}, Surroundings(**surroundings))


def volts(*values):
    return torch.tensor([values], dtype=torch.float64)


def test_voltage_divider():
    assert relax(single([3.0, 1.0], False), volts(1.0, 0.0)).states[0].item() == pytest.approx(0.75)


def test_excitatory_diode_holds_zero_and_carries_the_divider_current():
    net = single([3.0, 1.0], True)
    assert relax(net, volts(-1.0, 0.0)).states[0].item() == 0.0
    assert source_currents(net, volts(-1.0, 0.0), (volts(0.0),))[0, 0].item() == pytest.approx(-3.0)


def test_nudge_by_a_resistor_to_a_target():
    beta, y = 0.5, 0.2
    relaxed = relax(single([3.0, 1.0], False), volts(1.0, 0.0), lambda v: beta * (y - v), stop=EXACT)
    assert relaxed.states[0].item() == pytest.approx((3.0 + beta * y) / (4.0 + beta))


def test_leak_pulls_towards_ground():
    assert relax(single([3.0, 1.0], False, leak=1.0), volts(1.0, 0.0)).states[0].item() == pytest.approx(0.6)


def test_rails_stop_a_node():
    assert relax(single([1.0], False, high=0.5), volts(1.0)).states[0].item() == 0.5


def test_scaling_conductances_and_currents_leaves_voltages():
    topology = resistive_chain(5, [6, 3])
    net, weights, biases = network(topology)
    scaled = build(topology, {i: 7 * w for i, w in weights.items()}, {i: 7 * b for i, b in biases.items()})
    drive = torch.randn(4, 5, dtype=torch.float64)
    for one, other in zip(relax(net, drive, stop=EXACT).states, relax(scaled, drive, stop=EXACT).states, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-12)


def laplacian(topology, weights, biases, drive):
    """Grounded Laplacian, injected current and diode signs of one sample, written out node by node."""
    sizes = [layer.units for layer in topology.layers]
    offset = np.cumsum([0, *sizes])
    matrix, current = np.zeros((offset[-1], offset[-1])), np.zeros(offset[-1])
    for layer, size in enumerate(sizes):
        for j in range(size):
            node = offset[layer] + j
            if biases[layer] is not None:
                current[node] += float(biases[layer][j])
            for i, g in enumerate(weights[layer][j].tolist()):
                matrix[node, node] += g
                if layer == 0:
                    current[node] += g * float(drive[i])
                else:
                    other = offset[layer - 1] + i
                    matrix[other, other] += g
                    matrix[node, other] -= g
                    matrix[other, node] -= g
    low, high = np.full(offset[-1], -np.inf), np.full(offset[-1], np.inf)
    for layer, spec in enumerate(topology.layers):
        if spec.clamped:
            low[offset[layer] : offset[layer] + spec.excitatory] = 0
            high[offset[layer] + spec.excitatory : offset[layer + 1]] = 0
    return matrix, current, low, high


def bounded_quadratic(matrix, current, low, high):
    """min 1/2 v M v - i v on a box, by scipy's bounded least squares on the Cholesky factor."""
    factor = np.linalg.cholesky(matrix).T
    target = np.linalg.solve(factor.T, current)
    return optimize.lsq_linear(factor, target, (low, high), method="bvls", tol=1e-15).x


@pytest.mark.parametrize("units", [[6, 3], [8, 6, 4], [5, 5, 5, 2]])
def test_states_are_the_minimum_of_the_box_constrained_quadratic(units):
    topology = resistive_chain(7, units)
    net, weights, biases = network(topology, seed=len(units))
    drive = torch.randn(3, 7, dtype=torch.float64) * 3
    relaxed = relax(net, drive, stop=EXACT)
    assert relaxed.settled.all()
    for sample in range(3):
        expected = bounded_quadratic(*laplacian(topology, weights, biases, drive[sample]))
        found = torch.cat([s[sample] for s in relaxed.states]).numpy()
        assert np.abs(found - expected).max() < 1e-9


def test_kirchhoff_holds_at_free_nodes_and_diodes_only_push():
    topology = resistive_chain(7, [10, 8, 4])
    net, weights, biases = network(topology)
    drive = torch.linspace(-3, 3, 7, dtype=torch.float64)[None]
    voltage = torch.cat([s[0] for s in relax(net, drive, stop=EXACT).states]).numpy()
    matrix, current, low, high = laplacian(topology, weights, biases, drive[0])
    residual = matrix @ voltage - current
    at_low, at_high = voltage == low, voltage == high
    assert at_low.any() and at_high.any()
    assert np.abs(residual[~at_low & ~at_high]).max() < 1e-10
    assert (residual[at_low] >= 0).all()
    assert (residual[at_high] <= 0).all()


def test_energy_never_rises_over_sweeps():
    topology = resistive_chain(7, [10, 8, 4])
    net, weights, biases = network(topology)
    drive = torch.randn(1, 7, dtype=torch.float64) * 3
    matrix, current, *_ = laplacian(topology, weights, biases, drive[0])
    energies = []
    for sweeps in range(1, 15):
        v = torch.cat([s[0] for s in relax(net, drive, stop=Stop(sweeps, 0)).states]).numpy()
        energies.append(v @ matrix @ v / 2 - current @ v)
    assert np.diff(energies).max() <= 1e-12
    assert energies[-1] < energies[0]


def test_omega_solves_its_equation_over_its_whole_range():
    z = torch.linspace(-70, 1e4, 20_001, dtype=torch.float64)
    expected = special.wrightomega(z.numpy())
    assert np.abs(wright_omega(z).numpy() / expected - 1).max() < 1e-14


@pytest.mark.parametrize("current", [-2.0, -0.1, -1e-6, 0.0, 1e-3, 1.0])
@pytest.mark.parametrize(("saturation", "thermal"), [(1e-14, 0.0259), (1e-6, 0.05), (1e-9, 2.6e-4)])
def test_real_diode_node_obeys_kirchhoff(current, saturation, thermal):
    total = 0.7
    diode = Shockley(saturation, thermal)
    voltage = diode.clamp_below(volts(current), volts(total)[0]).item()

    def imbalance(v):
        return total * v - current - saturation * np.expm1(min(-v / thermal, 700.0))

    expected = optimize.brentq(imbalance, -20.0, 20.0, xtol=1e-15, rtol=1e-14)
    assert voltage == pytest.approx(expected, abs=1e-12)
    mirrored = diode.clamp_above(volts(-current), volts(total)[0]).item()
    assert mirrored == -voltage


def test_real_diode_voltages_are_finite_in_single_precision():
    drive = torch.tensor([[-1e6], [-1.0], [0.0], [1.0], [1e6]])
    assert torch.isfinite(Shockley(1e-12, 0.026).clamp_below(drive, torch.tensor([1e-3]))).all()


def test_real_diodes_approach_ideal_ones_as_their_knee_shrinks():
    topology = resistive_chain(7, [10, 4])
    drive = torch.randn(5, 7, dtype=torch.float64) * 3
    ideal = relax(network(topology)[0], drive, stop=EXACT).states[-1]
    shifts = []
    for thermal in (0.026, 0.0026, 0.00026):
        real, *_ = network(topology, surroundings=Surroundings(diodes=Shockley(1e-12, thermal)))
        shifts.append((relax(real, drive, stop=EXACT).states[-1] - ideal).abs().max().item())
    assert shifts[0] > 5 * shifts[1] > 25 * shifts[2] > 0


def test_amplifiers_obey_their_circuit():
    """Gain A behind layer 0: its nodes see i_out / A, the next layer sees A v."""
    gain = 4.0
    layers = (Layer(shape=(4,), slope=gain), Layer(shape=(3,), clamped=False))
    topology = Topology(
        substrate="resistive",
        source=(5,),
        layers=layers,
        couplings=(Dense(pre=-1, post=0, bias=False), Dense(pre=0, post=1, bias=False)),
    )
    net, weights, _ = network(topology, zeros=0.0)
    drive = torch.randn(6, 5, dtype=torch.float64)
    hidden, output = relax(net, drive, stop=EXACT).states
    node = hidden / gain
    drawn = (weights[1].sum(0) * hidden - output @ weights[1]) / gain
    into = drive @ weights[0].T - node * weights[0].sum(1) - drawn
    free = node != 0
    assert free.any() and into[free].abs().max() < 1e-10
    torch.testing.assert_close(output, hidden @ weights[1].T / weights[1].sum(1))


def test_floating_node_is_reported_with_its_place():
    topology = resistive_chain(3, [4, 2], bias=False)
    weights = {0: torch.ones(4, 3), 1: torch.ones(2, 4)}
    weights[0][2] = 0.0
    build(topology, weights, {})  # still reached through layer 1
    weights[1][:, 2] = 0.0
    with pytest.raises(FloatingNodeError, match="layer 0 node 2"):
        build(topology, weights, {})
    build(topology, weights, {}, Surroundings(leak=1e-9))


def test_network_cut_off_from_its_sources_is_refused():
    topology = resistive_chain(3, [4, 2], bias=False)
    with pytest.raises(FloatingNodeError, match=r"layer 0 node 0, .* and 1 more"):
        build(topology, {0: torch.zeros(4, 3), 1: torch.ones(2, 4)}, {})


def test_negative_conductance_is_refused():
    topology = resistive_chain(3, [2], bias=False)
    with pytest.raises(ValueError, match="weight_0: 2 conductances are negative"):
        build(topology, {0: torch.tensor([[1.0, -1.0, 1.0], [1.0, 1.0, -1.0]])}, {})
