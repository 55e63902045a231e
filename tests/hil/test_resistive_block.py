"""The resistive substrate behind the block: gradients, projection, and the emulated chip's agreement."""

import pytest
import torch

from emulator.network import Stop
from emulator.resistive import FloatingNodeError
from firmware_specs.chains import resistive_chain
from firmware_specs.datasheet import Datasheet, load
from firmware_specs.topology import Layer
from hil import EnergyBlock, Estimator, open_bench
from hil.counterparts.emulator import EmulatorBench
from hil.counterparts.mapping import Mapping
from hil.counterparts.seam import PlacementError
from hil.learning import energy

pytestmark = pytest.mark.filterwarnings("ignore::hil.learning.inputs.SettlingWarning")  # tested on its own

EXACT = Stop(20_000, 1e-14)


@pytest.fixture(autouse=True)
def _double():
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def amplified(gain):
    plain = resistive_chain(4, [5, 4, 2])
    layers = (plain.layers[0].model_copy(update={"slope": gain}), Layer(shape=(4,), slope=2 * gain), plain.layers[2])
    return plain.model_copy(update={"layers": layers})


def problem(topology, bench, beta=1e-3, kind="centered", seed=1):
    torch.manual_seed(seed)
    block = EnergyBlock(topology, bench, Estimator(kind=kind, beta=beta))
    for name, parameter in block.named_parameters():
        with torch.no_grad():
            parameter.uniform_(-0.2, 0.2) if name.startswith("bias") else parameter.uniform_(0.05, 1.0)
    drive = (torch.randn(4, *topology.drive_shape) * 3).requires_grad_()
    target = torch.rand(4, *topology.nudge_shape)
    return block, drive, lambda: ((block(drive) - target) ** 2).sum(1).mean() / 2


def finite_difference(loss, tensor, step=1e-6):
    result, flat = torch.zeros_like(tensor), tensor.detach().view(-1)
    for index in range(flat.numel()):
        before = flat[index].item()
        values = []
        for side in (step, -step):
            with torch.no_grad():
                tensor.view(-1)[index] = before + side
                values.append(loss().item())
                tensor.view(-1)[index] = before
        result.view(-1)[index] = (values[0] - values[1]) / (2 * step)
    return result


def amplified_to_the_last(gain):
    layers = tuple(Layer(shape=(n,), slope=gain) for n in (5, 4, 2))
    return resistive_chain(4, [5, 4, 2]).model_copy(update={"layers": layers})


@pytest.mark.parametrize(
    "topology",
    [resistive_chain(4, [3]), resistive_chain(4, [5, 4, 2]), amplified(2.0), amplified_to_the_last(3.0)],
    ids=["one layer", "three layers", "amplifiers", "diodes and amplifiers to the last"],
)
def test_gradients_match_finite_differences(topology):
    block, drive, loss = problem(topology, open_bench("reference:", stop=EXACT))
    loss().backward()
    for tensor in (*block.parameters(), drive):
        expected = finite_difference(loss, tensor)
        assert expected.norm() > 0
        assert (tensor.grad - expected).norm() / expected.norm() <= 1e-4


def test_implicit_differentiation_agrees_with_equilibrium_propagation():
    from hil.learning.gradients.baseline import Implicit

    gradients = []
    for rule in (Estimator(beta=1e-4), Implicit(tolerance=1e-12)):
        block, drive, loss = problem(amplified(2.0), open_bench("reference:", stop=EXACT))
        block.estimator = rule
        loss().backward()
        gradients.append([*(p.grad for p in block.parameters()), drive.grad])
    for one, other in zip(*gradients, strict=True):
        assert (one - other).norm() <= 1e-6 * other.norm()


def test_without_diodes_the_centered_estimate_is_exact_at_any_beta():
    """States are linear in the nudge and the contrast is quadratic: nothing is left beyond the first order."""
    plain = resistive_chain(6, [5, 4, 3])
    linear = plain.model_copy(update={"layers": tuple(Layer(shape=s.shape, clamped=False) for s in plain.layers)})
    block, drive, loss = problem(linear, open_bench("reference:", stop=EXACT), beta=2.0)
    loss().backward()
    for tensor in (*block.parameters(), drive):
        expected = finite_difference(loss, tensor)
        assert (tensor.grad - expected).norm() <= 1e-7 * expected.norm()


@pytest.mark.parametrize("kind", ["positive", "negative", "random_sign"])
def test_one_sided_estimators_agree_with_centered_at_small_beta(kind):
    gradients = []
    for chosen in ("centered", kind):
        block, drive, loss = problem(
            resistive_chain(6, [8, 3]), open_bench("reference:", stop=EXACT), beta=1e-4, kind=chosen
        )
        loss().backward()
        gradients.append([*(p.grad for p in block.parameters()), drive.grad])
    for one, other in zip(*gradients, strict=True):
        assert (one - other).norm() <= 1e-3 * one.norm()


def with_ammeter(sheet, **errors):
    nodes = {"ammeter": {"low_a": -1.0, "high_a": 1.0, **errors}}
    return Datasheet.model_validate(sheet.model_dump() | {"nodes": nodes})


