"""Updates for bad cells: what each rule reaches with few, asymmetric, noisy steps, and what a stranger may do wrong."""

import math
from functools import cache

import pytest
import torch

from emulator.chip import Chip
from firmware_specs.chains import dense_chain
from firmware_specs.datasheet import Datasheet, load
from firmware_specs.registry import find, names
from hil.counterparts import pulse_plan
from hil.counterparts.cell_array import CellArray
from hil.counterparts.emulator import EmulatorBench
from hil.counterparts.seam import PlacementError
from hil.data import load as load_data
from hil.data.batches import Batches
from hil.experiments.experiment_file import ExperimentError
from hil.experiments.experiment_file import load as load_experiment
from hil.experiments.sections import Data
from hil.learning.loss import task
from hil.learning.model import build
from hil.learning.updates import symmetric_point
from hil.learning.updates.transfer import Agad
from hil.training.state import Position, TrainState
from hil.training.update import CellUpdates

pytestmark = pytest.mark.filterwarnings("ignore::hil.learning.inputs.SettlingWarning")

BY_PULSES = [name for name in names("updates") if find("updates", name).pulsed and not find("updates", name).by_states]
PAIRS = {"residual": {"pairs": 3, "significance": 0.5}}
"""Cells of a weight where a rule needs more than one pair."""
TWO_ARRAYS = [name for name in BY_PULSES if find("updates", name).beside]
FEW_STATES = {
    "law": "soft_bounds",
    "step": 0.05,
    "zero": 0.4,
    "step_d2d": 0.3,
    "asymmetry_d2d": 0.1,
    "c2c": 0.3,
    "amplitude_v": 1.0,
    "width_s": 1e-6,
}
"""20 states, each cell with a symmetric point of its own."""


def sheet(base="ideal", **sections):
    plain = load(base).model_dump(exclude_unset=True)
    return Datasheet.model_validate(plain | {k: plain.get(k, {}) | v for k, v in sections.items()})


def bench(datasheet, seed=1):
    return EmulatorBench(Chip(datasheet, seed, dtype=torch.float64), "emulator:test")


def unit_cells(pulses, **sections):
    """Weights between -1 and 1."""
    return sheet(pulses=pulses, neurons={"transimpedance_ohm": 1e3}, **sections)


def arrays_of(datasheet, count, seed=1, inputs=8, outputs=8):
    counterpart = bench(datasheet, seed)
    found = [counterpart.place(dense_chain([inputs, outputs], bias=False)) for _ in range(count)]
    assert all(isinstance(array, CellArray) for array in found)
    return found


@cache
def regression_error(kind, lr, seed, steps, zero_off=0.0, states=20, **settings):
    """Root mean square weight error after noisy gradient descent, its rate falling to 0, away from symmetric points."""
    settings = find("updates", kind)(lr=lr, **settings)
    law = FEW_STATES | {"step": 1 / states}
    arrays = arrays_of(unit_cells(law, cells=PAIRS.get(kind, {})), 1 + settings.beside, seed)
    draw = torch.Generator().manual_seed(seed)
    wanted = torch.rand(8, 8, generator=draw, dtype=torch.float64) - 0.5
    arrays[0].prepare({"weight_0": torch.zeros(8, 8)})
    rule = settings.begin(arrays)
    for step in range(steps):
        x = torch.randn(8, 8, generator=draw, dtype=torch.float64)
        noise = torch.randn(8, 8, generator=draw, dtype=torch.float64) * 0.3
        gradient = x.T @ (x @ (arrays[0].weights(0, slice(None), 1) - wanted) + noise) / 8
        rule.step([-gradient / gradient.square().mean().sqrt()], (1 + math.cos(math.pi * step / steps)) / 2, draw)
        if step == 0 and zero_off:
            state = rule.state_dict()
            rule.load_state_dict(state | {"zero_0": state["zero_0"] + zero_off})
    return float((arrays[0].weights(0, slice(None), 1) - wanted).square().mean().sqrt())


@pytest.mark.long
def test_rules_for_bad_cells_come_nearer_to_the_weights_than_plain_pulses():
    plain = regression_error("pulsed", 0.05, 0, 300)
    found = {kind: regression_error(kind, 0.05, 0, 300) for kind in BY_PULSES if kind != "pulsed"}
    assert plain > 0.05
    assert all(error < 0.8 * plain for error in found.values()), (plain, found)


@pytest.mark.parametrize("carry", [False, True])
def test_residual_learning_leaves_less_than_plain_pulses_on_cells_of_few_levels(carry):
    """Five levels: what a pulse of the one pair moves a weight by is a fifth of its range."""
    plain = [regression_error("pulsed", 0.05, seed, 300, states=5) for seed in (0, 1)]
    residual = [regression_error("residual", 0.05, seed, 300, states=5, carry=carry) for seed in (0, 1)]
    assert sum(plain) / 2 > 0.12
    assert sum(residual) < 0.7 * sum(plain), (plain, residual)


