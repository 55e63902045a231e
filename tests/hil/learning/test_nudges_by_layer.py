"""Losses that look at hidden layers: nudges into all of them, against implicit differentiation and back-propagation."""

import pytest
import torch
from torch.nn import functional

from emulator.chip import Chip
from emulator.network import Stop
from firmware_specs.chains import conv_chain, dense_chain, resistive_chain
from firmware_specs.datasheet import load
from hil import EnergyBlock, Estimator, open_bench
from hil.counterparts.product import ProductBench
from hil.counterparts.seam import ByLayer, PlacementError
from hil.learning.energies.predictive import PredictiveCoding
from hil.learning.gradients.baseline import Implicit, Unrolled
from hil.learning.gradients.coupled import Coupled

EXACT = Stop(3000, 1e-13)
SHARES = (0.3, 0.5, 1.0)
"""Of the losses of three layers."""


def drawn(*shape):
    return torch.rand(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(1)) * 1.4 - 0.2


def gradient(energy, rule, drive, bench=None):
    """Of cross entropies of every layer's states, by the drive and the parameters."""
    torch.manual_seed(2)
    block = EnergyBlock(energy, bench or open_bench("reference:", stop=EXACT), rule, observer=lambda settled: None)
    block = block.double()
    drive = drive.clone().requires_grad_()
    labels = torch.arange(len(drive)) % 3
    parts = [functional.cross_entropy(s.flatten(1)[:, :3] * 2, labels) for s in block.layers(drive)]
    loss = sum(share * part for share, part in zip(SHARES, parts, strict=False))
    return torch.cat([g.flatten() for g in torch.autograd.grad(loss, [drive, *block.parameters()])])


def amplified():
    """A resistive network with amplifiers of gain 4 and 1.5 behind the hidden nodes."""
    plain = resistive_chain(6, [5, 4, 3])
    hidden = (n.model_copy(update={"slope": a}) for n, a in zip(plain.layers, (4.0, 1.5), strict=False))
    return plain.model_copy(update={"layers": (*hidden, plain.layers[-1])})


ENERGIES = {
    "dense": (dense_chain([6, 5, 3], slope=0.5), (7, 6)),
    "ReLU6": (dense_chain([6, 5, 3], slope=1.0, rail=6.0), (7, 6)),
    "convolutional": (conv_chain((2, 4, 4), [3], slope=0.5), (5, 2, 4, 4)),
    "resistive": (resistive_chain(6, [5, 3]), (7, 6)),
    "amplified": (amplified(), (7, 6)),
    "predictive coding": (PredictiveCoding(drive_shape=(6,), units=(5, 4, 3)), (7, 6)),
}


@pytest.mark.parametrize("name", ENERGIES)
def test_gradients_of_losses_on_all_layers_are_those_of_implicit_differentiation(name):
    energy, shape = ENERGIES[name]
    found, exact = (gradient(energy, rule, drawn(*shape)) for rule in (Estimator(beta=1e-3), Implicit()))
    assert float(functional.cosine_similarity(found, exact, 0)) > 0.9999
    assert float(found.norm() / exact.norm()) == pytest.approx(1, abs=0.01)


def test_unrolled_sweeps_agree_and_a_loss_of_the_last_layer_alone_is_as_before():
    energy, shape = ENERGIES["dense"]
    many, exact = (gradient(energy, rule, drawn(*shape)) for rule in (Unrolled(sweeps=80), Implicit()))
    assert torch.allclose(many, exact, atol=1e-8)
    found = []
    for outputs in (lambda block, x: block(x), lambda block, x: block.layers(x)[-1]):
        torch.manual_seed(0)
        block = EnergyBlock(energy, open_bench("reference:", stop=EXACT), Estimator(beta=1e-3)).double()
        outputs(block, drawn(*shape)).square().sum().backward()
        found.append(torch.cat([p.grad.flatten() for p in block.parameters()]))
    assert torch.allclose(*found, rtol=1e-6, atol=1e-12)


def test_predictive_coding_with_hidden_losses_is_back_propagation():
    energy, shape = ENERGIES["predictive coding"]
    found = gradient(energy, Estimator(beta=1e-3), drawn(*shape))
    torch.manual_seed(2)
    values = [v.double().requires_grad_() for v in energy.initial().values()]
    state, labels = drawn(*shape).requires_grad_(), torch.arange(shape[0]) % 3
    drive, loss = state, 0.0
    for n, share in enumerate(SHARES):
        state = functional.linear(state, values[2 * n], values[2 * n + 1])
        state = state if n == len(SHARES) - 1 else torch.tanh(state)
        loss = loss + share * functional.cross_entropy(state[:, :3] * 2, labels)
    exact = torch.cat([g.flatten() for g in torch.autograd.grad(loss, [drive, *values])])
    assert float(functional.cosine_similarity(found, exact, 0)) > 0.9999
    assert float(found.norm() / exact.norm()) == pytest.approx(1, abs=0.01)


def test_a_device_that_multiplies_takes_them_and_one_that_settles_says_why_not(multiplying_exactly):
    sheet = multiplying_exactly(load("arc-two-32x32-like"), 1e-8, 300)
    energy, shape = ENERGIES["dense"]
    chip = ProductBench(Chip(sheet, 1), "test")
    rule = Estimator(beta=1e-2, auto_range=False)
    found, exact = gradient(energy, rule, drawn(*shape), chip), gradient(energy, Implicit(), drawn(*shape))
    assert float(functional.cosine_similarity(found, exact, 0)) > 0.999
    with pytest.raises(PlacementError, match="its last layer only"):
        gradient(energy, rule, drawn(*shape), open_bench("emulator:ideal"))


def test_what_does_not_fit_is_refused():
    energy, shape = ENERGIES["dense"]
    block = EnergyBlock(energy, open_bench("reference:"), Coupled())
    with pytest.raises(ValueError, match="'coupled' nudges the last layer only"):
        block.layers(torch.rand(shape))
    block.program()
    with pytest.raises(ValueError, match="currents into 1 layers, there are 3"):
        block.settle(torch.rand(shape), [ByLayer((torch.rand(7, 3),))])
    with pytest.raises(ValueError, match="nudge 0 of layer 1: shape"):
        block.settle(torch.rand(shape), [ByLayer((torch.rand(7, 6), torch.rand(7, 6), torch.rand(7, 3)))])
    whole = ByLayer((torch.rand(7, 6), torch.rand(7, 5), torch.rand(7, 3)))
    with pytest.raises(ValueError, match="all layers or the last one"):
        block.settle(torch.rand(shape), [whole, torch.rand(7, 3)])