def chip_bench(sheet, seed=0):
    from emulator.chip import Chip

    return EmulatorBench(Chip(sheet, seed, dtype=torch.float64), "emulator:test")


def exact_sheet():
    sheet = load("resistive-ideal")
    return sheet.model_copy(
        update={"settle": sheet.settle.model_copy(update={"max_iterations": 20_000, "tolerance": 1e-13})}
    )


@pytest.mark.parametrize("ammeter", [False, True])
def test_ideal_chip_agrees_with_the_reference(ammeter):
    sheet = with_ammeter(exact_sheet()) if ammeter else exact_sheet()
    results = []
    for bench in (open_bench("reference:", stop=EXACT), chip_bench(sheet)):
        block, drive, loss = problem(resistive_chain(6, [8, 3]), bench, beta=0.1)
        block.estimator = Estimator(beta=0.1, auto_range=False)
        value = loss()
        value.backward()
        results.append([value.detach(), *(p.grad for p in block.parameters()), drive.grad])
    for one, other in zip(*results, strict=True):
        assert (one - other).norm() <= 1e-6 * one.norm()


def test_measured_source_currents_carry_the_true_conductances_into_the_input_gradient():
    sheet = exact_sheet()
    noisy = sheet.model_copy(update={"cells": sheet.cells.model_copy(update={"programming_noise": 0.02})})
    gradients = {}
    for name, chosen in (("voltages", noisy), ("currents", with_ammeter(noisy))):
        block, drive, loss = problem(resistive_chain(6, [8, 3]), chip_bench(chosen, seed=3), beta=1e-3)
        block.estimator = Estimator(beta=1e-3, auto_range=False)
        loss().backward()
        gradients[name] = (drive.grad - finite_difference(loss, drive)).norm() / drive.grad.norm()
    assert gradients["currents"] < 1e-3 < gradients["voltages"]


def test_contrast_equals_the_derivative_of_the_energy():
    topology = amplified(1.5)
    block, drive, _ = problem(topology, open_bench("reference:"))
    named = dict(block.named_parameters())
    phases = [tuple(torch.randn(4, *layer.shape) for layer in topology.layers) for _ in range(3)]
    weights = [torch.rand(4), torch.rand(4)]
    weights.append(-weights[0] - weights[1])
    total = sum((energy.energy(topology, named, drive, p) * w).sum() for p, w in zip(phases, weights, strict=True))
    expected = torch.autograd.grad(total, [drive, *named.values()])
    by_drive, by_parameter = energy.contrast(
        topology, {n: p.detach() for n, p in named.items()}, drive.detach(), phases, weights
    )
    torch.testing.assert_close(by_drive, expected[0])
    for name, value in zip(named, expected[1:], strict=True):
        torch.testing.assert_close(by_parameter[name], value)


def test_initial_conductances_are_half_zero_and_never_negative():
    block = EnergyBlock(resistive_chain(400, [50, 10]), open_bench("reference:"))
    assert (block.weight_0 >= 0).all()
    assert 0.45 < (block.weight_0 == 0).double().mean() < 0.55
    assert block.weight_0.max() <= 400**-0.5
    assert not block.bias_0.any()


@pytest.mark.parametrize("address", ["reference:", "emulator:resistive-board"])
def test_project_keeps_parameters_in_the_range_of_the_cells(address):
    block = EnergyBlock(resistive_chain(6, [4, 2]), open_bench(address))
    low, high = block.array.ranges.weight
    with torch.no_grad():
        block.weight_0[1:] = -1.0
        block.weight_1.fill_(1e6)
    block.project()
    assert (block.weight_0[1:] == low).all() and low >= 0
    assert (block.weight_1 == min(high, 1e6)).all()
    report = block.array.program(dict(block.named_parameters()))
    assert report.clipped == 0


def test_bias_maps_to_a_current_source_of_either_sign():
    sheet, topology = load("resistive-board"), resistive_chain(2, [2])
    parameters = {"weight_0": torch.full((2, 2), 0.5), "bias_0": torch.tensor([0.25, -0.25])}
    (cells,), clipped = Mapping(sheet).conductances_s(topology, parameters)
    middle = (sheet.cells.g_min_s + sheet.cells.g_max_s) / 2
    assert cells.shape == (1, 3, 2) and clipped == 0
    torch.testing.assert_close(cells[0, 2] - middle, torch.tensor([0.25e-4, -0.25e-4]))


def test_unprogrammed_chip_reports_floating_nodes_instead_of_voltages():
    array = open_bench("emulator:resistive-ideal").place(resistive_chain(6, [4, 2]))
    with pytest.raises(FloatingNodeError, match="layer 0 node 0"):
        array.settle(torch.zeros(1, 6))


def test_hopfield_block_is_refused_by_a_resistive_device():
    from firmware_specs.chains import dense_chain

    with pytest.raises(PlacementError, match="the block is hopfield, the device resistive"):
        open_bench("emulator:resistive-board").place(dense_chain([4, 2]))