def test_a_weight_of_several_pairs_is_their_sum_by_significance_and_each_is_pulsed_by_itself():
    (array,) = arrays_of(unit_cells({"law": "constant", "step": 0.01}, cells=PAIRS["residual"]), 1)
    wanted = torch.rand(8, 8, generator=torch.Generator().manual_seed(0)) * 2 - 1
    array.prepare({"weight_0": wanted.T})
    assert torch.allclose(array.weights(0, slice(None), 1), wanted.double(), atol=1e-5)
    draws = torch.Generator().manual_seed(1)
    for pair, significance in enumerate(array.significances()):
        before, own = (array.weights(0, slice(None), 1, p) for p in (None, pair))
        sent = array.send(0, torch.full((8, 8), -4), 31, draws, pair)
        moved = torch.tensor(-4 * array.pulse_step(), dtype=torch.float64)
        assert sent.pulses == 4 * 64
        free = (own - moved).abs() < 0.9  # a full cell moves no further
        assert torch.allclose((array.weights(0, slice(None), 1, pair) - own)[free], moved, atol=1e-5)
        assert torch.allclose((array.weights(0, slice(None), 1) - before)[free], significance * moved, atol=1e-5)
    drive = torch.rand(4, 8, dtype=torch.float64)
    states = array.settle(drive).free
    z = states[0] @ array.weights(0, slice(None), 1)
    assert torch.allclose(states[1], z, atol=1e-4)


def test_what_coarse_codes_cannot_express_the_next_pair_holds():
    wanted = torch.rand(8, 8, generator=torch.Generator().manual_seed(0)) * 2 - 1
    errors = {}
    for pairs in (1, 3):
        (array,) = arrays_of(unit_cells({}, cells={"bits": 4, "pairs": pairs, "significance": 1 / 16}), 1)
        assert array.program({"weight_0": wanted}).clipped == 0
        errors[pairs] = float((array.weights(0, slice(None), 1) - wanted.T).abs().max())
    assert 0.01 < errors[1] <= 1 / 30 + 1e-6
    assert errors[3] < 1.1 * errors[1] / 256


def test_residual_learning_is_refused_where_a_weight_is_one_pair_or_pulses_go_one_way():
    rule = find("updates", "residual")()
    with pytest.raises(ValueError, match=r"needs several pairs of cells.*cells\.pairs.*'mixed'"):
        rule.begin(arrays_of(unit_cells({"law": "constant", "step": 0.01}), 1))
    with pytest.raises(ValueError, match="one way only"):
        law = {"law": "constant", "step": 0.01, "one_sided": True}
        rule.begin(arrays_of(unit_cells(law, cells=PAIRS["residual"]), 1))


@pytest.mark.parametrize(
    ("base", "cells"),
    [
        ("ideal", {"pairs": 9, "significance": 0.5}),
        ("ideal", {"pairs": 2, "significance": 2.0}),
        ("resistive-ideal", {"pairs": 2, "significance": 0.5}),
        ("arc-two-32x32-like", {"pairs": 2, "significance": 0.5}),
        ("self-updating", {"pairs": 2, "significance": 0.5}),
    ],
)
def test_a_datasheet_with_pairs_that_cannot_be_is_refused(base, cells):
    with pytest.raises(ValueError, match=r"pairs|significance"):
        sheet(base, cells=cells)


def test_the_symmetric_point_of_soft_bounds_is_where_their_steps_are_equal():
    asymmetry = 0.2
    law = FEW_STATES | {"step": 0.02, "c2c": 0.0, "step_d2d": 0.0, "asymmetry_d2d": 0.0, "asymmetry": asymmetry}
    (array,) = arrays_of(unit_cells(law | {"zero": 0.5}), 1)
    array.prepare({"weight_0": torch.rand(8, 8) - 0.5})
    (found,), sent = symmetric_point.find(array, 1000, 1, torch.Generator().manual_seed(0))
    # both cells of a pair have the same point: their difference is zero there, wherever they began
    assert float(found.abs().max()) < 0.03
    x = array._chip.conductances_s(0)[0] / 1e-3
    # (1 + a) 2 (1 - x) = (1 - a) 2 x
    assert float((x - (1 + asymmetry) / 2).abs().max()) < 0.02
    assert 0 < sent.pulses <= 4 * 64 * (symmetric_point.pairs_needed(array, 1000) + 2 * symmetric_point.BURST)
    assert array.wear().pulses == sent.pulses + 2 * 64


def test_an_offset_of_the_zero_hurts_tiki_taka_more_than_agad():
    tiki, agad = (regression_error(kind, 0.05, 1, 120, zero_off=0.4) for kind in ("tiki_taka", "agad"))
    assert agad < 0.75 * tiki, (tiki, agad)


