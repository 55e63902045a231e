"""Training that lives with the cells: pulses without shadow weights, refreshes, averaged reads, dithered nudges."""

import math

import pytest
import torch

from emulator.chip import Chip
from firmware_specs.chains import dense_chain
from firmware_specs.datasheet import Datasheet, load
from hil.counterparts import pulse_plan
from hil.counterparts.emulator import EmulatorBench
from hil.counterparts.reference import ReferenceBench
from hil.data import load as load_data
from hil.data.batches import Batches
from hil.experiments.experiment_file import load as load_experiment
from hil.experiments.sections import Data
from hil.learning.block import EnergyBlock
from hil.learning.estimator import Estimator
from hil.learning.loss import task
from hil.learning.model import ModelError, build
from hil.learning.updates.pulsed import PlainPulses
from hil.learning.updates.update import Rewrite
from hil.training.evaluate import evaluate
from hil.training.optimize import optimizer
from hil.training.state import Position, TrainState
from hil.training.update import CellUpdates

pytestmark = pytest.mark.filterwarnings("ignore::hil.learning.inputs.SettlingWarning")  # tested on its own

TOPOLOGY = dense_chain([6, 4])


def sheet(base="ideal", **sections):
    plain = load(base).model_dump(exclude_unset=True)
    return Datasheet.model_validate(plain | {k: plain.get(k, {}) | v for k, v in sections.items()})


def bench(datasheet, seed=1):
    return EmulatorBench(Chip(datasheet, seed, dtype=torch.float64), "emulator:test")


STEPS = {"law": "constant", "step": 0.001}


def weights(chip, array=0):
    pair = chip.conductances_s(array)[0]
    return (pair[0] - pair[1]) * chip.datasheet.neurons.transimpedance_ohm


@pytest.mark.parametrize("one_sided", [False, True])
def test_pulses_move_weights_by_what_was_asked(one_sided):
    counterpart = bench(sheet(pulses=STEPS | {"one_sided": one_sided}))
    block = EnergyBlock(TOPOLOGY, counterpart, pulsed=True).double()
    block.program()
    before = weights(counterpart.chip)
    assert torch.allclose(before[:-1], block.weight_0.detach().T, atol=1e-6)
    wanted = {n: torch.randn_like(p).clamp(-3, 3) * 0.3 for n, p in block.named_parameters()}  # full range: +-100
    generator = torch.Generator().manual_seed(0)
    sent = [block.array.pulse(wanted, 10_000, generator) for _ in range(50)]
    moved = (weights(counterpart.chip) - before) / 50
    unit = 0.001 * 100
    ideal = torch.cat([wanted["weight_0"].T, wanted["bias_0"].unsqueeze(0)])
    # rounding: variance at most 1/4 of a pulse in each of two cells
    assert float((moved - ideal).abs().max()) < 5 * unit * math.sqrt(0.5 / 50)
    assert sum(s.pulses for s in sent) > 0
    assert not any(s.capped for s in sent)
    assert torch.equal(block.weight_0.detach(), dict(block.named_parameters())["weight_0"].detach())


def test_pulses_a_cell_and_step_are_capped_and_counted():
    counterpart = bench(sheet(pulses=STEPS))
    block = EnergyBlock(TOPOLOGY, counterpart, pulsed=True).double()
    block.program()
    huge = {n: torch.full_like(p, 50.0) for n, p in block.named_parameters()}
    sent = block.array.pulse(huge, 3, torch.Generator().manual_seed(0))
    cells = 2 * weights(counterpart.chip).numel()
    assert (sent.pulses, sent.cells, sent.capped) == (3 * cells, cells, cells)


def test_a_gradient_needs_no_weights_of_the_host():
    counterpart = bench(sheet(pulses=STEPS))
    block = EnergyBlock(TOPOLOGY, counterpart, Estimator(beta=0.1), pulsed=True).double()
    drive = torch.rand(5, 6, dtype=torch.float64, requires_grad=True)

    def gradients():
        block.zero_grad()
        drive.grad = None
        block(drive).square().sum().backward()
        return [drive.grad, *(p.grad.clone() for p in block.parameters())]

    first = gradients()
    with torch.no_grad():
        for parameter in block.parameters():
            parameter.fill_(7.0)
    assert all(torch.equal(a, b) for a, b in zip(first, gradients(), strict=True))


