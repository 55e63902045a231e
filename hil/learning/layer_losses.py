"""A block whose layers have losses of their own beside that of the output (Lin, Bal and Sengupta, arXiv 2508.15989).

The whole loss is `C_out + sum_l k_l C_l(P_l s_l)`: `k_l` a share, `P_l` a linear readout on the host, which is trained
with the rest. Every layer that is looked at is nudged by its own error, `-beta k_l P_l^T dC_l`, in the same phases as
the last one. The abstract has losses on layers; that form of them is the usual one and could not be looked up [U].
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from torch import Tensor, nn

from hil.counterparts.seam import TakesCurrentsByLayer
from hil.experiments.parts import LayerLoss
from hil.learning.block import EnergyBlock
from hil.learning.estimator import Estimator, RuleByLayer
from hil.learning.loss import Loss


class BlockWithLosses(nn.Module):
    """Feedforward part and energy block; `readouts` give the scores of layers from their measured free states.

    Args:
        feedforward: On the host.
        energy: Placed.
        losses: Which layers are looked at, at least one.
        classes: Width of their scores.

    Raises:
        ValueError: a layer that is not there or has no scores, or nobody can nudge it; the message says what can.
    """

    def __init__(self, feedforward: nn.Module, energy: EnergyBlock, losses: Sequence[LayerLoss], classes: int) -> None:
        super().__init__()
        shapes = energy.energy.layers
        for number, one in enumerate(losses):
            where = f"losses.{number}"
            if one.layer >= len(shapes):
                raise ValueError(f"{where}.layer: {one.layer}, the layers are 0 .. {len(shapes) - 1}")
            if one.readout == "none" and prod(shapes[one.layer]) != classes:
                raise ValueError(
                    f"{where}.readout = 'none': layer {one.layer} has shape {shapes[one.layer]}, there are {classes} "
                    "classes: use readout = 'linear'"
                )
        self.feedforward, self.energy = feedforward, energy
        self.losses = tuple(losses)
        self.hidden = any(one.layer < len(shapes) - 1 for one in losses)
        if self.hidden:
            _refuse_who_cannot(energy)
        self.readouts = nn.ModuleList(
            nn.Flatten()
            if one.readout == "none"
            else nn.Sequential(nn.Flatten(), nn.Linear(prod(shapes[one.layer]), classes))
            for one in losses
        )

    def forward(self, images: Tensor) -> Tensor:
        """Measured free state of the last layer, (batch, *last)."""
        last: Tensor = self.energy(self.feedforward(images))
        return last

    def with_losses(self, images: Tensor, loss: Loss, labels: Tensor) -> tuple[Tensor, Tensor]:
        """The same, and the sum of the layers' losses by their shares."""
        drive = self.feedforward(images)
        last = len(self.energy.energy.layers) - 1
        states = dict(enumerate(self.energy.layers(drive))) if self.hidden else {last: self.energy(drive)}
        pairs = zip(self.losses, self.readouts, strict=True)
        parts = [one.share * loss(readout(states[one.layer]), labels) for one, readout in pairs]
        return states[last], sum(parts[1:], start=parts[0])


def run(model: nn.Module, loss: Loss, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Runs a chain of blocks and its readout.

    Args:
        model: Of `hil.learning.model.build`.
        loss: Mean over a batch.
        images: (batch, *shape).
        labels: (batch,).

    Returns:
        Scores (batch, classes), and the loss of the output with those of layers that have one.
    """
    beside: list[Tensor] = []
    for part in model.children():
        if isinstance(part, BlockWithLosses):
            images, own = part.with_losses(images, loss, labels)
            beside.append(own)
        else:
            images = part(images)
    return images, sum(beside, start=loss(images, labels))


def _refuse_who_cannot(block: EnergyBlock) -> None:
    """Hidden layers are nudged by few counterparts and few rules."""
    rule = block.estimator
    name = getattr(rule, "kind", type(rule).__name__)
    if not isinstance(rule, RuleByLayer):
        raise ValueError(f"losses: estimator {name!r} nudges the last layer only")
    if isinstance(rule, Estimator) and rule.reciprocity == "measured":
        raise ValueError("losses: estimator.reciprocity = 'measured' nudges the last layer only, set 'assumed'")
    if not isinstance(block.array, TakesCurrentsByLayer):
        raise ValueError(
            f"losses: {block.address} has a nudge line at its last layer only; reference: and devices that multiply "
            "take currents into earlier ones. The last layer of any block may have a loss anywhere"
        )
