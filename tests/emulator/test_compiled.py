"""What is compiled where llvmlite is installed gives what tensors give."""

import copy
import pickle
import signal
import threading
from itertools import pairwise

import pytest
import torch

from emulator import chain_compiled, compiled_converters, converters
from emulator.channels import EXACT, Channels, Noise
from emulator.compiled import library
from emulator.network import Network, Stop, relax
from emulator.neurons import Neurons, ideal_neurons
from emulator.packed import pack
from firmware_specs.chains import dense_chain
from firmware_specs.datasheet import load

CPU = torch.device("cpu")


def net(sizes, uneven=False) -> Network:
    draw = torch.Generator().manual_seed(3)
    pairs = list(pairwise(sizes))
    weights = {i: 0.7 * torch.randn(post, pre, generator=draw) / pre**0.5 for i, (pre, post) in enumerate(pairs)}
    biases = {i: 0.1 * torch.randn(post, generator=draw) for i, (_, post) in enumerate(pairs)}
    topology = dense_chain(list(sizes))
    units = ideal_neurons(topology)
    if uneven:
        units = tuple(
            Neurons(1 + 0.1 * torch.randn(n, generator=draw), 0.02 * torch.randn(n, generator=draw), u.low, u.high)
            for n, u in zip(sizes, units, strict=True)
        )
    return Network(topology, pack(topology, weights, biases), units)


def by_tensors(network: Network) -> Network:
    network.chain.__dict__["_sweeps"] = None
    return network


def phases(network: Network, samples: int, stop: Stop):
    draw = torch.Generator().manual_seed(4)
    sizes = [layer.units for layer in network.topology.layers]
    drive = torch.randn(samples, sizes[0], generator=draw)
    nudge = 0.1 * torch.randn(2 * samples, sizes[-1], generator=draw)
    free = relax(network, drive, stop=stop)
    return free, relax(network, drive, nudge, free.states, stop, copies=2)


@pytest.mark.parametrize("sizes", [(256, 64), (300, 100, 10), (30, 20, 7, 5)], ids=str)
@pytest.mark.parametrize("samples", [1, 8, 50])
@pytest.mark.parametrize("uneven", [False, True])
def test_sweeps_end_where_those_of_tensors_end(compiled, sizes, samples, uneven):
    for stop in (Stop(100, 1e-4), Stop(9, 0.0), Stop(3, 1e-6), Stop(1, 1e-4)):
        quick, usual = net(sizes, uneven), by_tensors(net(sizes, uneven))
        pairs = zip(phases(quick, samples, stop), phases(usual, samples, stop), strict=True)
        assert quick.chain._sweeps is not None
        for a, b in pairs:
            for x, y in zip((*a.states, a.residual), (*b.states, b.residual), strict=True):
                assert x.shape == y.shape and float((x - y).abs().max()) < 3e-6
            assert (a.restless is None) == (b.restless is None)
            near = (b.residual - stop.tolerance).abs() < 1e-5  # rounding decides whether these rest
            assert torch.equal(a.settled | near, b.settled | near)


def test_a_sample_settles_to_the_last_bit_alike_in_any_batch(compiled):
    network, stop = net((256, 64)), Stop(12, 0.0)
    drive = torch.rand(21, 256)
    whole = relax(network, drive, stop=stop).states
    for number in (0, 7, 8, 20):
        alone = relax(network, drive[number : number + 1], stop=stop).states
        assert all(torch.equal(a[0], b[number]) for a, b in zip(alone, whole, strict=True))


def test_a_number_that_is_none_stays_none(compiled):
    network = net((256, 64))
    drive = torch.rand(3, 256)
    drive[1, 5] = float("nan")
    done = relax(network, drive, stop=Stop(60, 1e-4))
    assert done.settled.tolist() == [True, False, True]
    assert bool(done.residual[1].isnan()) and done.restless is not None


