"""One deep Hopfield net, split into blocks: the couplings between blocks become feedforward, the rest stays."""

import pytest
import torch
from torch import nn

from emulator.network import Stop
from firmware_specs.chains import dense_chain
from hil.counterparts.reference import ReferenceBench
from hil.learning.block import EnergyBlock
from hil.learning.estimator import Estimator
from hil.learning.gradients.baseline import Implicit

LAYERS = [24, 20, 16, 12]
SPLITS = {"one block": [4], "two blocks": [2, 2], "three blocks": [1, 2, 1], "four blocks": [1, 1, 1, 1]}


def chain(split: list[int]) -> nn.Sequential:
    """Blocks of so many layers each, joined by the linear layers that were couplings before."""
    bench, parts, done = ReferenceBench(Stop(2000, 1e-6)), [nn.Linear(10, LAYERS[0])], 0
    for count in split:
        if done:
            parts.append(nn.Linear(LAYERS[done - 1], LAYERS[done]))
        last = done + count == len(LAYERS)
        parts.append(EnergyBlock(dense_chain(LAYERS[done : done + count], slope=0.5, clamp_last=not last), bench))
        done += count
    return nn.Sequential(*parts, nn.Linear(LAYERS[-1], 3))


def problem():
    draw = torch.Generator().manual_seed(0)
    centres = torch.randn(3, 10, generator=draw) * 2
    labels = torch.arange(96) % 3
    return centres[labels] + torch.randn(96, 10, generator=draw) * 0.5, labels


@pytest.mark.parametrize("split", SPLITS.values(), ids=SPLITS.keys())
def test_every_split_has_the_same_weights_and_learns(split):
    torch.manual_seed(1)
    model, (images, labels) = chain(split), problem()
    whole = chain([4])
    assert sorted(p.numel() for p in model.parameters()) == sorted(p.numel() for p in whole.parameters())
    optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
    losses = []
    for _ in range(25):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(images), labels)
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < losses[0] / 4


@pytest.mark.parametrize("split", SPLITS.values(), ids=SPLITS.keys())
def test_every_split_has_the_exact_gradient(split):
    torch.manual_seed(2)
    model, (images, labels) = chain(split).double(), problem()
    for block in model:
        if isinstance(block, EnergyBlock):
            block.array.stop = Stop(20_000, 1e-13)
    found = []
    for rule in (Estimator(beta=1e-4), Implicit(tolerance=1e-12)):
        for block in model:
            if isinstance(block, EnergyBlock):
                block.estimator = rule
        model.zero_grad()
        nn.functional.cross_entropy(model(images.double()), labels).backward()
        found.append(torch.cat([p.grad.flatten() for p in model.parameters()]))
    assert float((found[0] - found[1]).norm() / found[1].norm()) < 1e-3


def test_without_feedback_between_them_layers_in_one_block_and_apart_are_the_same():
    """With a coupling so weak that nothing comes back, splitting there changes nothing but the feedback."""
    torch.manual_seed(3)
    bench = ReferenceBench(Stop(1000, 1e-7))
    joint = EnergyBlock(dense_chain([6, 5], clamp_last=True), bench)
    first, second = (
        EnergyBlock(dense_chain([6], clamp_last=True), bench),
        EnergyBlock(dense_chain([5], clamp_last=True), bench),
    )
    between = nn.Linear(6, 5)
    drive = torch.randn(4, 6)
    gaps = []
    for scale in (1e-1, 1e-2):
        with torch.no_grad():
            joint.weight_0.copy_(torch.linspace(-1, 1, 30).view(5, 6) * scale)
            between.weight.copy_(joint.weight_0)
            between.bias.copy_(joint.bias_0)
            gaps.append(float((joint(drive) - second(between(first(drive)))).abs().max()))
    assert gaps[1] < gaps[0] / 50
