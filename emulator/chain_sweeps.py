"""Sweeps of a dense chain by torch, with a handful of tensor calls each.

The sweeps of a chunk are written side by side into one buffer, and the host looks at their changes together; a phase
ends at the very sweep after which all samples rest, whatever was computed beyond it, so that results do not depend on
when the host looks.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from emulator.chain_layers import Bound, Course, DenseLayer, shaped

FIRST_LOOK, LONGEST = 4, 8
"""Sweeps before the first look at what changed, and most between two looks."""
DEAR = 2_000_000
"""Multiplications of a sweep above which one too many costs more than a look."""
BUFFER = 1 << 20
"""Most numbers that are kept for one look; larger batches are looked at more often."""


class _Product(NamedTuple):
    total: Tensor
    old: Tensor | None  # what the layer was, where it moves past its minimum
    state: Tensor
    matrix: Tensor
    alpha: float
    into: Tensor
    limits: tuple[float | None, float | None] | None


def relax(
    layers: Sequence[DenseLayer],
    order: Sequence[int],
    constants: Sequence[Tensor],
    samples: int,
    start: Sequence[Tensor] | None,
    bound: Bound,
    pace: float,
) -> Course:
    """Relaxes a batch; arguments as of `emulator.chain.Chain.relax`.

    Args:
        layers: Of the chain.
        order: In which they are updated.
        constants: What does not change, (batch, units) or (units,) a layer.
        samples: Size of the batch; a multiple of what `start` has.
        start: Initial states; rest when omitted.
        bound: When the phase ends.
        pace: Over-relaxation.
    """
    if pace != 1.0:
        constants = [pace * c for c in constants]
    widths = [layer.units for layer in layers]
    longest = max(1, min(LONGEST, bound.sweeps, BUFFER // (samples * sum(widths))))
    like = layers[0].row
    buffer = _scratch("states", (longest + 1, samples, sum(widths)), like)
    spare = _scratch("changes", (longest, samples, sum(widths)), like)
    slots = list(zip(*(part.unbind(0) for part in buffer.split(widths, 2)), strict=True))
    _begin(buffer, slots[0], start)
    plans = list[list[_Product]]()
    dear = samples * sum(t.matrix.numel() for layer in layers for t in layer.terms) > DEAR
    done, count, seen = 0, min(2 if dear else FIRST_LOOK, longest), list[Tensor]()
    while True:
        count = min(count, bound.sweeps - done)
        for place in range(len(plans), count):
            plans.append(_plan(layers, order, slots[place], slots[place + 1], constants, pace))
        for plan in plans[:count]:
            _sweep(plan, 1.0 - pace)
        done += count
        last = done == bound.sweeps
        if bound.tolerance > 0 or last:
            first = 0 if bound.tolerance > 0 else count - 1
            moved = torch.sub(buffer[first + 1 : count + 1], buffer[first:count], out=spare[: count - first])
            changes = moved.abs_().amax(2)
            worst = changes.amax(1).tolist()
            rested = next((k for k, change in enumerate(worst) if change <= bound.tolerance), None)
            seen.append(changes if rested is None else changes[: rested + 1])
            if rested is not None or last:
                at = count if rested is None else first + rested + 1
                return _course(layers, slots[at], slots[at - 1], torch.cat(seen), bound)
        buffer[0].copy_(buffer[count])
        count = min(longest, max(1, _ahead(worst, bound.tolerance) - dear)) if bound.tolerance > 0 else longest


def grown(
    layers: Sequence[DenseLayer], order: Sequence[int], start: Sequence[Tensor], sweeps: int
) -> tuple[Tensor, Tensor]:
    """Norms of a state after all plain sweeps but one, and after all; nothing is constant, no unit at a rail."""
    state, sizes = [*start], list[Tensor]()
    for left in reversed(range(sweeps)):
        for index in order:
            first, *others = layers[index].terms
            moved = torch.mm(state[first.source], first.matrix)
            for term in others:
                moved.addmm_(state[term.source], term.matrix)
            alpha = layers[index].alpha
            state[index] = moved if alpha == 1.0 else moved.mul_(alpha)
        if left < 2:
            sizes.append(torch.linalg.vector_norm(torch.cat(state, 1)))
    return sizes[0], sizes[1]


def _sweep(plan: Sequence[_Product], kept: float) -> None:
    addmm = torch.addmm
    for constant, old, state, matrix, alpha, into, limits in plan:
        if old is None:
            addmm(constant, state, matrix, alpha=alpha, out=into)
        else:
            torch.add(constant, old, alpha=kept, out=into).addmm_(state, matrix, alpha=alpha)
        if limits is not None:
            into.clamp_(*limits)


def _begin(buffer: Tensor, slot: Sequence[Tensor], start: Sequence[Tensor] | None) -> None:
    if start is None:
        buffer[0].zero_()
        return
    for into, state in zip(slot, start, strict=True):
        into.unflatten(0, (-1, len(state))).copy_(state.flatten(1))


def _plan(
    layers: Sequence[DenseLayer],
    order: Sequence[int],
    old: Sequence[Tensor],
    new: Sequence[Tensor],
    constants: Sequence[Tensor],
    pace: float,
) -> list[_Product]:
    """A sweep as products in order, from what one place of the buffer has to another."""
    present, plan = [*old], list[_Product]()
    for index in order:
        layer, into, total = layers[index], new[index], constants[index]
        past = old[index] if pace != 1.0 else None
        for number, term in enumerate(layer.terms, 1):
            limits = (layer.low, layer.high) if number == len(layer.terms) and layer.clamped else None
            plan.append(_Product(total, past, present[term.source], term.matrix, pace * layer.alpha, into, limits))
            total, past = into, None
        present[index] = into
    return plan


def _course(
    layers: Sequence[DenseLayer], states: Sequence[Tensor], before: Sequence[Tensor], changes: Tensor, bound: Bound
) -> Course:
    rest = changes <= bound.tolerance
    sweeps = torch.arange(1, len(changes) + 1).unsqueeze(1)
    since = (sweeps * ~rest).amax(0).add_(1)  # the sweep after the last one that moved it
    if bound.tolerance == 0:
        since.fill_(bound.sweeps)
    iterations = torch.where(rest[-1], since, bound.sweeps)
    kept = [s.clone(memory_format=torch.contiguous_format) for s in states]  # the buffer is many times as large
    return Course(shaped(layers, kept), shaped(layers, before), rest[-1], iterations, changes[-1])


_kept = threading.local()


def _scratch(name: str, shape: tuple[int, ...], like: Tensor) -> Tensor:
    """Memory of this thread that is used again, where it is small: fresh pages cost more than what is written there."""
    size = math.prod(shape)
    if size > 2 * BUFFER:
        return like.new_empty(shape)
    have: Tensor | None = getattr(_kept, name, None)
    if have is None or have.dtype != like.dtype or have.numel() < size:
        have = like.new_empty(size)
        setattr(_kept, name, have)
    return have[:size].view(shape)


def _ahead(worst: Sequence[float], tolerance: float) -> int:
    """Sweeps until all rest, if changes go on shrinking as they did in the last sweep."""
    if len(worst) < 2:
        return 2
    if not 0 < worst[-1] < worst[-2]:
        return LONGEST
    return max(1, math.ceil(min(LONGEST, math.log(tolerance / worst[-1]) / math.log(worst[-1] / worst[-2]))))
