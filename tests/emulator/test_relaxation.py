"""Relaxation against answers that share no code with it: bounded minimization, optimality conditions, closed forms."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.optimize import minimize

from emulator.network import Stop, relax
from firmware_specs.chains import dense_chain
from firmware_specs.topology import Conv, Dense, Layer, Topology
from hil.learning.energy import energy, ideal_network, primitive

TIGHT = Stop(max_iterations=5000, tolerance=1e-14)


def pooled_chain(clamp_last: bool = True) -> Topology:
    """Stride 2 on an odd size, pooling between clamped layers, and a dense coupling behind the maps."""
    return Topology(
        layers=(
            Layer(shape=(2, 9, 9), slope=0.7),
            Layer(shape=(3, 5, 5), slope=0.7),
            Layer(shape=(2, 2, 2), slope=0.9),
            Layer(shape=(4,), clamped=clamp_last, slope=0.5),
        ),
        couplings=(Conv(pre=0, post=1, stride=2), Conv(pre=1, post=2, pool=True), Dense(pre=2, post=3)),
    )


def skipping() -> Topology:
    """Not a chain: a triangle of layers needs three update groups."""
    return Topology(
        layers=(Layer(shape=(4,)), Layer(shape=(3,), slope=0.8), Layer(shape=(2,))),
        couplings=(Dense(pre=0, post=1), Dense(pre=1, post=2, bias=False), Dense(pre=0, post=2)),
    )


TOPOLOGIES = {
    "dense": dense_chain([6, 5, 4], slope=0.8, clamp_last=True),
    "dense, linear last": dense_chain([6, 5, 4], slope=0.8),
    "pooled": pooled_chain(),
    "skipping": skipping(),
}
EVERY = pytest.mark.parametrize("topology", TOPOLOGIES.values(), ids=TOPOLOGIES.keys())


def random_parameters(topology: Topology, scale: float, seed: int = 0) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    parameters = {}
    for index, coupling in enumerate(topology.couplings):
        rows, columns = topology.cells(coupling)
        inputs = rows - coupling.bias
        weight = torch.randn(columns, inputs, generator=generator, dtype=torch.float64) * scale / inputs**0.5
        if isinstance(coupling, Conv):
            weight = weight.view(columns, -1, coupling.kernel, coupling.kernel)
        parameters[f"weight_{index}"] = weight
        if coupling.bias:
            parameters[f"bias_{index}"] = torch.randn(columns, generator=generator, dtype=torch.float64) * 0.3
    return parameters


def random_case(topology: Topology, batch: int = 4, scale: float = 0.5):
    parameters = random_parameters(topology, scale)
    generator = torch.Generator().manual_seed(1)
    drive = torch.randn(batch, *topology.drive_shape, generator=generator, dtype=torch.float64)
    nudge = torch.randn(batch, *topology.nudge_shape, generator=generator, dtype=torch.float64) * 0.2
    return parameters, ideal_network(topology, parameters), drive, nudge


def dense_energy(weights, biases, slopes, clamped, drive, nudge, flat):
    """The energy of a dense chain, written in numpy from the paper's formula and nothing else."""
    sizes = [len(drive), *(len(w) for w in weights)]
    states = np.split(flat, np.cumsum(sizes)[:-1])
    total = -drive @ states[0] - nudge @ states[-1]
    for state, slope, bounded in zip(states, slopes, clamped, strict=True):
        total += state @ state / (2 * (slope if bounded else 1.0))
    for weight, bias, pre, post in zip(weights, biases, states[:-1], states[1:], strict=True):
        total -= post @ (weight @ pre + bias)
    return total


