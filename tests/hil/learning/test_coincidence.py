"""`coincidence`: the trains' mean is the measured contrast, whatever it is sent as; saturation is said."""

from itertools import islice

import pytest
import torch

from emulator.chip import Chip
from firmware_specs.chains import dense_chain
from firmware_specs.datasheet import Datasheet, load
from hil.counterparts import coincidence_plan
from hil.counterparts.coincidence_plan import Outer, plan
from hil.counterparts.emulator import EmulatorBench
from hil.data import load as load_data
from hil.data.batches import Batches
from hil.experiments.experiment_file import load as load_experiment
from hil.experiments.sections import Data
from hil.learning.loss import task
from hil.learning.model import ModelError, build
from hil.learning.updates.coincidence import Coincidence, Phase, outers, scaled
from hil.training.update import CellUpdates

CONSTANT = {"law": "constant", "step": 0.001, "amplitude_v": 1.0, "width_s": 1e-6}
TOPOLOGY = dense_chain([6, 5, 3])


def sheet(base="ideal", **sections):
    plain = load(base).model_dump(exclude_unset=True)
    lines = {"coincidence": {"half_select": 0.0}, "pulses": CONSTANT, "neurons": {"transimpedance_ohm": 1e3}}
    found = {k: plain.get(k, {}) | v for k, v in (lines | sections).items()}
    return Datasheet.model_validate(plain | found)


def phases(seed, samples=16):
    """Two phases: hidden layers clip at 0, the last one is linear."""
    draw = torch.Generator().manual_seed(seed)

    def states(shift):
        hidden = [torch.rand(samples, n, generator=draw) * 0.8 + shift for n in (6, 5)]
        return (*hidden, torch.randn(samples, 3, generator=draw) * 0.3 + shift)

    weight = torch.rand(samples, generator=draw) + 0.5
    return [(Phase(states(0.05), weight), Phase(states(0.0), -weight))]


def contrast(number, kept):
    """By hand, the bias line last."""
    total = torch.zeros(TOPOLOGY.cells(TOPOLOGY.couplings[number]), dtype=torch.float64)
    for phase in (phase for pair in kept for phase in pair):
        pre, post = phase.states[number].double(), phase.states[number + 1].double()
        total += torch.einsum("b,bi,bj->ij", phase.weight.double(), torch.cat([pre, torch.ones(len(pre), 1)], 1), post)
    return total


@pytest.mark.parametrize("terms", ["differences", "phases"])
@pytest.mark.parametrize("number", [0, 1])
def test_either_form_is_the_contrast(terms, number):
    kept = phases(0)
    found = outers(TOPOLOGY, number, kept, terms)
    assert torch.allclose(sum(o.sum for o in found), contrast(number, kept), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("terms", "one_sided"), [("differences", False), ("phases", True)])  # neither knows the other
def test_the_mean_of_many_trains_is_the_contrast_to_statistical_error(terms, one_sided):
    """On cells of equal steps that never reach an end: what moved, against what was wanted, in standard errors.

    The fewer samples, the larger what is wanted beside the spread of a train: with 16 samples and 280
    trains, coupling 1 was seen off by 15 %, with these by 25 %.
    """
    law = CONSTANT | {"one_sided": one_sided, "step": 1e-5, "asymmetry": 0.2}
    (array,) = [EmulatorBench(Chip(sheet(pulses=law), 1, dtype=torch.float64), "test").place(TOPOLOGY)]
    array.prepare({f"{kind}_{n}": torch.zeros(shape) for n, (rows, columns) in enumerate([(6, 5), (5, 3)])
                   for kind, shape in (("weight", (columns, rows)), ("bias", (columns,)))})  # fmt: skip
    kept, draws, repeats = phases(0, samples=4), torch.Generator().manual_seed(1), 100
    products = [scaled(outers(TOPOLOGY, n, kept, terms), True, 2 * array.pulse_step()) for n in (0, 1)]
    moved = []
    for _ in range(repeats):
        before = [array.weights(n, slice(None), 1) for n in (0, 1)]
        assert array.coincide(products, 5, draws).capped == 0
        moved.append([array.weights(n, slice(None), 1) - b for n, b in enumerate(before)])
    for n in (0, 1):
        seen = torch.stack([each[n] for each in moved])
        wanted, error = sum(o.sum for o in products[n]), seen.std(0) / repeats**0.5
        off = (seen.mean(0) - wanted) / error
        assert float(off.abs().max()) < 4.5, off
        assert float(off.std()) < 1.5
        assert float(wanted.abs().max() / error.max()) > 10  # a wrong sign or factor would be seen
        assert torch.nn.functional.cosine_similarity(wanted.flatten(), contrast(n, kept).flatten(), dim=0) > 0.3