def test_a_pulsed_step_goes_against_the_gradient_with_its_root_mean_square():
    counterpart = bench(sheet(pulses=STEPS | {"step": 1e-5}, limits={"max_pulses_per_cell": 10_000_000}))
    block = torch.nn.Sequential(EnergyBlock(TOPOLOGY, counterpart, pulsed=True).double())
    updates = CellUpdates(block, PlainPulses(lr=0.05, most=1000), seed=0)
    assert updates.host_parameters == []
    block(torch.rand(5, 6, dtype=torch.float64)).square().sum().backward()
    before, gradient = weights(counterpart.chip), block[0].weight_0.grad.clone()
    updates.step(0)
    moved = (weights(counterpart.chip) - before)[:-1].T
    expected = -0.05 * gradient / gradient.square().mean().sqrt()
    assert float((moved - expected).abs().max()) < 2 * 1e-5 * 100
    assert block[0].weight_0.grad is None


def test_a_counterpart_without_cells_cannot_be_pulsed():
    experiment = load_experiment("digits", ['update.kind="pulsed"'])
    with pytest.raises(ModelError, match="no cells that could be pulsed"):
        build(experiment, ReferenceBench(), (1, 8, 8), 10)


def test_pooling_inside_the_energy_cannot_be_trained_by_pulses_alone():
    experiment = load_experiment("mnist-conv", ['update.kind="pulsed"'])
    with pytest.raises(ModelError, match="states alone"):
        build(experiment, bench(sheet(pulses=STEPS)), (1, 28, 28), 10)


def test_a_datasheet_without_a_pulse_law_says_so():
    counterpart = bench(sheet())
    block = EnergyBlock(TOPOLOGY, counterpart, pulsed=True).double()
    block.program()
    with pytest.raises(ValueError, match="no pulse law"):
        block.array.pulse(dict(block.named_parameters()), 3, torch.Generator())


def test_a_refresh_undoes_drift_and_happens_when_drift_is_predicted_to_be_too_large():
    drift = {"law": "exponential", "tau_s": 100.0}
    counterpart = bench(sheet(drift=drift))
    model = torch.nn.Sequential(EnergyBlock(TOPOLOGY, counterpart).double())
    updates = CellUpdates(model, Rewrite(refresh_drift=0.2), seed=0)
    model[0].program()
    fresh = weights(counterpart.chip)
    for seconds, refreshed in ((10.0, False), (10.0, False), (10.0, True)):
        counterpart.chip.wait(seconds)
        updates.step(0)
        assert bool(torch.allclose(weights(counterpart.chip), fresh)) is refreshed
    assert model[0].array.drifted() == 0


def test_crowded_pairs_of_a_one_sided_law_keep_their_weight_and_get_room():
    datasheet = sheet(pulses=STEPS | {"one_sided": True})
    counterpart = bench(datasheet)
    block = EnergyBlock(dense_chain([6, 4], bias=False), counterpart, pulsed=True).double()
    block.program()
    g_max = datasheet.cells.g_max_s
    pair = torch.full((2, 6, 4), 0.5 * g_max, dtype=torch.float64)
    pair[0, 0] = 0.95 * g_max  # crowded
    pair[1, 0] = 0.75 * g_max
    pair[0, 1] = 0.95 * g_max  # a large weight, nothing to gain
    counterpart.chip.program(0, [pair])
    done = block.array.refresh()
    seen = counterpart.chip.conductances_s(0)[0]
    assert done.written == 2 * 4
    assert torch.allclose(seen[:, 0], torch.tensor([[0.7], [0.5]], dtype=torch.float64) * g_max, rtol=1e-6)
    assert torch.allclose(seen[:, 1:], pair[:, 1:])


def test_averaged_reads_reach_the_states():
    plain = sheet(state_adc={"noise_sigma_v": 0.01}, output_adc={"noise_sigma_v": 0.01})
    drive = torch.full((4000, 6), 0.5, dtype=torch.float64)
    spreads = []
    for reads in (1, 16):
        block = EnergyBlock(TOPOLOGY, bench(plain), reads=reads).double()
        with torch.no_grad():
            spreads.append(float(block(drive).std(0).mean()))
    assert spreads[0] / spreads[1] == pytest.approx(4, rel=0.1)


def test_dither_makes_nudges_below_one_code_count_on_average():
    step = 1e-6
    datasheet = sheet(nudge_dac={"bits": 4, "low_a": -7 * step, "high_a": 8 * step})
    gradients = {}
    for dither in (False, True):
        torch.manual_seed(0)
        chip = bench(datasheet)
        rule = Estimator(beta=0.1, auto_range=False, dither=dither)
        block = EnergyBlock(TOPOLOGY, chip, rule, generator=torch.Generator().manual_seed(1)).double()
        assert block.nudge_step == pytest.approx(step * 1e5)
        torch.manual_seed(2)
        drive = torch.rand(1, 6, dtype=torch.float64).expand(20_000, 6)
        # nudges of a fifth of a code
        (block(drive) * 0.2).mean(0).sum().backward()
        gradients[dither] = block.bias_0.grad
    # the drive is constant, so the exact gradient by the bias is that of a linear layer with symmetric feedback
    assert float(gradients[False].abs().max()) < 1e-12
    exact = EnergyBlock(TOPOLOGY, ReferenceBench(), Estimator(beta=1e-4)).double()
    with torch.no_grad():
        for name, value in block.named_parameters():
            dict(exact.named_parameters())[name].copy_(value)
    (exact(drive[:2]) * 0.2).mean(0).sum().backward()
    assert torch.allclose(gradients[True], exact.bias_0.grad, rtol=0.1)


