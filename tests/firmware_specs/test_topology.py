import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware_specs.chains import dense_chain
from firmware_specs.topology import Conv, Dense, Layer, Topology, TopologyError


def test_shapes_and_cells_of_a_dense_chain():
    topology = dense_chain([256, 128, 10])
    assert (topology.drive_shape, topology.nudge_shape) == ((256,), (10,))
    assert [topology.cells(c) for c in topology.couplings] == [(257, 128), (129, 10)]
    assert [layer.clamped for layer in topology.layers] == [True, True, False]


def test_a_coupling_without_bias_has_no_bias_line():
    topology = dense_chain([4, 3], bias=False)
    assert topology.cells(topology.couplings[0]) == (4, 3)


@pytest.mark.parametrize(
    ("conv", "size", "expected"),
    [
        (Conv(pre=0, post=1), (3, 8, 8), (5, 8, 8)),
        (Conv(pre=0, post=1, pool=True), (3, 8, 8), (5, 4, 4)),
        (Conv(pre=0, post=1, pool=True), (3, 7, 7), (5, 3, 3)),
        (Conv(pre=0, post=1, stride=2), (3, 9, 8), (5, 5, 4)),
        (Conv(pre=0, post=1, kernel=5, padding=0), (3, 9, 8), (5, 5, 4)),
        (Conv(pre=0, post=1, kernel=1, padding=0), (3, 2, 2), (5, 2, 2)),
    ],
)
def test_convolution_and_pooling_shapes(conv, size, expected):
    assert conv.output_shape(size, 5) == expected
    topology = Topology(layers=(Layer(shape=size), Layer(shape=expected)), couplings=(conv,))
    assert topology.cells(conv) == (3 * conv.kernel**2 + 1, 5)


@pytest.mark.parametrize(
    ("layers", "couplings", "expected"),
    [
        ([], [], "layers"),
        ([(4,), (3,)], [Dense(pre=0, post=2)], r"couplings\[0\] \(dense 0 -> 2\): there are 2 layers"),
        ([(4,), (3,)], [Dense(pre=-1, post=1)], "numbered from 0"),
        ([(4,), (3,)], [Dense(pre=1, post=0)], "leads from an earlier layer to a later one"),
        ([(4,), (3,)], [Dense(pre=1, post=1)], "leads from an earlier layer to a later one"),
        ([(4,), (3,)], [Conv(pre=0, post=1)], r"got \(4,\) and \(3,\)"),
        ([(4, 8, 8), (3, 8, 8)], [Conv(pre=0, post=1, pool=True)], r"maps \(4, 8, 8\) to \(3, 4, 4\), but layer 1"),
        ([(4,), (3,), (2,)], [Dense(pre=0, post=1)], "layer 2 has no coupling"),
    ],
)
def test_what_does_not_fit_is_refused_by_name(layers, couplings, expected):
    with pytest.raises(TopologyError, match=expected):
        Topology(layers=tuple(Layer(shape=s) for s in layers), couplings=tuple(couplings))


def test_unknown_keys_are_refused():
    with pytest.raises(TopologyError, match=r"^Layer: gain: unknown key; known: clamped, rail, shape, slope$"):
        Layer(shape=(3,), gain=2.0)


@given(st.data())
def test_update_groups_cover_every_layer_once_and_share_no_coupling(data):
    count = data.draw(st.integers(2, 7))
    pairs = [(pre, post) for post in range(1, count) for pre in range(post)]
    joined = data.draw(st.sets(st.sampled_from(pairs))) | {(post - 1, post) for post in range(1, count)}
    topology = Topology(
        layers=tuple(Layer(shape=(2,)) for _ in range(count)),
        couplings=tuple(Dense(pre=a, post=b) for a, b in sorted(joined)),
    )
    groups = topology.update_groups
    assert sorted(n for group in groups for n in group) == list(range(count))
    assert not any(a in group and b in group for group in groups for a, b in joined)


@given(st.integers(1, 9))
def test_a_chain_updates_even_then_odd_layers(count):
    groups = dense_chain([3] * count).update_groups
    assert groups == tuple(g for g in (tuple(range(0, count, 2)), tuple(range(1, count, 2))) if g)


@given(st.lists(st.integers(1, 50), min_size=1, max_size=5), st.booleans())
def test_a_topology_survives_json(units, bias):
    topology = dense_chain(units, bias=bias, slope=0.5)
    assert Topology.model_validate_json(topology.model_dump_json()) == topology
