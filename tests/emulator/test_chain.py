"""Dense nets settle by few tensor calls as they do layer by layer, sample by sample, sweep by sweep."""

from dataclasses import fields, replace

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from emulator.network import Network, Stop, relax
from emulator.neurons import Neurons
from firmware_specs.chains import dense_chain
from firmware_specs.topology import Dense, Layer, Topology
from hil.learning.energy import ideal_network

SKIPPING = Topology(
    layers=(Layer(shape=(4,)), Layer(shape=(3,), slope=0.8), Layer(shape=(2,), clamped=False)),
    couplings=(Dense(pre=0, post=1), Dense(pre=1, post=2, bias=False), Dense(pre=0, post=2)),
)
MAPS = Topology(
    layers=(Layer(shape=(4, 3, 3), slope=0.5), Layer(shape=(12,), clamped=False)), couplings=(Dense(pre=0, post=1),)
)
NETS = [MAPS, SKIPPING, dense_chain([5, 4, 3, 4, 5], slope=0.7), dense_chain([7, 3], slope=0.5, clamp_last=True)]
STOPS = [Stop(200, 1e-4), Stop(7, 0.0), Stop(3, 1e-9), Stop(1, 1e-3), Stop(300, 1e-9)]


def net(topology: Topology, dtype: torch.dtype, uneven: bool) -> Network:
    draw = torch.Generator().manual_seed(5)

    def normal(*shape):
        return torch.randn(*shape, generator=draw, dtype=torch.float64).to(dtype)

    parameters = {}
    for index, coupling in enumerate(topology.couplings):
        pre, post = (topology.layers[n].units for n in (coupling.pre, coupling.post))
        parameters[f"weight_{index}"] = 0.8 * normal(post, pre) / (pre + post) ** 0.5
        if coupling.bias:
            parameters[f"bias_{index}"] = 0.1 * normal(post)
    built = ideal_network(topology, parameters, "full")
    if not uneven:
        return built
    rails = [(0.0, 1.0) if layer.clamped else (-0.3, None) for layer in topology.layers]
    units = [
        Neurons(layer.gain * (1 + 0.02 * normal(*layer.shape)), 0.02 * normal(*layer.shape), *rail)
        for layer, rail in zip(topology.layers, rails, strict=True)
    ]
    return replace(built, neurons=tuple(units))


def phases(network: Network, dtype: torch.dtype, stop: Stop, noisy: bool):
    """A free phase from rest, and two nudged ones from there as one batch."""
    draw = torch.Generator().manual_seed(6)
    layers = network.topology.layers
    drive = torch.randn(9, *layers[0].shape, generator=draw).to(dtype)
    nudge = 0.1 * torch.randn(18, *layers[-1].shape, generator=draw).to(dtype)
    noise = tuple(0.02 * torch.randn(9, *layer.shape, generator=draw).to(dtype) for layer in layers)
    twice = tuple(n.repeat(2, *[1] * (n.dim() - 1)) for n in noise)
    free = relax(network, drive, stop=stop, offsets=noise if noisy else None)
    return free, relax(network, drive, nudge, free.states, stop, twice if noisy else None, copies=2)


@pytest.mark.parametrize("topology", NETS, ids=["maps", "skipping", "five", "two"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_states_and_reports_are_those_of_the_layers_one_by_one(topology, dtype):
    for uneven in (False, True):
        network = net(topology, dtype, uneven)
        assert network.chain is not None
        for stop in STOPS:
            for noisy in (False, True):
                quick = phases(network, dtype, stop, noisy)
                usual = phases(network, dtype, replace(stop, check_every=1), noisy)
                for a, b in zip(quick, usual, strict=True):
                    near = (b.residual - stop.tolerance).abs() < 1e-6  # rounding may decide whether these are at rest
                    if bool((a.settled != b.settled)[near].any()):
                        continue
                    assert torch.equal(a.settled, b.settled)
                    assert all(
                        x.shape == y.shape and x.dtype == y.dtype for x, y in zip(a.states, b.states, strict=True)
                    )
                    if dtype == torch.float64 or stop.tolerance != 1e-9:
                        assert torch.equal(a.iterations, b.iterations)
                    for x, y in zip((*a.states, a.residual), (*b.states, b.residual), strict=True):
                        assert float((x - y).abs().max()) < 1e-6
                    assert (a.restless is None) == (b.restless is None)


def test_a_sample_that_rested_earlier_is_reported_so_and_one_that_never_does_is_pointed_at():
    network = net(MAPS, torch.float64, uneven=False)
    drive = torch.zeros(3, *MAPS.layers[0].shape, dtype=torch.float64)
    drive[1] = 1.0
    drive[2] = float("nan")
    done = relax(network, drive, stop=Stop(40, 1e-6))
    alone = relax(network, drive[:1], stop=Stop(40, 1e-6))
    assert done.settled.tolist() == [True, True, False]
    assert done.iterations[0] == alone.iterations[0] != done.iterations[1]
    assert done.iterations[2] == 40
    assert done.restless is not None


def test_states_outlive_the_next_phase():
    network = net(MAPS, torch.float32, uneven=False)
    drive = torch.rand(4, *MAPS.layers[0].shape)
    first = relax(network, drive).states
    kept = [s.clone() for s in first]
    relax(network, 2 * drive)
    assert all(torch.equal(a, b) for a, b in zip(first, kept, strict=True))


def test_gradients_are_recorded_where_they_are_asked_for():
    network = net(MAPS, torch.float64, uneven=False)
    drive = torch.rand(2, *MAPS.layers[0].shape, dtype=torch.float64, requires_grad=True)
    relax(network, drive).states[-1].sum().backward()
    assert float(drive.grad.abs().sum()) > 0


def test_a_sweep_takes_a_handful_of_tensor_calls():
    class Counter(TorchDispatchMode):
        calls = 0

        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            self.calls += 1
            return func(*args, **(kwargs or {}))

    network = net(MAPS, torch.float32, uneven=True)
    drive = torch.rand(4, *MAPS.layers[0].shape)
    counts = []
    for sweeps in (20, 100):
        with torch.no_grad(), Counter() as counter:
            relax(network, drive, stop=Stop(sweeps, 1e-30))
        counts.append(counter.calls)
    assert (counts[1] - counts[0]) / 80 < 7  # three a layer, and a look now and then


def test_all_a_neuron_circuit_has_is_folded():
    assert [field.name for field in fields(Neurons)] == ["gain", "offset", "low", "high"]
