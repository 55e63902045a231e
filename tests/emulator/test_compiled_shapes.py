"""What compiled functions read lies where they read it; else tensors take it, or refuse it in their own words."""

from dataclasses import replace
from itertools import pairwise

import pytest
import torch

from emulator import compiled_converters, converters
from emulator.chain import Chain
from emulator.channels import EXACT, Channels, Noise
from emulator.network import Network, Stop, relax
from emulator.neurons import ideal_neurons
from emulator.packed import pack
from firmware_specs.chains import dense_chain
from firmware_specs.datasheet import load


def net(sizes) -> Network:
    draw = torch.Generator().manual_seed(3)
    pairs = enumerate(pairwise(sizes))
    weights = {i: 0.7 * torch.randn(post, pre, generator=draw) / pre**0.5 for i, (pre, post) in pairs}
    topology = dense_chain(list(sizes))
    return Network(topology, pack(topology, weights, {}), ideal_neurons(topology))


def by_tensors(network: Network) -> Network:
    network.chain.__dict__["_sweeps"] = None
    return network


def outcome(does):
    """What it gives, or how it refuses."""
    try:
        done = does()
    except Exception as refused:
        return type(refused), str(refused)
    return done if isinstance(done, tuple) else (*done.states, done.settled, done.residual)


def alike(a, b):
    """Both gave the same but for rounding, or refused in the same words."""
    if not isinstance(a[0], torch.Tensor):
        return a == b
    return all(
        x.shape == y.shape and x.dtype == y.dtype and torch.allclose(x, y, atol=1e-5) for x, y in zip(a, b, strict=True)
    )


ODD_STARTS = {
    "a sample missing": lambda: (torch.rand(39, 32), torch.rand(39, 16)),
    "a unit missing": lambda: (torch.rand(40, 31), torch.rand(40, 16)),
    "a unit more": lambda: (torch.rand(40, 33), torch.rand(40, 16)),
    "of one unit": lambda: (torch.rand(40, 1), torch.rand(40, 16)),
    "a layer missing": lambda: (torch.rand(40, 32),),
    "no samples": lambda: (torch.rand(0, 32), torch.rand(0, 16)),
    "of other samples by layer": lambda: (torch.rand(20, 32), torch.rand(40, 16)),
    "more samples": lambda: (torch.rand(80, 32), torch.rand(80, 16)),
    "flat": lambda: (torch.rand(40 * 32), torch.rand(40 * 16)),
    "in two axes": lambda: (torch.rand(40, 4, 8), torch.rand(40, 16)),
    "turned": lambda: (torch.rand(32, 40).T, torch.rand(16, 40).T),
    "wide": lambda: (torch.rand(40, 32).double(), torch.rand(40, 16).double()),
    "elsewhere": lambda: (torch.rand(40, 32, device="meta"), torch.rand(40, 16)),
}
ODD_NUDGES = {
    "one for all": lambda: torch.rand(1, 16),
    "one current": lambda: torch.rand(40, 1),
    "a sample missing": lambda: torch.rand(39, 16),
    "a unit missing": lambda: torch.rand(40, 15),
    "flat": lambda: torch.rand(16),
    "wide": lambda: torch.rand(40, 16).double(),
    "turned": lambda: torch.rand(16, 40).T,
    "spread": lambda: torch.rand(40, 1).expand(40, 16),
}


def settled_both_ways(drive, nudge, start):
    stop = Stop(6, 0.0)
    return [
        outcome(lambda n=n: relax(n, drive, nudge, start, stop)) for n in (net((32, 16)), by_tensors(net((32, 16))))
    ]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", ODD_STARTS)
def test_a_start_of_another_shape_is_taken_or_refused_as_by_tensors(compiled, name):
    assert alike(*settled_both_ways(torch.rand(40, 32), None, ODD_STARTS[name]()))


@pytest.mark.parametrize("name", ODD_NUDGES)
def test_a_nudge_of_another_shape_is_taken_or_refused_as_by_tensors(compiled, name):
    assert alike(*settled_both_ways(torch.rand(40, 32), ODD_NUDGES[name](), None))


