"""Predictive coding: its free phase is a forward pass, its contrast the back-propagated gradient."""

import pytest
import torch
from torch.nn import functional

from emulator.network import Stop
from hil import EnergyBlock, Estimator, open_bench
from hil.counterparts.seam import PlacementError
from hil.data import load as load_data
from hil.data.batches import Batches
from hil.experiments.experiment_file import load as load_experiment
from hil.experiments.sections import Data
from hil.learning.energies.predictive import PredictiveCoding
from hil.learning.gradients.baseline import Implicit
from hil.learning.loss import task
from hil.learning.model import build


def block_of(rule, activation="tanh", tolerance=1e-12):
    torch.manual_seed(0)
    energy = PredictiveCoding(drive_shape=(6,), units=(5, 4), activation=activation)
    return EnergyBlock(energy, open_bench("reference:", stop=Stop(200, tolerance)), rule).double()


def gradients(output, drive, parameters):
    loss = functional.cross_entropy(output, torch.tensor([0, 3, 1]))
    return torch.cat([g.flatten() for g in torch.autograd.grad(loss, [drive, *parameters])])


@pytest.mark.parametrize("activation", ["tanh", "sigmoid", "softplus"])
def test_the_free_phase_is_a_forward_pass_and_the_gradient_that_of_back_propagation(activation):
    drive = torch.randn(3, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(1)).requires_grad_()
    act = getattr(functional, activation) if activation == "softplus" else getattr(torch, activation)
    for rule in (Estimator(beta=1e-3), Implicit()):
        block = block_of(rule, activation)
        named = dict(block.named_parameters())
        hidden = act(functional.linear(drive, named["weight_0"], named["bias_0"]))
        plain = functional.linear(hidden, named["weight_1"], named["bias_1"])
        settled = block(drive)
        assert torch.allclose(settled, plain, atol=1e-9)
        exact, found = (gradients(out, drive, block.parameters()) for out in (plain, settled))
        assert float(functional.cosine_similarity(exact, found, 0)) > 0.9999
        assert float(found.norm() / exact.norm()) == pytest.approx(1, abs=0.01)


def test_it_learns_digits_and_is_refused_on_a_chip():
    experiment = load_experiment("predictive-digits")
    data, goal = load_data(Data(name="digits"), None), task("cross_entropy")
    model = build(experiment, open_bench("reference:"), data.shape, data.classes)
    optimizer = torch.optim.Adam(model.parameters(), experiment.optimizer.lr)
    losses = []
    for images, labels in list(Batches(data.train, 32, 0, True).epoch(0))[:20]:
        optimizer.zero_grad()
        loss = goal.loss(model(data.prepare(images, torch.device("cpu"), torch.float32)), labels)
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert sum(losses[-4:]) < 0.6 * sum(losses[:4])
    with open_bench("emulator:mixed-8bit") as chip, pytest.raises(PlacementError, match="reference:"):
        build(experiment, chip, data.shape, data.classes)