@pytest.mark.parametrize("stop", [Stop(50, 0.0), Stop(200, 1e-5), Stop(7, 1e-6)], ids=str)
@pytest.mark.parametrize("products", [1, 3_000_000])
def test_sweeps_in_stretches_are_the_same_to_the_last_bit(compiled, monkeypatch, stop, products):
    whole = phases(net((256, 64)), 20, stop)
    monkeypatch.setattr(chain_compiled, "STRETCH", products)
    for a, b in zip(phases(net((256, 64)), 20, stop), whole, strict=True):
        for name in ("settled", "iterations", "residual"):
            assert torch.equal(getattr(a, name), getattr(b, name))
        assert all(torch.equal(x, y) for x, y in zip(a.states, b.states, strict=True))


@pytest.mark.parametrize("sizes", [(256, 64), (1, 1), (4, 3, 2)], ids=str)
def test_a_signal_ends_a_long_phase(compiled, takes_less_than, longer, sizes):
    network, drive = net(sizes), torch.rand(32, sizes[0])
    relax(network, drive, stop=Stop(2, 0.0))

    class Ended(Exception):
        pass

    def end(*_):
        raise Ended

    def ended():
        with pytest.raises(Ended):
            signal.setitimer(signal.ITIMER_REAL, 0.05)
            relax(network, drive, stop=Stop(10**9, 0.0))

    usual = signal.signal(signal.SIGALRM, end)
    try:
        takes_less_than(0.5 * longer(), ended)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, usual)


def test_a_network_that_has_settled_can_be_copied(compiled):
    network, drive = net((256, 64)), torch.rand(4, 256)
    states = relax(network, drive).states
    moved = copy.copy(network)
    moved.__dict__["chain"] = pickle.loads(pickle.dumps(network.chain))
    for other in (copy.deepcopy(network), moved):
        assert all(torch.equal(a, b) for a, b in zip(states, relax(other, drive).states, strict=True))


@pytest.mark.parametrize("name", ["mixed-8bit", "reram"])
@pytest.mark.parametrize("units", [16, 17, 256])
def test_converters_give_the_same_numbers_to_the_last_bit(compiled, monkeypatch, name, units):
    sheet = load(name)
    value = torch.randn(7, units)
    value[0, 0], value[0, 1] = float("nan"), float("inf")
    normal = torch.randn(7, units)
    for converter in (sheet.state_adc, sheet.output_adc, sheet.drive_dac, sheet.nudge_dac):
        drawn = Channels.draw(converter, (units,), CPU, torch.float32, 1, "x")
        curve = torch.randn(converter.max_code + 1)
        for channels in (EXACT, drawn, Channels(torch.randn(units) * 0.1, torch.randn(units), curve)):
            found = []
            for quick in (True, False):
                with monkeypatch.context() as changed:
                    if not quick:
                        changed.setattr(compiled_converters, "library", lambda: None)
                    if hasattr(converter, "noise_sigma_v"):
                        noise = Noise(normal.clone(), 0.01)
                        found.append(converters.convert_state(converter, value, channels))
                        found.append(converters.convert_state(converter, value, channels, noise))
                    else:
                        found.append(converters.convert_drive(converter, value.nan_to_num() * converter.high, channels))
            half = len(found) // 2
            for (a, counted), (b, as_counted) in zip(found[:half], found[half:], strict=True):
                assert torch.equal(a.nan_to_num(7e7), b.nan_to_num(7e7))
                assert torch.equal(counted, as_counted) and counted.dtype == as_counted.dtype


def test_other_types_and_narrow_layers_are_converted_by_tensors():
    adc = load("mixed-8bit").state_adc
    for value in (torch.rand(3, 64, dtype=torch.float64), torch.rand(3, 5), torch.rand(0, 64)):
        assert compiled_converters.read(adc, value, EXACT) is None
        assert converters.convert_state(adc, value)[0].shape == value.shape


def test_functions_are_formed_beside_what_is_done_meanwhile(compiled):
    library._library.cache_clear()
    forming = library.form_beside()
    found = library.library()
    forming.join()
    assert found is not None and found is library.library()
    assert library._library.cache_info().misses == 1


def test_what_goes_wrong_beside_is_said_once_to_who_needs_the_functions(monkeypatch):
    def broken():
        raise OSError("libllvmlite.so: cannot open shared object file")

    said = []
    monkeypatch.setattr(library, "_library", broken)
    monkeypatch.setattr(threading, "excepthook", said.append)
    library.form_beside().join()
    assert not said
    with pytest.raises(OSError, match=r"libllvmlite\.so"):
        library.library()
