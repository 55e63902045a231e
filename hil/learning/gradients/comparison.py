"""Static gradient analysis: equilibrium propagation against implicit differentiation on a model that does not learn.

As figures 3 to 5 of the ff-EBM paper, with an exact baseline: `Implicit` of `baseline.py` at rest, and `Unrolled`
where the nudged phases are cut off after a number of sweeps.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from emulator.network import Stop
from hil.counterparts.reference import ReferenceArray
from hil.learning.estimator import Rule
from hil.learning.gradients.baseline import Implicit, Unrolled
from hil.learning.gradients.followed import scores_and_loss
from hil.learning.loss import Loss
from hil.learning.model import energy_blocks

Gradients = dict[str, Tensor]


@dataclass(frozen=True)
class Agreement:
    """One parameter's two gradients.

    Attributes:
        parameter: Its name in the model.
        cosine: Of the angle between them; 1 is the same direction.
        ratio: Norm of equilibrium propagation's by the other's.
    """

    parameter: str
    cosine: float
    ratio: float


def at_rest(model: nn.Module, loss: Loss, images: Tensor, labels: Tensor) -> list[Agreement]:
    """Equilibrium propagation as the model's estimator has it, against exact implicit differentiation."""
    found = _gradients(model, loss, images, labels)
    exact = _with_rule(model, loss, images, labels, Implicit())
    return _agreements(found, exact)


def cosine(model: nn.Module, loss: Loss, images: Tensor, labels: Tensor) -> float:
    """Cosine of the angle between the two, over all parameters of energy blocks together; NaN where one is zero."""
    cells = {f"{name}.{p}" for name, block in energy_blocks(model).items() for p, _ in block.named_parameters()}
    found = _gradients(model, loss, images, labels)
    exact = _with_rule(model, loss, images, labels, Implicit(unsolved="keep"))
    both = [name for name in found if name in cells and name in exact]
    if not both:
        return float("nan")
    a, b = (torch.cat([g[name].flatten().double() for name in both]) for g in (found, exact))
    return float(a @ b / (a.norm() * b.norm()))


def over_sweeps(
    model: nn.Module, loss: Loss, images: Tensor, labels: Tensor, sweeps: Sequence[int]
) -> dict[int, list[Agreement]]:
    """The same after few sweeps: nudged phases of t sweeps against back-propagation through t sweeps.

    The model must be placed on the reference counterpart.
    """
    arrays = [block.array for block in energy_blocks(model).values()]
    curves = {}
    for count in sweeps:
        for array in arrays:
            assert isinstance(array, ReferenceArray)  # noqa: S101 - stated above
        before = [array.nudged_stop for array in arrays if isinstance(array, ReferenceArray)]
        for array in arrays:
            array.nudged_stop = Stop(count, 0.0)  # type: ignore[attr-defined]
        try:
            found = _gradients(model, loss, images, labels)
        finally:
            for array, stop in zip(arrays, before, strict=True):
                array.nudged_stop = stop  # type: ignore[attr-defined]
        curves[count] = _agreements(found, _with_rule(model, loss, images, labels, Unrolled(sweeps=count)))
    return curves


def _with_rule(model: nn.Module, loss: Loss, images: Tensor, labels: Tensor, rule: Rule) -> Gradients:
    blocks = list(energy_blocks(model).values())
    before = [block.estimator for block in blocks]
    try:
        for block in blocks:
            block.estimator = rule
        return _gradients(model, loss, images, labels)
    finally:
        for block, former in zip(blocks, before, strict=True):
            block.estimator = former


def _gradients(model: nn.Module, loss: Loss, images: Tensor, labels: Tensor) -> Gradients:
    model.zero_grad(set_to_none=True)
    scores_and_loss(model, loss, images, labels)[1].backward()
    return {name: p.grad.detach().clone() for name, p in model.named_parameters() if p.grad is not None}


def _agreements(found: Gradients, exact: Gradients) -> list[Agreement]:
    rows = []
    for name, wanted in exact.items():
        if float(wanted.norm()) == 0:
            continue  # a bias before a batch norm has no gradient
        got = found[name].flatten().double()
        wanted = wanted.flatten().double()
        cosine = float(torch.dot(got, wanted) / (got.norm() * wanted.norm()))
        rows.append(Agreement(name, cosine, float(got.norm() / wanted.norm())))
    return rows