@pytest.mark.parametrize("clamp_last", [True, False])
@pytest.mark.parametrize("nudged", [False, True])
def test_equilibrium_is_the_minimum_a_bounded_minimizer_finds_from_many_starts(clamp_last, nudged):
    topology = dense_chain([4, 3, 2], slope=0.8, clamp_last=clamp_last)
    parameters, net, drive, nudge = random_case(topology, batch=3)
    nudge = nudge if nudged else None
    relaxed = relax(net, drive, nudge, stop=TIGHT)
    weights = [parameters[f"weight_{i}"].numpy() for i in (0, 1)]
    biases = [parameters[f"bias_{i}"].numpy() for i in (0, 1)]
    clamped = [True, True, clamp_last]
    bounds = [(0, 1)] * 7 + [(0, 1) if clamp_last else (None, None)] * 2
    rng = np.random.default_rng(0)
    for sample in range(3):
        push = np.zeros(2) if nudge is None else nudge[sample].numpy()
        args = (weights, biases, [0.8] * 3, clamped, drive[sample].numpy(), push)
        found = [
            minimize(lambda x, a=args: dense_energy(*a, x), start, bounds=bounds, method="L-BFGS-B", tol=1e-15)
            for start in rng.random((6, 9))
        ]
        best = min(found, key=lambda f: f.fun)
        mine = torch.cat([layer[sample] for layer in relaxed.states]).numpy()
        assert dense_energy(*args, mine) == pytest.approx(best.fun, abs=1e-9)
        np.testing.assert_allclose(mine, best.x, atol=1e-4)


def test_pooled_equilibrium_lies_below_every_random_and_every_neighbouring_state():
    topology = pooled_chain()
    parameters, net, drive, _ = random_case(topology, batch=1)
    relaxed = relax(net, drive, stop=TIGHT)
    lowest = float(energy(topology, parameters, drive, relaxed.states))
    generator = torch.Generator().manual_seed(2)
    many = drive.expand(2000, *drive.shape[1:])
    for spread in (1e-3, 1e-2, 0.1, 1.0, 10.0):
        moved = tuple(
            (s + spread * torch.randn(2000, *s.shape[1:], generator=generator, dtype=s.dtype)).clamp(0, 1)
            for s in relaxed.states
        )
        assert float(energy(topology, parameters, many, moved).min()) > lowest


@EVERY
@pytest.mark.parametrize("nudged", [False, True])
@pytest.mark.parametrize("over_relaxation", [1.0, 1.4])
def test_every_state_is_the_clipped_slope_of_the_primitive_function(topology, nudged, over_relaxation):
    parameters, net, drive, nudge = random_case(topology)
    net = replace(net, over_relaxation=over_relaxation)
    relaxed = relax(net, drive, nudge if nudged else None, stop=TIGHT)
    assert bool(relaxed.settled.all())
    states = tuple(s.clone().requires_grad_() for s in relaxed.states)
    phi = primitive(topology, parameters, drive, states).sum()
    if nudged:
        phi = phi + (nudge * states[-1]).sum()
    for layer, state, z in zip(topology.layers, states, torch.autograd.grad(phi, states), strict=True):
        expected = (layer.slope * z).clamp(0, 1) if layer.clamped else z
        torch.testing.assert_close(state.detach(), expected, atol=1e-12, rtol=0)


# a linear layer behind strong weights has no minimum: there only the weak ones
@pytest.mark.parametrize(
    ("name", "scale"), [(n, s) for n in TOPOLOGIES for s in (0.5, 3.0) if s < 1 or "linear" not in n]
)
@pytest.mark.parametrize("nudged", [False, True])
@pytest.mark.parametrize("over_relaxation", [1.0, 1.4, 1.9])
def test_energy_never_rises_over_sweeps_from_random_states(name, nudged, scale, over_relaxation):
    topology = TOPOLOGIES[name]
    parameters, net, drive, nudge = random_case(topology, batch=6, scale=scale)
    net = replace(net, over_relaxation=over_relaxation)
    nudge = nudge if nudged else torch.zeros_like(nudge)
    generator = torch.Generator().manual_seed(5)
    states = tuple(torch.rand(6, *x.shape, generator=generator, dtype=torch.float64) for x in topology.layers)

    def total(at):
        return energy(topology, parameters, drive, at) - (nudge * at[-1]).flatten(1).sum(1)

    before = total(states)
    for _ in range(12):
        states = relax(net, drive, nudge, states, Stop(max_iterations=1, tolerance=0)).states
        after = total(states)
        assert bool((after <= before + 1e-12 * (1 + before.abs())).all())
        before = after


