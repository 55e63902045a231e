"""A phase whose samples are shared among threads: the same states, the same end, one thread a kernel."""

import threading

import pytest
import torch

from emulator import packed, sharing
from emulator.network import Network, Stop, relax
from emulator.neurons import ideal_neurons
from firmware_specs.topology import Conv, Dense, Layer, Topology

LARGE = Topology(
    layers=(Layer(shape=(3, 8, 8)), Layer(shape=(5, 8, 8)), Layer(shape=(4, 4, 4), clamped=False)),
    couplings=(Conv(pre=0, post=1), Conv(pre=1, post=2, pool=True)),
)
SMALL = Topology(
    layers=(Layer(shape=(3, 4, 4)), Layer(shape=(5, 4, 4))),
    couplings=(Conv(pre=0, post=1),),
)
ENDS_DENSE = Topology(
    layers=(Layer(shape=(3, 8, 8)), Layer(shape=(5, 8, 8)), Layer(shape=(7,))),
    couplings=(Conv(pre=0, post=1), Dense(pre=1, post=2)),
)


def net(topology, arithmetic="full", dtype=torch.float64):
    generator, weights, biases = torch.Generator().manual_seed(2), {}, {}
    for index, coupling in enumerate(topology.couplings):
        rows, columns = topology.cells(coupling)
        flat = torch.randn(columns, rows - 1, generator=generator, dtype=torch.float64) * 0.3 / rows**0.5
        shape = (columns, -1, 3, 3) if isinstance(coupling, Conv) else (columns, -1)
        weights[index] = flat.reshape(shape).to(dtype)
        biases[index] = torch.randn(columns, generator=generator, dtype=torch.float64).to(dtype) * 0.1
    fast = packed.pack(topology, weights, biases, arithmetic)
    return Network(topology, fast, ideal_neurons(topology), mixed=arithmetic == "mixed")


def drive(batch, topology=LARGE):
    return torch.randn(batch, *topology.drive_shape, generator=torch.Generator().manual_seed(9), dtype=torch.float64)


@pytest.fixture
def threads():
    """`threads(n)`: as many as torch has from now on, until the test ends."""
    usual = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(usual)


@pytest.fixture(autouse=True)
def _without_gradients():
    with torch.no_grad():
        yield


def alike(found, wanted, bound=1e-12):
    assert found.settled.equal(wanted.settled)
    assert found.iterations.equal(wanted.iterations)
    torch.testing.assert_close(found.residual, wanted.residual, rtol=0, atol=bound)
    for a, b in zip(found.states, wanted.states, strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=bound)


@pytest.mark.parametrize("stop", [Stop(6, 0.0), Stop(300, 1e-9), Stop(3, 1e-9)], ids=["sweeps", "rest", "cut off"])
@pytest.mark.parametrize(("batch", "count"), [(5, 2), (8, 3), (2, 4), (1, 2)])
def test_phases_end_alike_and_in_the_same_states(threads, stop, batch, count):
    given, one = drive(batch), net(LARGE)
    nudges = torch.randn(2 * batch, *LARGE.nudge_shape, dtype=torch.float64) * 0.05
    free = relax(one, given, stop=stop)
    nudged = relax(one, given, nudges, free.states, stop, copies=2)
    threads(count)
    assert len(sharing.shares(one.couplings, batch)) == min(batch, count)
    shared = relax(one, given, stop=stop)
    alike(shared, free)
    alike(relax(one, given, nudges, free.states, stop, copies=2), nudged)
    if free.restless is not None:
        assert shared.restless.equal(free.restless)


def test_currents_of_every_sample_go_to_its_thread(threads):
    given, one = drive(5), net(LARGE)
    offsets = tuple(torch.randn(10, *layer.shape, dtype=torch.float64) / 9 for layer in LARGE.layers)
    start = relax(one, given, stop=Stop(3, 0.0)).states
    wanted = relax(one, given, None, start, Stop(5, 0.0), offsets, copies=2)
    threads(2)
    alike(relax(one, given, None, start, Stop(5, 0.0), offsets, copies=2), wanted)


def test_mixed_arithmetic_decides_once_for_all_threads(threads):
    given, one = drive(6).float(), net(LARGE, "mixed", torch.float32)
    wanted = relax(one, given, stop=Stop(200, 1e-6))
    threads(3)
    alike(relax(one, given, stop=Stop(200, 1e-6)), wanted, 1e-5)


def test_states_keep_the_memory_format_of_maps(threads):
    given = drive(6).contiguous(memory_format=torch.channels_last)
    threads(2)
    for state in relax(net(LARGE), given, stop=Stop(4, 0.0)).states:
        assert state.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("topology", [SMALL, ENDS_DENSE], ids=["small maps", "a dense coupling"])
def test_what_does_not_gain_is_not_shared(threads, topology):
    threads(2)
    assert len(sharing.shares(net(topology).couplings, 8)) == 1


def test_nothing_that_may_be_differentiated_is_shared(threads):
    threads(2)
    with torch.enable_grad():
        assert len(sharing.shares(net(LARGE).couplings, 8)) == 1


def test_a_nudge_that_follows_the_state_sees_the_whole_batch(threads):
    given, one, seen = drive(6), net(LARGE), []
    threads(2)
    relax(one, given, lambda state: seen.append(len(state)) or -0.01 * state, stop=Stop(3, 0.0))
    assert set(seen) == {6}


def test_a_thread_computes_alone_and_leaves_the_others_their_number(threads):
    later = []
    threads(2)
    assert sharing.each(lambda _: torch.get_num_threads(), range(3)) == [1, 1, 1]
    assert torch.get_num_threads() == 2
    fresh = threading.Thread(target=lambda: later.append(torch.get_num_threads()))
    fresh.start()
    fresh.join()
    assert later == [2]


def test_what_a_thread_raises_is_raised_when_all_have_ended():
    ended = []

    def work(item):
        if item == 0:
            raise ValueError("of one sample")
        ended.append(item)

    with pytest.raises(ValueError, match="of one sample"):
        sharing.each(work, range(3))
    assert sorted(ended) == [1, 2]


def test_batches_taken_apart_are_put_together_again():
    batch = torch.arange(14).view(14, 1)
    parts = [sharing.part(batch, share, 2) for share in (slice(0, 3), slice(3, 7))]
    assert parts[0].flatten().tolist() == [0, 1, 2, 7, 8, 9]
    assert sharing.joined(parts, 2).equal(batch)


def test_a_forked_child_hires_its_own():
    sharing.each(lambda x: x, range(2))
    sharing._threads.clear()  # what the hook does in a child, where the parent's threads are not
    assert sharing.each(lambda x: x + 1, range(2)) == [1, 2]
