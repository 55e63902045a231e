"""UPDATE: an array settles samples, holds the states of the phases and moves its cells by their contrast.

The contrast of a cell is what lowers the energy of a term's first phase against its second (PROTOCOL.md 7.10).
Changes of all samples and terms add up, and the cells move once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from emulator.currents import States
from emulator.placed import PlacedArray
from emulator.transaction import free, nudged
from firmware_specs.messages import Term, Updated
from firmware_specs.topology import Topology

AT_ONCE = 1 << 22
"""Contrasts computed together, where every sample has to pass its circuit by itself."""


@dataclass(frozen=True)
class Lines:
    """What the lines of a coupling have in one phase, float64.

    Attributes:
        pre: Of its rows, (batch, rows); the bias row is not among them in a resistive network.
        post: Of its columns, (batch, columns).
    """

    pre: Tensor
    post: Tensor

    def times(self, factor: Tensor) -> Tensor:
        """`sum_b factor_b pre_b post_b`, (rows, columns)."""
        return (self.pre * factor[:, None]).T @ self.post


def update(
    placed: PlacedArray,
    drive: Tensor,
    nudges_a: Sequence[Tensor],
    terms: Sequence[Term],
    windows_s: Tensor,
    time_s: float | None,
    now_s: float,
    generator: torch.Generator,
) -> Updated:
    """Settles, contrasts and moves; see `emulator.chip.Chip.update`.

    Raises:
        FloatingPointError: a state is not finite; no cell was moved.
    """
    held = free(placed, drive, time_s, generator)
    if nudges_a:
        held = nudged(placed, held, nudges_a, generator)
    states = [phase.states for phase in held.relaxed]
    if not all(bool(state.isfinite().all()) for phase in states for state in phase):
        raise FloatingPointError("the states of this block have no finite value")
    windows_s = windows_s.to(drive.device, torch.float64)
    clipped = ends = most = 0
    for number, crossbar in enumerate(placed.crossbars):
        change, at_limit = _change(placed, number, held.drive, states, terms, windows_s)
        ended, pulsed = crossbar.learn(change, now_s, generator)
        clipped, ends, most = clipped + at_limit, ends + ended, max(most, pulsed)
    unsettled = sum(int((~phase.settled).sum()) for phase in held.relaxed)
    return Updated(clipped, ends, unsettled, most)


def _change(
    placed: PlacedArray, number: int, drive: Tensor, states: Sequence[States], terms: Sequence[Term], windows_s: Tensor
) -> tuple[Tensor, int]:
    """Change of `x` of every cell of a coupling, (planes, rows, columns), and how many circuits came to their limit."""
    law, circuits = placed.sheet.update, placed.crossbars[number].circuits
    assert law is not None  # noqa: S101 - the capability says so
    total, clipped = torch.zeros_like(circuits.gain, dtype=torch.float64), 0
    for first, second, up in terms:
        pair = [lines(placed.topology, number, drive, states[phase]) for phase in (first, second)]
        if law.linear:
            contrast = _planes(_summed(placed.topology, number, pair[0], pair[1], windows_s), len(total))
            seen = circuits.gain * contrast + circuits.bias * windows_s.sum()
            total += (seen if up else -seen) + circuits.injection * windows_s.sum()
            continue
        step = max(1, AT_ONCE // total.numel())
        for part in torch.arange(len(windows_s)).split(step):
            single = [Lines(one.pre[part], one.post[part]) for one in pair]
            contrast = _planes(_each(placed.topology, number, single[0], single[1]), len(total))
            given, at_limit = circuits.output(law, contrast, up)
            factor = windows_s[part].view(-1, 1, 1, 1)
            total += (given * factor).sum(0)
            clipped += int((at_limit & (factor > 0)).sum())
    return total * law.rate_per_s, clipped


def lines(topology: Topology, number: int, drive: Tensor, states: States) -> Lines:
    """What a coupling's lines have, state units; of a resistive network the nodes, behind which amplifiers stand."""
    coupling = topology.couplings[number]
    pre = (drive if coupling.pre < 0 else states[coupling.pre]).flatten(1).double()
    post = states[coupling.post].flatten(1).double()
    if topology.substrate == "resistive":
        return Lines(pre, post / topology.layers[coupling.post].gain)
    if coupling.bias:
        pre = torch.cat([pre, pre.new_ones(len(pre), 1)], dim=1)
    return Lines(pre, post)


def _each(topology: Topology, number: int, first: Lines, second: Lines) -> Tensor:
    """Contrasts of every sample, (batch, rows, columns)."""
    if topology.substrate != "resistive":
        return first.pre[:, :, None] * first.post[:, None] - second.pre[:, :, None] * second.post[:, None]
    drops = [(one.pre[:, :, None] - one.post[:, None]).square() for one in (first, second)]
    found = (drops[1] - drops[0]) / 2
    if topology.couplings[number].bias:
        found = torch.cat([found, (first.post - second.post)[:, None]], dim=1)
    return found


def _summed(topology: Topology, number: int, first: Lines, second: Lines, windows_s: Tensor) -> Tensor:
    """Contrasts times windows, summed over the samples, (rows, columns)."""
    products = first.times(windows_s) - second.times(windows_s)
    if topology.substrate != "resistive":
        return products
    squares = [
        windows_s @ (second.pre.square() - first.pre.square()),
        windows_s @ (second.post.square() - first.post.square()),
    ]
    found = (squares[0][:, None] + squares[1][None]) / 2 + products
    if topology.couplings[number].bias:
        found = torch.cat([found, (windows_s @ (first.post - second.post))[None]])
    return found


def _planes(contrast: Tensor, planes: int) -> Tensor:
    """Of cells of plane 0 as it is, of plane 1 the opposite, (..., planes, rows, columns)."""
    return torch.stack([contrast, -contrast][:planes], dim=-3)
