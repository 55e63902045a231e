"""What rules share that send the two phases of equilibrium propagation on: to the chip's own update, or as pulses."""

from __future__ import annotations

from typing import NamedTuple, TypeGuard

from torch import Tensor

from hil.counterparts.seam import Parameters, States
from hil.learning.estimator import Estimator, Rule, Site, contrast_weights, contrasted


def contrasts_two_phases(rule: Rule) -> TypeGuard[Estimator]:
    """Whether the rule measures one or two constant nudges and nothing else: two phases, each an equilibrium."""
    return (
        isinstance(rule, Estimator)
        and rule.points == 2
        and rule.jumps == "keep"
        and not rule.dither
        and rule.nudge == "constant"
        and rule.reciprocity == "assumed"
    )


class Nudges(NamedTuple):
    """Those of one backward pass.

    Attributes:
        sent: (batch, *nudge_shape) each.
        levels: Strength of each, in units of `effective`.
        effective: Factor between the negative loss gradient and a nudge of level 1, (batch,).
    """

    sent: tuple[Tensor, ...]
    levels: tuple[float, ...]
    effective: Tensor


def nudges(estimator: Estimator, site: Site, loss_gradient: Tensor) -> Nudges:
    """What the estimator sends for a loss gradient (batch, *nudge_shape); draws what it draws."""
    levels = estimator.levels(site.generator)
    effective = estimator.effective_beta(loss_gradient, estimator.aim(site))
    column = effective.view(-1, *[1] * (loss_gradient.dim() - 1))
    return Nudges(tuple(-level * column * loss_gradient for level in levels), levels, effective)


class Contrast(NamedTuple):
    """Two phases and what they say.

    Attributes:
        phases: States of every layer, (batch, *layer), of both.
        weights: Of their energy gradients in the loss gradient, (batch,) each.
        by_drive: Gradient, as the drive.
        by_parameter: Gradients, by name.
    """

    phases: tuple[States, ...]
    weights: tuple[Tensor, ...]
    by_drive: Tensor
    by_parameter: dict[str, Tensor]


def contrast(site: Site, drive: Tensor, parameters: Parameters, free: States, given: Nudges) -> Contrast:
    """Settles under the nudges, from the free states, and contrasts the two phases."""
    settled = site.settle(drive, list(given.sent), free)
    phases, currents = contrasted(settled, one_sided=len(given.levels) == 1)
    weights = contrast_weights(given.levels, given.effective)
    return Contrast(tuple(phases), tuple(weights), *site.energy.contrast(parameters, drive, phases, weights, currents))