def test_whole_pulses_are_shared_by_the_cells_of_a_pair_and_none_is_lost():
    counts = torch.randint(-9, 10, (30, 40), generator=torch.Generator().manual_seed(0))
    for one_sided in (False, True):
        datasheet = unit_cells({"law": "constant", "step": 0.001, "one_sided": one_sided})
        trains = pulse_plan.whole(datasheet, counts, 31, torch.Generator().manual_seed(1))
        moved = sum((1 if t.up else -1) * (-1 if t.plane else 1) * t.counts for t in trains)
        assert torch.equal(moved, counts)
        assert all(t.up for t in trains) or not one_sided
        if not one_sided:
            odd = counts[counts % 2 == 1].numel()
            first = sum(int(t.counts.sum()) for t in trains if t.plane == 0)
            assert abs(first - int(counts.abs().sum()) / 2) < 3 * math.sqrt(odd)
    assert pulse_plan.whole(datasheet, counts * 10, 31, torch.Generator())[0].capped > 0


def test_mixed_loses_no_part_of_a_gradient():
    datasheet = unit_cells({"law": "constant", "step": 0.001})
    (array,) = arrays_of(datasheet, 1)
    array.prepare({"weight_0": torch.zeros(8, 8)})
    rule = find("updates", "mixed")(lr=1e-4).begin([array])
    total, draw = torch.zeros(8, 8, dtype=torch.float64), torch.Generator().manual_seed(0)
    for _ in range(300):
        part = torch.randn(8, 8, generator=draw, dtype=torch.float64) + 1
        total += 1e-4 * part
        rule.step([part], 1.0, draw)
    moved = array.weights(0, slice(None), 1)
    assert float((moved - total).abs().max()) <= array.pulse_step() * 1.0001
    assert array.wear().pulses - 2 * 64 <= 1.3 * float(total.abs().sum()) / array.pulse_step()


@pytest.mark.parametrize("kind", TWO_ARRAYS)
def test_a_rule_with_two_arrays_says_so_where_there_is_one(kind):
    experiment = load_experiment("digits", [f"update.kind={kind!r}"])
    with pytest.raises(PlacementError, match=r"needs another array beside each one that settles.*'mixed'"):
        build(experiment, bench(sheet("ecram", fabric={"arrays": 1})), (1, 8, 8), 10)


def test_cells_that_go_one_way_have_no_symmetric_point_and_the_refusal_names_what_works():
    with pytest.raises(ValueError, match=r"one way only.*'mixed'"):
        Agad().begin(arrays_of(unit_cells({"law": "constant", "step": 0.01, "one_sided": True}), 2))


@pytest.mark.parametrize(
    ("setting", "said"),
    [("update.kind='tiki'", "tiki_taka"), ("update.fast=2", "update.fast"), ("update.lr=-1", "update.lr")],
)
def test_a_wrong_setting_is_refused_with_its_key(setting, said):
    more = [] if "kind" in setting else ["update.kind='mixed'"]
    with pytest.raises(ExperimentError, match=said):
        load_experiment("digits", [*more, setting])


@pytest.mark.parametrize("kind", [*BY_PULSES, "device"])
def test_every_rule_resumes_bit_by_bit_and_undoes_a_step_that_failed(kind):
    small = [
        "blocks=[{energy={couplings=[{kind='dense',units=10}]},feedforward=[{kind='avg_pool'},{kind='flatten'}]}]",
        "readout='none'",
        f"update.kind={kind!r}",
        "update.lr=0.02",
    ]
    small += ["update.search=20", "update.lines=5"] if kind in TWO_ARRAYS else []
    small += ["update.chop=2"] if kind in ("chopped", "agad") else []
    small += ["update.alternate=true", "update.zero_contrast=1", "update.correct_every=3"] if kind == "device" else []
    chip = {"device": "self-updating", "residual": "reram-few-levels"}.get(kind, "reram")
    small += ["update.search=20", "update.every=1", "update.slower=2", "update.lines=7"] if kind == "residual" else []
    experiment = load_experiment("digits", small)
    data = load_data(Data(name="digits"), None)
    batches = list(Batches(data.train, 16, 0, True).epoch(0))[:8]
    loss = task("cross_entropy").loss

    def start():
        counterpart = EmulatorBench(Chip(load(chip), 0), "emulator:chip")
        model = build(experiment, counterpart, data.shape, data.classes)
        updates = CellUpdates(model, experiment.update, 0)
        host = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))])
        return TrainState(model, host, counterpart, Position(), updates)

    def steps(state, numbers):
        for number in numbers:
            images, labels = batches[number]
            loss(state.model(data.prepare(images, torch.device("cpu"), torch.float32)), labels).backward()
            state.cells.step(number)

    def same(one, other):
        ours, theirs = (state.checkpoint(0).tensors for state in (one, other))
        return ours.keys() == theirs.keys() and all(torch.equal(ours[name], theirs[name]) for name in ours)

    whole, first, second = start(), start(), start()
    steps(whole, range(8))
    steps(first, range(5))
    second.restore(first.checkpoint(0))
    steps(second, range(5, 8))
    assert same(second, whole)
    before = first.before_step()
    steps(first, range(5, 6))
    assert not same(first, second)
    first.undo_step(before)
    steps(first, range(5, 8))
    assert same(first, whole)
