import pytest
import torch

from emulator import couplings, formed, network, packed
from emulator.couplings import Rounding
from emulator.network import Stop, relax
from emulator.neurons import ideal_neurons
from firmware_specs.topology import Conv, Dense, Layer, Topology

POOLED = Topology(
    layers=(
        Layer(shape=(3, 8, 8)),
        Layer(shape=(5, 4, 4)),
        Layer(shape=(4, 2, 2)),
        Layer(shape=(6, 2, 2)),
        Layer(shape=(7,), clamped=False),
    ),
    couplings=(
        Conv(pre=0, post=1, pool=True),
        Conv(pre=1, post=2, pool=True),
        Conv(pre=2, post=3),
        Dense(pre=3, post=4),
    ),
)
STRIDED = Topology(
    layers=(Layer(shape=(2, 7, 7)), Layer(shape=(3, 4, 4), clamped=False)),
    couplings=(Conv(pre=0, post=1, stride=2, bias=False),),
)


@pytest.fixture(autouse=True, params=[1, formed.FEWEST_CHANNELS], ids=["fewer multiplications", "direct"])
def fewest_channels(request, monkeypatch):
    monkeypatch.setattr(formed, "FEWEST_CHANNELS", request.param)


def random_parameters(topology, scale=0.3, dtype=torch.float64, seed=0):
    generator = torch.Generator().manual_seed(seed)
    weights, biases = {}, {}
    for index, coupling in enumerate(topology.couplings):
        rows, columns = topology.cells(coupling)
        flat = torch.randn(columns, rows - coupling.bias, generator=generator, dtype=torch.float64) * scale / rows**0.5
        shape = (columns, -1, coupling.kernel, coupling.kernel) if isinstance(coupling, Conv) else (columns, -1)
        weights[index] = flat.reshape(shape).to(dtype)
        bias = torch.randn(columns, generator=generator, dtype=torch.float64).to(dtype) * 0.1
        biases[index] = bias if coupling.bias else None
    return weights, biases


def networks(topology, dtype=torch.float64, arithmetic="full"):
    weights, biases = random_parameters(topology, dtype=dtype)
    neurons = ideal_neurons(topology)
    fast = packed.pack(topology, weights, biases, arithmetic)
    return (
        network.Network(topology, couplings.build(topology, weights, biases), neurons),
        network.Network(topology, fast, neurons, mixed=arithmetic == "mixed"),
    )


def drive_for(topology, batch=6, dtype=torch.float64):
    return torch.randn(batch, *topology.drive_shape, generator=torch.Generator().manual_seed(9), dtype=dtype)


@pytest.mark.parametrize("topology", [POOLED, STRIDED], ids=["pooled", "strided"])
def test_packed_products_equal_the_plain_ones(topology):
    plain, fast = networks(topology)
    generator = torch.Generator().manual_seed(4)
    for spec, slow, quick in zip(topology.couplings, plain.couplings, fast.couplings, strict=True):
        pre = torch.rand(3, *topology.shape(spec.pre), generator=generator, dtype=torch.float64)
        post = torch.rand(3, *topology.shape(spec.post), generator=generator, dtype=torch.float64)
        current, shared = slow.up(pre)
        fast_current, fast_shared = quick.up(pre)
        torch.testing.assert_close(fast_current, current, rtol=0, atol=1e-13)
        torch.testing.assert_close(quick.down(post, fast_shared), slow.down(post, shared), rtol=0, atol=1e-13)


@pytest.mark.parametrize("topology", [POOLED, STRIDED], ids=["pooled", "strided"])
def test_packed_network_relaxes_to_the_plain_networks_states(topology):
    plain, fast = networks(topology)
    drive = drive_for(topology)
    nudges = torch.randn(2 * len(drive), *topology.nudge_shape, dtype=torch.float64) * 0.05
    free = [relax(n, drive, stop=Stop(30, 0.0)).states for n in (plain, fast)]
    nudged = [
        relax(n, drive, nudges, start=s, stop=Stop(7, 0.0), copies=2).states
        for n, s in zip((plain, fast), free, strict=True)
    ]
    for slow, quick in zip(free[0] + nudged[0], free[1] + nudged[1], strict=True):
        torch.testing.assert_close(quick, slow, rtol=0, atol=1e-12)


def test_nudged_phases_of_one_batch_equal_phases_settled_one_by_one():
    _, fast = networks(POOLED)
    drive = drive_for(POOLED)
    free = relax(fast, drive, stop=Stop(30, 0.0)).states
    nudges = [torch.full((len(drive), 7), value, dtype=torch.float64) for value in (0.1, -0.1)]
    together = network.split(relax(fast, drive, torch.cat(nudges), free, Stop(9, 0.0), copies=2), 2)
    for phase, nudge in zip(together, nudges, strict=True):
        alone = relax(fast, drive, nudge, free, Stop(9, 0.0))
        for a, b in zip(phase.states, alone.states, strict=True):
            torch.testing.assert_close(a, b, rtol=0, atol=1e-13)


def test_mixed_arithmetic_settles_to_the_exact_equilibrium():
    exact, _ = networks(POOLED)
    _, mixed = networks(POOLED, torch.float32, "mixed")
    drive = drive_for(POOLED)
    wanted = relax(exact, drive, stop=Stop(500, 1e-12))
    found = relax(mixed, drive.float(), stop=Stop(200, 1e-6))
    assert bool(found.settled.all())
    for a, b in zip(found.states, wanted.states, strict=True):
        torch.testing.assert_close(a.double(), b, rtol=0, atol=1e-5)


def test_mixed_contrast_of_a_small_nudge_is_as_good_as_bfloat16_relative_to_the_contrast():
    exact, _ = networks(POOLED)
    _, mixed = networks(POOLED, torch.float32, "mixed")
    drive = drive_for(POOLED)
    free = relax(exact, drive, stop=Stop(500, 1e-12)).states
    nudge = torch.randn(len(drive), 7, generator=torch.Generator().manual_seed(1), dtype=torch.float64) * 0.03
    pair = torch.cat([nudge, -nudge])
    wanted = network.split(relax(exact, drive, pair, free, Stop(20, 0.0), copies=2), 2)
    small = tuple(s.float() for s in free)
    found = network.split(relax(mixed, drive.float(), pair.float(), small, Stop(20, 0.0), copies=2), 2)
    for layer in range(len(free)):
        a = (found[0].states[layer] - found[1].states[layer]).double()
        b = wanted[0].states[layer] - wanted[1].states[layer]
        assert float((a - b).norm() / b.norm()) < 0.02


def test_rounding_asks_for_an_exact_sweep_when_coarse_ones_have_done_their_share():
    rounding = Rounding(coarse=True)
    rounding.after(1.0, 1e-6)
    rounding.after(0.1, 1e-6)
    assert rounding.coarse
    rounding.after(0.01, 1e-6)
    assert not rounding.coarse
    rounding.after(0.005, 1e-6)
    assert rounding.coarse


def test_mixed_arithmetic_refuses_double_precision_weights():
    weights, biases = random_parameters(POOLED)
    with pytest.raises(ValueError, match="float32"):
        packed.pack(POOLED, weights, biases, "mixed")
