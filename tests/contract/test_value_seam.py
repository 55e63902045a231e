"""What a block may expect of every counterpart: the same test bodies on the reference, the emulator and every door.

Counterparts are compared with the reference within what their converters, noise and mismatch explain.
"""

import json

import pytest
import torch

from firmware_specs.chains import dense_chain
from firmware_specs.topology import Conv, Layer, Topology
from hil.counterparts.reference import ReferenceBench
from hil.counterparts.seam import PlacementError

DENSE = dense_chain([12, 8, 4], slope=0.5)
POOLED = Topology(
    layers=(Layer(shape=(2, 4, 4), slope=0.5), Layer(shape=(3, 2, 2), slope=0.5), Layer(shape=(4,), clamped=False)),
    couplings=(Conv(pre=0, post=1, pool=True), {"kind": "dense", "pre": 1, "post": 2}),
)
BOTH = pytest.mark.parametrize("topology", [DENSE, POOLED], ids=["dense", "pooled"])
BATCH = 3


def parameters(topology, seed=0):
    draw = torch.Generator().manual_seed(seed)
    found = {}
    for index, coupling in enumerate(topology.couplings):
        rows, columns = topology.cells(coupling)
        shape = (columns, rows - 1)
        if coupling.kind == "conv":
            shape = (columns, -1, coupling.kernel, coupling.kernel)
        found[f"weight_{index}"] = (torch.rand(columns, rows - 1, generator=draw) * 0.3 - 0.15).view(shape)
        found[f"bias_{index}"] = torch.rand(columns, generator=draw) * 0.3
    return found


def drive_for(topology, seed=1):
    draw = torch.Generator().manual_seed(seed)
    return torch.rand(BATCH, *topology.drive_shape, generator=draw) * 2 - 0.3


def nudge_for(array, share=0.5):
    """A constant current of one sign that every counterpart can express."""
    return torch.full((BATCH, *array.topology.nudge_shape), share * min(array.ranges.nudge_limit, 0.4))


def every(settled):
    return [settled.free, *settled.nudged]


def tolerance(bench):
    """What converters, noise and mismatch explain, model units."""
    if not bench.quantized:
        return 1e-4
    return 0.2 if "mixed-8bit" in bench.address else 0.05


def placed(bench, topology):
    array = bench.place(topology)
    array.program(parameters(topology))
    return array


@BOTH
def test_states_have_the_layers_shapes_and_one_report_a_phase(counterpart, topology):
    array = placed(counterpart, topology)
    nudge = nudge_for(array)
    settled = array.settle(drive_for(topology), [nudge, -nudge])
    assert len(settled.nudged) == 2
    assert len(settled.phases) == 3
    for states in every(settled):
        assert [s.shape for s in states] == [(BATCH, *layer.shape) for layer in topology.layers]
        assert all(s.dtype == torch.float32 and not s.requires_grad for s in states)
    for phase in settled.phases:
        for tensor in (phase.settled, phase.iterations, phase.residual, phase.clipped_drives, phase.rail_codes):
            assert tensor.shape == (BATCH,)
        assert phase.settled.dtype == torch.bool
        assert bool(phase.settled.all())


@BOTH
def test_states_are_those_of_the_reference_within_converters_noise_and_mismatch(counterpart, topology):
    array, exact = placed(counterpart, topology), placed(ReferenceBench(), topology)
    nudge, drive = nudge_for(array), drive_for(topology)
    mine, theirs = array.settle(drive, [nudge, -nudge]), exact.settle(drive, [nudge, -nudge])
    for a, b in zip(every(mine), every(theirs), strict=True):
        for state, wanted in zip(a, b, strict=True):
            torch.testing.assert_close(state, wanted, rtol=0, atol=tolerance(counterpart))


def test_a_positive_nudge_raises_the_last_layer_and_a_negative_one_lowers_it(counterpart):
    array = placed(counterpart, DENSE)
    nudge = nudge_for(array, 1.0)
    settled = array.settle(drive_for(DENSE), [nudge, -nudge])
    up, down = settled.nudged[0][-1], settled.nudged[1][-1]
    assert bool(((up - down).mean(1) > nudge[:, 0]).all())
    middle = (up + down) / 2
    torch.testing.assert_close(middle, settled.free[-1], rtol=0, atol=tolerance(counterpart) + 0.02)


def test_a_zero_nudge_leaves_the_free_equilibrium(counterpart):
    array = placed(counterpart, DENSE)
    settled = array.settle(drive_for(DENSE), [torch.zeros(BATCH, 4)])
    for nudged, free in zip(settled.nudged[0], settled.free, strict=True):
        torch.testing.assert_close(nudged, free, rtol=0, atol=tolerance(counterpart) / 2)


def test_nudged_phases_in_one_transaction_equal_separate_ones(counterpart):
    array = placed(counterpart, POOLED)
    drive, nudge = drive_for(POOLED), nudge_for(array)
    together = array.settle(drive, [nudge, -nudge, 0.5 * nudge]).nudged
    for phase, push in zip(together, (nudge, -nudge, 0.5 * nudge), strict=True):
        alone = array.settle(drive, [push]).nudged[0]
        for a, b in zip(phase, alone, strict=True):
            torch.testing.assert_close(a, b, rtol=0, atol=tolerance(counterpart) / 2)