@pytest.mark.parametrize("drive", [torch.rand(40, 31), torch.rand(40, 1), torch.rand(40, 32).double(), torch.rand(40)])
def test_a_drive_of_another_shape_is_taken_or_refused_as_by_tensors(compiled, drive):
    assert alike(*settled_both_ways(drive, torch.rand(40, 16), None))


@pytest.mark.parametrize("change", [lambda w: w.double(), lambda w: w[:, :31], lambda w: torch.rand(20, 32)])
def test_weights_of_another_type_or_shape_are_taken_or_refused_as_by_tensors(compiled, change):
    found = []
    for way in (lambda n: n, by_tensors):
        layers = net((32, 20, 16)).chain.layers
        odd = change(layers[1].terms[0].matrix.T).T
        term = layers[1].terms[0]._replace(matrix=odd)
        network = net((32, 20, 16))
        chain = Chain(
            (layers[0], replace(layers[1], terms=(term, layers[1].terms[1])), layers[2]), network.chain.groups
        )
        network.__dict__.update(chain=chain, _suggested=1.0)
        drive = torch.linspace(0, 1, 320).view(10, 32)
        taken = way(network)
        found.append(outcome(lambda n=taken, d=drive: relax(n, d, stop=Stop(6, 0.0))))
    assert alike(*found)


ODD_CHANNELS = {
    "a gain for half of the units": lambda: Channels(gain=torch.randn(16)),
    "one gain": lambda: Channels(gain=torch.randn(1)),
    "a gain a row": lambda: Channels(gain=torch.randn(7, 1)),
    "gains of all samples": lambda: Channels(gain=torch.randn(7, 32)),
    "wide gains": lambda: Channels(gain=torch.randn(32).double()),
    "every second gain": lambda: Channels(gain=torch.randn(64)[::2]),
    "one offset": lambda: Channels(offset_lsb=torch.randn(1)),
    "offsets of other units": lambda: Channels(offset_lsb=torch.randn(31)),
    "half a curve": lambda: Channels(curve_lsb=torch.randn(2)),
    "a wide curve": lambda: Channels(curve_lsb=torch.randn(4096).double()),
}


def converted_both_ways(monkeypatch, does):
    first = outcome(does)
    with monkeypatch.context() as changed:
        changed.setattr(compiled_converters, "library", lambda: None)
        return first, outcome(does)


@pytest.mark.parametrize("name", ODD_CHANNELS)
def test_channels_of_another_shape_are_taken_or_refused_as_by_tensors(compiled, monkeypatch, name):
    sheet, channels, value = load("mixed-8bit"), ODD_CHANNELS[name](), torch.rand(7, 32)
    for convert, converter in (
        (converters.convert_state, sheet.state_adc),
        (converters.convert_drive, sheet.drive_dac),
    ):
        assert alike(*converted_both_ways(monkeypatch, lambda c=convert, x=converter: c(x, value, channels)))


@pytest.mark.parametrize("normal", [torch.ones(7, 16), torch.ones(32), torch.ones(7, 32).double(), torch.ones(32, 7).T])
def test_noise_of_another_shape_is_taken_or_refused_as_by_tensors(compiled, monkeypatch, normal):
    adc, value = load("mixed-8bit").state_adc, torch.rand(7, 32)
    ways = converted_both_ways(
        monkeypatch, lambda: converters.convert_state(adc, value, EXACT, Noise(normal.clone(), 0.01))
    )
    assert alike(*ways)


@pytest.mark.parametrize("value", [torch.tensor(0.5), torch.rand(32)])
def test_values_without_samples_are_refused_as_by_tensors(compiled, monkeypatch, value):
    adc = load("mixed-8bit").state_adc
    assert alike(*converted_both_ways(monkeypatch, lambda: converters.convert_state(adc, value)))


def test_codes_beyond_24_bits_are_formed_by_tensors(compiled):
    value = torch.rand(3, 64)
    finest = [load("mixed-8bit").state_adc.model_copy(update={"bits": bits}) for bits in (24, 25, 32)]
    assert [compiled_converters.read(adc, value, EXACT) is None for adc in finest] == [False, True, True]
