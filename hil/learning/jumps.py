"""Samples that a nudge made jump, taken out of a centered contrast.

A window of pooled maxima whose two largest currents are nearly equal may tip to the other one under any nudge, and the
states then move by an amount of its own. Such windows grow rarer with the nudge as fast as their share of the contrast
grows, so that no nudge is small enough: a batch of 32 gave gradients at an angle of 66 degrees to the exact ones at
beta 0.02 (block 1 of a narrow CIFAR-10 net after one epoch), of 2 degrees without its two jumps. Only one of the two
nudges tips a given window, which tells.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from hil.counterparts.seam import Settled, States

JUMP = 1.5
"""A response that is linear in the nudge moves a sample as far to one side as to the other."""


def without_jumps(settled: Settled, weights: list[Tensor]) -> tuple[Settled, list[Tensor]]:
    """Of a centered pair: the phase without a nudge in place of the side a sample jumped to, at twice the weight.

    Args:
        settled: Phases nudged to either side, and one without a nudge.
        weights: Of the first two, (batch,) each.

    Returns:
        The same with those samples replaced. No host waits for a device.
    """
    plus, minus, still = settled.nudged
    there, back = _distance(plus, still), _distance(minus, still)
    chosen = (there > JUMP * back, back > JUMP * there)
    replaced = tuple(_choose(c, still, side) for c, side in zip(chosen, (plus, minus), strict=True))
    currents = settled.source_currents
    if currents is not None:
        sides = (_choose(c, currents[3:], (side,))[0] for c, side in zip(chosen, currents[1:3], strict=True))
        currents = (currents[0], *sides)
    doubled = torch.where(chosen[0] | chosen[1], 2.0, 1.0).to(weights[0])
    return replace(settled, nudged=replaced, source_currents=currents), [weight * doubled for weight in weights]


def _distance(states: States, others: States) -> Tensor:
    """Euclidean, over all layers, (batch,)."""
    return torch.stack([(a - b).flatten(1).square().sum(1) for a, b in zip(states, others, strict=True)]).sum(0).sqrt()


def _choose(chosen: Tensor, ours: Sequence[Tensor], theirs: Sequence[Tensor]) -> tuple[Tensor, ...]:
    """Ours for the chosen samples, theirs for the rest."""
    columns = [chosen.view(-1, *[1] * (a.dim() - 1)) for a in ours]
    return tuple(torch.where(c, a, b) for c, a, b in zip(columns, ours, theirs, strict=True))