@pytest.mark.long
def test_digits_learn_by_pulses_alone():
    experiment = load_experiment("digits", ['update.kind="pulsed"', "update.lr=0.003"])
    counterpart = EmulatorBench(Chip(load("ecram"), 0), "emulator:ecram")
    data = load_data(Data(name="digits"), None)
    model = build(experiment, counterpart, data.shape, data.classes)
    updates = CellUpdates(model, experiment.update, 0)
    host = torch.optim.Adam(updates.host_parameters, 3e-3)
    loss = task("cross_entropy").loss
    first = {n: p.detach().clone() for n, p in model.named_parameters() if "energy" in n}
    for step, (images, labels) in enumerate(Batches(data.train, 16, 0, True).epoch(0)):
        host.zero_grad()
        loss(model(data.prepare(images, torch.device("cpu"), torch.float32)), labels).backward()
        host.step()
        updates.step(step)
    assert evaluate(model, data, task("cross_entropy"), 360).accuracy > 0.7
    assert all(torch.equal(p, first[n]) for n, p in model.named_parameters() if n in first)


@pytest.mark.parametrize("kind", ["adam", "adamw", "sgd"])
def test_a_net_without_host_parameters_learns_by_pulses_alone(kind):
    small = [
        "data.name='digits'",
        "blocks=[{energy={couplings=[{kind='dense',units=10}]},feedforward=[{kind='flatten'}]}]",
    ]
    experiment = load_experiment("mnist-cells", [*small, 'update.kind="pulsed"', f'optimizer.kind="{kind}"'])
    counterpart, data = EmulatorBench(Chip(load("ecram"), 0), "emulator:ecram"), load_data(Data(name="digits"), None)
    model = build(experiment, counterpart, data.shape, data.classes)
    updates = CellUpdates(model, PlainPulses(lr=0.01), 0)
    assert updates.host_parameters == []
    host = optimizer(experiment.optimizer, updates.host_parameters)
    state = TrainState(model, host, counterpart, Position())
    for step, (images, labels) in enumerate(Batches(data.train, 32, 0, True).epoch(0)):
        task("cross_entropy").loss(model(data.prepare(images, torch.device("cpu"), torch.float32)), labels).backward()
        host.step()
        updates.step(step)
    assert evaluate(model, data, task("cross_entropy"), 360).accuracy > 0.5
    state.checkpoint(0)


def test_rounding_is_unbiased():
    datasheet = sheet(pulses=STEPS)
    change = torch.full((200, 500), 0.3 * 2 * 0.001 * datasheet.cells.span_s, dtype=torch.float64)
    trains = pulse_plan.plan(datasheet, change, 31, torch.Generator().manual_seed(0))
    assert [(t.plane, t.up) for t in trains] == [(0, True), (1, False)]
    for train in trains:
        assert float(train.counts.double().mean()) == pytest.approx(0.3, abs=5 * math.sqrt(0.21 / 1e5))


def test_a_pulsed_run_resumes_bit_by_bit_from_a_checkpoint():
    experiment = load_experiment("digits", ['update.kind="pulsed"', "update.refresh_every=2"])
    data = load_data(Data(name="digits"), None)
    batches = list(Batches(data.train, 16, 0, True).epoch(0))[:6]
    loss = task("cross_entropy").loss

    def start():
        counterpart = EmulatorBench(Chip(load("pcm"), 0), "emulator:pcm")
        model = build(experiment, counterpart, data.shape, data.classes)
        updates = CellUpdates(model, experiment.update, 0)
        host = torch.optim.Adam(updates.host_parameters, 3e-3)
        return TrainState(model, host, counterpart, Position()), updates

    def steps(state, updates, numbers):
        for number in numbers:
            images, labels = batches[number]
            state.optimizer.zero_grad()
            loss(state.model(data.prepare(images, torch.device("cpu"), torch.float32)), labels).backward()
            state.optimizer.step()
            updates.step(number)

    whole, first, second = start(), start(), start()
    steps(*whole, range(6))
    steps(*first, range(3))
    second[0].restore(first[0].checkpoint(0))
    steps(*second, range(3, 6))
    ours, theirs = (state.checkpoint(0).tensors for state, _ in (second, whole))
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