def two_units(weight: float) -> tuple:
    topology = dense_chain([1, 1], bias=False)
    return ideal_network(topology, {"weight_0": torch.tensor([[weight]], dtype=torch.float64)})


def test_sweeps_converge_geometrically_as_worked_out_by_hand():
    # s0 <- d + w s1, s1 <- w s0: after k sweeps s0 = d (1 + w^2 + ... + w^(2(k-1)))
    net, drive = two_units(0.5), torch.tensor([[0.3]], dtype=torch.float64)
    for sweeps, expected in ((1, 0.3), (2, 0.375), (3, 0.39375)):
        relaxed = relax(net, drive, stop=Stop(sweeps, 0))
        assert relaxed.states[0].item() == pytest.approx(expected, abs=1e-15)
        assert relaxed.states[1].item() == pytest.approx(expected / 2, abs=1e-15)
    assert relax(net, drive, stop=TIGHT).states[0].item() == pytest.approx(0.4, abs=1e-13)


def test_residual_is_the_last_change_and_the_distance_is_that_times_the_contraction():
    net, drive = two_units(0.9), torch.tensor([[0.1]], dtype=torch.float64)
    relaxed = relax(net, drive, stop=Stop(1000, 1e-6))
    contraction = 0.81
    equilibrium = 0.1 / (1 - contraction)
    distance = equilibrium - relaxed.states[0].item()
    assert relaxed.residual.item() <= 1e-6
    assert distance == pytest.approx(relaxed.residual.item() * contraction / (1 - contraction), rel=1e-6)


@pytest.mark.parametrize("over_relaxation", [0.9, 2.0, -1.0, float("nan")])
def test_an_over_relaxation_that_would_not_lower_the_energy_is_refused_by_the_network(over_relaxation):
    net = two_units(0.9)
    with pytest.raises(ValueError, match="over_relaxation must be a number from 1 to below 2"):
        replace(net, over_relaxation=over_relaxation)


def test_over_relaxation_converges_at_the_rate_of_its_theory():
    # two groups of layers, sweeps that leave a share r: at w = 2 / (1 + sqrt(1 - r)) they leave w - 1 (Young 1954)
    net, drive = two_units(0.9), torch.tensor([[0.1]], dtype=torch.float64)
    best = 2 / (1 + (1 - 0.81) ** 0.5)
    plain, over = (relax(replace(net, over_relaxation=w), drive, stop=Stop(1000, 1e-10)) for w in (1.0, best))
    assert over.states[0].item() == pytest.approx(0.1 / 0.19, abs=1e-9)
    assert (plain.iterations.item(), over.iterations.item()) == (100, 28)


def dense_net(scale, dtype=torch.float64):
    draw = torch.Generator().manual_seed(4)
    topology = dense_chain([12, 8, 9, 5], slope=0.5)
    weights = {
        f"weight_{n}": scale * torch.randn(post, pre, generator=draw, dtype=dtype) / (pre + post) ** 0.5
        for n, (pre, post) in enumerate(((12, 8), (8, 9), (9, 5)))
    }
    biases = {f"bias_{n}": torch.zeros(units, dtype=dtype) for n, units in enumerate((8, 9, 5))}
    drive = torch.randn(16, 12, generator=draw, dtype=dtype)
    return ideal_network(topology, weights | biases, "full"), drive


