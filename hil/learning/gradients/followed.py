"""The loss of a model, with the last block's nudge constant or re-evaluated, by the estimator's `nudge`.

Constant: the loss gradient at the free state is sent as a current, which is all a chip can do, and the readout learns
from the free state. Re-evaluated: the last block relaxes under `E + beta * L`, so its nudge follows its state (what the
ff-EBM paper's simulations do; reference only); the readout's gradient is then that of L, averaged over the nudged
states.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from typing import Any

import torch
from torch import Tensor, nn

from hil.learning import layer_losses
from hil.learning.block import EnergyBlock
from hil.learning.estimator import Estimator, contrast_weights, contrasted, stencil
from hil.learning.loss import Loss


def scores_and_loss(model: nn.Module, loss: Loss, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Runs a chain that `hil.learning.model.build` made; `backward` of the loss gives all gradients.

    Args:
        model: Blocks (`feedforward`, `energy`), then the readout.
        loss: Mean over a batch.
        images: (batch, *shape).
        labels: (batch,).

    Returns:
        Scores (batch, classes) and the mean loss, with those of layers that have one.
    """
    *earlier, last, readout = model.children()
    block = last.get_submodule("energy")
    assert isinstance(block, EnergyBlock)  # noqa: S101 - by construction
    if not (isinstance(block.estimator, Estimator) and block.estimator.nudge == "reevaluated"):
        return layer_losses.run(model, loss, images, labels)
    for part in earlier:
        images = part(images)
    drive = last.get_submodule("feedforward")(images)
    head = _Head(readout, loss, labels)
    names = tuple(name for name, _ in block.named_parameters())
    parameters = (*block.parameters(), *readout.parameters())
    block.program()
    shaped = drive.reshape(len(drive), *block.energy.drive_shape)
    scores, mean = _Followed.apply(block, head, names, shaped, *parameters)
    return scores, mean


class _Head:
    """Readout and loss of one batch, as functions of the last block's state."""

    def __init__(self, readout: nn.Module, loss: Loss, labels: Tensor) -> None:
        self.readout, self.loss, self.labels = readout, loss, labels

    def __call__(self, state: Tensor) -> Tensor:
        """Mean loss at a state (batch, *last)."""
        return self.loss(self.readout(state), self.labels)

    def by_state(self, state: Tensor) -> Tensor:
        """Gradient of every sample's own loss by its state, (batch, *last)."""
        with torch.enable_grad():
            leaf = state.detach().requires_grad_()
            return torch.autograd.grad(self(leaf), leaf)[0] * len(state)

    def by_parameters(self, states: Sequence[Tensor], shares: Sequence[float]) -> tuple[Tensor, ...]:
        """Gradient of the mean loss by the readout's parameters, a weighted mean over nudged states."""
        parameters = list(self.readout.parameters())
        with torch.enable_grad():
            total = torch.stack([share * self(s.detach()) for s, share in zip(states, shares, strict=True)]).sum()
            return torch.autograd.grad(total, parameters) if parameters else ()


class _Followed(torch.autograd.Function):
    """Free phase and loss forward; nudged phases that follow the loss backward."""

    @staticmethod
    def forward(
        ctx: Any, block: EnergyBlock, head: _Head, names: tuple[str, ...], drive: Tensor, *parameters: Tensor
    ) -> tuple[Tensor, Tensor]:
        settled = block.settle(drive)
        ctx.block, ctx.head, ctx.names = block, head, names
        ctx.save_for_backward(block.heard(settled, drive.device), drive, *parameters, *settled.free)
        scores = head.readout(settled.free[-1])
        ctx.mark_non_differentiable(scores)
        return scores, head.loss(scores, head.labels)

    @staticmethod
    def backward(ctx: Any, _scores: Tensor, scale: Tensor) -> tuple[Tensor | None, ...]:
        block: EnergyBlock = ctx.block
        head: _Head = ctx.head
        rule = block.estimator
        assert isinstance(rule, Estimator)  # noqa: S101 - `scores_and_loss` asked
        heard, drive, *rest = ctx.saved_tensors
        rest = iter(rest)
        parameters = dict(zip(ctx.names, islice(rest, len(ctx.names)), strict=True))
        outside = len(list(head.readout.parameters()))
        free = tuple(islice(rest, outside, None))
        levels = rule.levels(block.generator)
        nudges = [lambda s, strength=-level * rule.beta: strength * head.by_state(s) for level in levels]
        settled = block.settle(drive, nudges, free)
        phases, _ = contrasted(settled, one_sided=len(levels) == 1)
        # the energies' contrast belongs to the mean loss: every sample counts 1 / batch
        effective = drive.new_full((len(drive),), rule.beta * len(drive))
        weights = contrast_weights(levels, effective if heard is None else effective * heard)
        by_drive, by_parameter = block.energy.contrast(parameters, drive, phases, weights)
        shares = [weight * level for weight, level in zip(stencil(levels), levels, strict=False)]
        by_readout = head.by_parameters([states[-1] for states in settled.nudged], shares)
        inside = (scale * by_parameter[name] for name in ctx.names)
        return None, None, None, scale * by_drive, *inside, *(scale * g for g in by_readout)