def test_weights_and_biases_move_by_the_rate_each():
    kept = phases(1)
    found = sum(o.sum for o in scaled(outers(TOPOLOGY, 0, kept, "differences"), True, 0.01))
    assert float(found[:-1].square().mean().sqrt()) == pytest.approx(0.01)
    assert float(found[-1].square().mean().sqrt()) == pytest.approx(0.01)
    still = Phase(phases(1)[0][0].states, torch.zeros(16))
    assert all(not bool(o.sum.any()) for o in scaled(outers(TOPOLOGY, 0, [(still, still)], "phases"), True, 0.01))


def test_phases_as_they_are_cost_many_times_the_pulses():
    kept, sent = [(a, Phase(tuple(s + 0.01 for s in a.states), b.weight)) for a, b in phases(0)], {}
    for terms in ("differences", "phases"):
        products = [scaled(outers(TOPOLOGY, n, kept, terms), True, 0.01) for n in (0, 1)]
        planned = plan(sheet(), products, 200, torch.Generator().manual_seed(0))
        sent[terms] = sum(int(train.counts.sum()) for train in planned.trains)
    assert sent["phases"] > 5 * sent["differences"] > 0


def test_quadrants_are_as_many_as_there_are_signs():
    positive, signed = torch.rand(4, 3).double() + 0.1, torch.tensor([[-1.0, 1.0]] * 4).double()
    count = {
        "positive and positive": len(plan(sheet(), [[Outer(positive, positive)]], 50, torch.Generator()).trains),
        "positive and signed": len(plan(sheet(), [[Outer(positive, signed)]], 50, torch.Generator()).trains),
        "signed and signed": len(plan(sheet(), [[Outer(signed, signed)]], 50, torch.Generator()).trains),
    }
    assert list(count.values()) == [2, 4, 8]  # each for both planes
    one_way = sheet(pulses=CONSTANT | {"one_sided": True})
    assert len(plan(one_way, [[Outer(signed, signed)]], 50, torch.Generator()).trains) == 4


def test_lines_that_are_to_be_pulsed_in_more_slots_than_there_are_are_counted():
    one, few, many = (torch.full((1, n), 0.1, dtype=torch.float64) for n in (1, 2, 3))
    worth = 0.001 * sheet().cells.span_s * 1e3 * 2  # of a pair's weight by a pulse in every slot of each plane
    for times, beyond in ((4.9, 0), (5.1, 2 * 2 * 3)):
        outer = Outer(few * (times * worth / 0.01), many)
        planned = plan(sheet(), [[outer]], 5, torch.Generator())
        assert planned.saturated == beyond
        assert all(int(t.counts.max()) <= 5 for t in planned.trains)
    # a strong row, two strong columns: only where weak lines cross cells get what they are to
    rows, columns = torch.cat([one * 100, one], dim=1), torch.cat([one * 1e-3, one, one], dim=1)
    p, q, beyond = coincidence_plan._shares(rows, columns, 0.1)
    assert beyond == 5 and float(p[0, 0]) == 1.0 and q[0, 1:].tolist() == [1.0, 1.0]
    assert float(p[0, 1] * q[0, 0]) * 0.1 == pytest.approx(float(rows[0, 1] * columns[0, 0]))


def test_what_the_rule_cannot_follow_is_refused_in_words():
    def built(*changes, device="ecram", preset="digits-cells"):
        experiment = load_experiment(preset, ["update.kind='coincidence'", *changes])
        bench = EmulatorBench(Chip(load(device), 1), "emulator:test")
        return CellUpdates(build(experiment, bench, (1, 8, 8), 10), experiment.update, 0)

    with pytest.raises(ValueError, match=r"mixed-8bit cannot pulse rows and columns together.*\[coincidence\]"):
        built(device="mixed-8bit")
    for wrong in ("estimator.points=4", "estimator.dither=true", "estimator.jumps='one_sided'"):
        with pytest.raises(ValueError, match="the contrast of two phases"):
            built(wrong)
    with pytest.raises(ModelError, match="dense couplings only"):
        built(preset="digits-three-conv")


@pytest.mark.parametrize("terms", ["differences", "phases"])
def test_it_learns_digits_and_moves_nothing_else(terms):
    changes = [f"update={{kind='coincidence',lr=0.005,slots=5,terms='{terms}'}}", "run.epochs=1"]
    experiment = load_experiment("digits-cells", changes)
    bench = EmulatorBench(Chip(load("ecram"), 1), "emulator:test")
    model = build(experiment, bench, (1, 8, 8), 10)
    cells, goal = CellUpdates(model, experiment.update, 0), task(experiment.loss)
    data = load_data(Data(name="digits"), None)
    losses = []
    for images, labels in islice(Batches(data.train, 32, 0, True).epoch(0), 24):
        loss = goal.loss(model(data.prepare(images, torch.device("cpu"), torch.float32)), labels).mean()
        loss.backward()
        losses.append(float(loss.detach()))
        sent = cells.step(len(losses))
        assert sent.pulses > 0
    assert sum(losses[-5:]) < 0.95 * sum(losses[:5])
    kept = Coincidence().begin([next(iter(cells._blocks.values())).array]).state_dict()
    assert kept == {}