@pytest.mark.parametrize("scale", [0.0, 0.3, 0.8, 1.5])
def test_a_dense_net_that_is_to_come_to_rest_is_over_relaxed_as_its_weights_suggest(scale):
    net, drive = dense_net(scale)
    plain = replace(net, over_relaxation=1.0)
    true = relax(plain, drive, stop=Stop(5000, 1e-13)).states
    found = relax(net, drive, stop=Stop(5000, 1e-11)).states
    assert all(torch.allclose(a, b, atol=1e-9) for a, b in zip(found, true, strict=True))
    sweeps, off = [], []
    for kind in (net, plain):
        done = relax(kind, drive, stop=Stop(500, 1e-5))
        sweeps.append(int(done.iterations.max()))
        off.append(max(float((a - b).abs().max()) for a, b in zip(done.states, true, strict=True)))
    assert sweeps[0] <= (0.7 * sweeps[1] if scale == 1.5 else sweeps[1] + 3)
    assert off[0] <= off[1]


def test_a_given_number_of_sweeps_and_a_nudge_that_follows_the_state_are_plain():
    net, drive = dense_net(1.5)
    plain = replace(net, over_relaxation=1.0)
    calls = (
        {"stop": Stop(7, 0.0)},
        {"stop": Stop(100, 1e-4), "nudge": lambda last: -0.1 * last},
    )
    for call in calls:
        ours, theirs = (relax(kind, drive, **call) for kind in (net, plain))
        assert all(torch.equal(a, b) for a, b in zip(ours.states, theirs.states, strict=True))


def test_report_is_per_sample():
    net = two_units(0.9)
    drive = torch.tensor([[0.0], [0.1], [0.001]], dtype=torch.float64)
    relaxed = relax(net, drive, stop=Stop(60, 1e-5))
    assert relaxed.settled.tolist() == [True, True, True]
    iterations = relaxed.iterations.tolist()
    assert iterations[0] == 1
    assert iterations[2] < iterations[1] < 60
    bounded = relax(net, drive, stop=Stop(iterations[1] - 1, 1e-5))
    assert bounded.settled.tolist() == [True, False, True]
    assert bounded.iterations.tolist() == [1, iterations[1] - 1, iterations[2]]
    assert bounded.residual[1] > 1e-5 >= bounded.residual[2]


@EVERY
def test_a_batch_relaxes_as_its_samples_do_alone_and_phases_stacked_as_they_do_apart(topology):
    _, net, drive, nudge = random_case(topology)
    free = relax(net, drive, stop=TIGHT)
    for sample in range(len(drive)):
        alone = relax(net, drive[sample : sample + 1], stop=TIGHT)
        for together, single in zip(free.states, alone.states, strict=True):
            torch.testing.assert_close(together[sample : sample + 1], single, atol=1e-12, rtol=0)
    stacked = relax(
        net,
        drive.repeat(2, *[1] * (drive.dim() - 1)),
        torch.cat([nudge, -nudge]),
        tuple(s.repeat(2, *[1] * (s.dim() - 1)) for s in free.states),
        TIGHT,
    )
    for half, push in enumerate((nudge, -nudge)):
        apart = relax(net, drive, push, free.states, TIGHT)
        for together, single in zip(stacked.states, apart.states, strict=True):
            torch.testing.assert_close(together.chunk(2)[half], single, atol=1e-12, rtol=0)


def test_neither_inputs_nor_start_states_are_changed():
    _, net, drive, nudge = random_case(TOPOLOGIES["pooled"])
    start = relax(net, drive, stop=Stop(3, 0)).states
    given = [t.clone() for t in (drive, nudge, *start)]
    relax(net, drive, nudge, start, Stop(5, 0))
    assert all(torch.equal(a, b) for a, b in zip(given, (drive, nudge, *start), strict=True))


def test_a_nudge_may_follow_the_present_state():
    # nudge g (t - s): the last layer relaxes to the minimum of E + g (t - s)^2 / 2
    net, drive = two_units(0.5), torch.tensor([[0.4]], dtype=torch.float64)
    target, strength = 0.9, 0.5
    relaxed = relax(net, drive, lambda s: strength * (target - s), stop=TIGHT)
    s1 = (0.5 * 0.4 + strength * target) / (1 - 0.25 + strength)
    assert relaxed.states[1].item() == pytest.approx(s1, abs=1e-12)