def test_board_with_its_knee_and_converters_follows_the_reference_direction():
    topology = resistive_chain(40, [20, 4])
    gradients = []
    for address in ("reference:", "emulator:resistive-board?seed=2"):
        block, _, loss = problem(topology, open_bench(address, dtype=torch.float64), beta=0.1)
        loss().backward()
        gradients.append(torch.cat([p.grad.flatten() for p in block.parameters()]))
    cosine = torch.nn.functional.cosine_similarity(*gradients, dim=0)
    assert cosine > 0.9  # hidden voltages here are a few times the knee


RESISTIVE_DIGITS = """
readout = "none"
loss = "mse"
[data]
name = "digits"
train_samples = 600
[[blocks]]
feedforward = [{ kind = "flatten" }, { kind = "mirror", gain = 10.0 }]
energy = { substrate = "resistive", couplings = [{ kind = "dense", units = 24 }, { kind = "dense", units = 10 }] }
[estimator]
beta = 1.0
[optimizer]
lr = 5e-3
[run]
epochs = 4
batch = 20
dtype = "float64"
"""


@pytest.mark.parametrize("address", ["reference:", "emulator:resistive-board"])
def test_digits_are_learned_on_conductances_that_stay_in_range(tmp_path, address):
    from hil import data
    from hil.experiments import experiment_file
    from hil.learning.loss import task
    from hil.learning.model import build, energy_blocks

    (tmp_path / "small.toml").write_text(RESISTIVE_DIGITS)
    experiment = experiment_file.load(tmp_path / "small.toml")
    dataset = data.load(experiment.data, tmp_path)
    model = build(experiment, open_bench(address, dtype=torch.float64), dataset.shape, dataset.classes)
    (block,) = energy_blocks(model).values()
    optimizer = torch.optim.Adam(model.parameters(), experiment.optimizer.lr)
    images = dataset.prepare(dataset.train.images, torch.device("cpu"), torch.float64)
    labels, correct = dataset.train.labels, []
    for _ in range(experiment.run.epochs):
        for start in range(0, len(images), 20):
            batch = slice(start, start + 20)
            scores = model(images[batch])
            optimizer.zero_grad()
            task("mse").loss(scores, labels[batch]).backward()
            optimizer.step()
            block.project()
            correct.append((scores.argmax(1) == labels[batch]).double().mean().item())
    low, high = block.array.ranges.weight
    assert all((p >= low).all() and (p <= high).all() for n, p in block.named_parameters() if n.startswith("weight"))
    assert sum(correct[-15:]) / 15 > 0.8


@pytest.mark.parametrize("address", ["reference:", "emulator:resistive-ideal"])
def test_network_that_does_not_settle_is_reported_with_its_place(address):
    from drivers.errors import NotSettled

    bench = chip_bench(impatient_sheet()) if address.startswith("emulator") else open_bench(address, stop=Stop(2, 1e-9))
    block, drive, _ = problem(resistive_chain(6, [8, 5, 3]), bench)
    block.program()
    settled = block.settle(drive.detach(), [torch.ones(4, 3)])
    free, nudged = settled.phases
    assert not free.settled.any() and free.restless.shape == nudged.restless.shape == (4, 2)
    layer, unit = free.restless[0].tolist()
    before, after = (open_bench("reference:", stop=Stop(n, 0.0)).place(block.topology) for n in (1, 2))
    for array in (before, after):
        array.program({n: p.detach() for n, p in block.named_parameters()})
    change = [
        (a - b)[0].abs().max()
        for a, b in zip(after.settle(drive.detach()).free, before.settle(drive.detach()).free, strict=True)
    ]
    assert layer == int(torch.stack(change).argmax())
    block.unsettled = "refuse"
    with pytest.raises(NotSettled, match=rf"free phase: 4 of 4 samples .* sample 0 .* layer {layer} unit {unit} most"):
        block.settle(drive.detach())


def impatient_sheet():
    sheet = load("resistive-ideal")
    impatient = sheet.settle.model_copy(update={"max_iterations": 2, "tolerance": 1e-9})
    return sheet.model_copy(update={"settle": impatient})


def test_mirror_gives_both_signs_of_an_input_times_the_gain():
    from hil.learning.feedforward import Mirror

    module = Mirror(kind="mirror", gain=2.0).build((3,))
    torch.testing.assert_close(module(torch.tensor([[1.0, -2.0, 3.0]])), torch.tensor([[2.0, -4, 6, -2, 4, -6]]))


def test_warmup_raises_the_rate_linearly_and_hands_over_to_the_schedule():
    from hil.experiments import experiment_file
    from hil.training.optimize import learning_rate

    plain = experiment_file.load("mnist-resistive", ["schedule.warmup=0"])
    warmed = experiment_file.load("mnist-resistive", ["schedule.warmup=100"])
    rates = [learning_rate(warmed, 0, b, 1875) for b in range(120)]
    assert rates[0] == pytest.approx(learning_rate(plain, 0, 0, 1875) / 100)
    assert rates[49] == pytest.approx(learning_rate(plain, 0, 49, 1875) / 2)
    assert rates[99:] == [learning_rate(plain, 0, b, 1875) for b in range(99, 120)]