@BOTH
def test_a_settle_that_starts_from_an_earlier_one_ends_at_the_same_states(counterpart, topology):
    array = placed(counterpart, topology)
    drive, nudge = drive_for(topology), nudge_for(array)
    cold = array.settle(drive, [nudge])
    warm = array.settle(drive, [nudge], cold.free)
    for a, b in zip(every(cold), every(warm), strict=True):
        for state, wanted in zip(a, b, strict=True):
            torch.testing.assert_close(state, wanted, rtol=0, atol=tolerance(counterpart) / 2)


def test_states_come_in_the_dtype_of_the_drive(counterpart):
    array = placed(counterpart, DENSE)
    wide = {name: value.double() for name, value in parameters(DENSE, 2).items()}
    array.program(wide)
    settled = array.settle(drive_for(DENSE).double(), [nudge_for(array).double()])
    assert all(s.dtype == torch.float64 for states in every(settled) for s in states)


def test_inputs_are_left_as_they_were(counterpart):
    array = counterpart.place(DENSE)
    weights, drive = parameters(DENSE), drive_for(DENSE)
    nudge = nudge_for(array)
    kept = [t.clone() for t in (*weights.values(), drive, nudge)]
    array.program(weights)
    array.settle(drive, [nudge])
    assert all(torch.equal(a, b) for a, b in zip(kept, (*weights.values(), drive, nudge), strict=True))


def test_writing_the_same_parameters_again_writes_no_cell_and_new_ones_count(counterpart):
    array = counterpart.place(DENSE)
    first = array.program(parameters(DENSE))
    assert first.cells >= sum(p.numel() for p in parameters(DENSE).values())
    assert first.clipped == 0
    if counterpart.quantized or "emulator" in counterpart.address:
        assert array.program(parameters(DENSE)).written == 0
    changed = parameters(DENSE)
    changed["weight_1"][0, 0] += 0.1
    assert 1 <= array.program(changed).written <= first.cells


def test_weights_beyond_the_cells_are_counted_as_clipped(counterpart):
    array = counterpart.place(DENSE)
    high = array.ranges.weight[1]
    weights = parameters(DENSE)
    weights["weight_0"][0, :3] = 2 * high if high < float("inf") else 2.0
    assert array.program(weights).clipped == (3 if high < float("inf") else 0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda p: p.pop("bias_0"), "bias_0: missing"),
        (lambda p: p.update(weight_1=torch.zeros(4, 9)), r"weight_1: shape \(4, 9\), the crossbar needs \(4, 8\)"),
        (lambda p: p["weight_0"].__setitem__((0, 0), float("nan")), "weight_0: 1 values are not finite"),
        (lambda p: p["bias_1"].fill_(float("inf")), "bias_1: 4 values are not finite"),
    ],
)
def test_bad_parameters_are_refused_by_name_and_nothing_is_written(counterpart, change, message):
    array = placed(counterpart, DENSE)
    before = array.settle(drive_for(DENSE)).free
    bad = parameters(DENSE, 3)
    change(bad)
    with pytest.raises(ValueError, match=message):
        array.program(bad)
    for a, b in zip(array.settle(drive_for(DENSE)).free, before, strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=tolerance(counterpart) / 2)


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
def test_currents_that_are_not_finite_are_refused_by_name(counterpart, bad):
    array = placed(counterpart, DENSE)
    drive, nudge = drive_for(DENSE), nudge_for(array)
    with pytest.raises(ValueError, match="drive: 1 values are not finite"):
        array.settle(drive.index_put((torch.tensor([0]), torch.tensor([1])), torch.tensor(bad)))
    with pytest.raises(ValueError, match=r"nudge 1: \d+ values are not finite"):
        array.settle(drive, [nudge, nudge * bad])
    assert bool(array.settle(drive, [nudge]).phases[1].settled.all())


@pytest.mark.parametrize(
    ("drive", "nudge", "message"),
    [
        ((BATCH, 11), (BATCH, 4), r"drive: shape \(3, 11\), expected \(3, 12\)"),
        ((BATCH, 3, 4), (BATCH, 4), r"drive: shape \(3, 3, 4\), expected \(3, 12\)"),
        ((BATCH, 12), (BATCH, 5), r"nudge 0: shape \(3, 5\), expected \(3, 4\)"),
        ((BATCH, 12), (BATCH + 1, 4), r"nudge 0: shape \(4, 4\), expected \(3, 4\)"),
    ],
)
def test_currents_of_the_wrong_shape_are_refused_by_name(counterpart, drive, nudge, message):
    array = placed(counterpart, DENSE)
    with pytest.raises(ValueError, match=message):
        array.settle(torch.zeros(drive), [torch.zeros(nudge)])


def test_blocks_get_arrays_of_their_own_until_there_are_none(counterpart):
    first = placed(counterpart, DENSE)
    before = first.settle(drive_for(DENSE)).free
    second = counterpart.place(DENSE)
    second.program(parameters(DENSE, 5))
    for a, b in zip(first.settle(drive_for(DENSE)).free, before, strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=tolerance(counterpart) / 2)
    if counterpart.address == "reference:":
        return
    with pytest.raises(PlacementError, match=r"has \d+ array\(s\) and block \d+ needs one more"):
        for _ in range(20):
            counterpart.place(DENSE)


def test_it_says_who_it_is_in_json_values(counterpart):
    placed(counterpart, DENSE)
    described = counterpart.describe()
    assert json.loads(json.dumps(described)) == described
    assert described["kind"]
    assert counterpart.address
