"""Relaxation of dense layers with a handful of tensor calls a sweep.

Small nets spend their time on calls, not on arithmetic. What does not change in a phase is folded once: gains and
offsets of the neurons into weights and constant currents. The sweeps of a chunk are written side by side into one
buffer, and the host looks at their changes together; a phase ends at the very sweep after which all samples rest,
whatever was computed beyond it, so that results do not depend on when the host looks.

A layer may move past its minimum (`emulator.neurons.Past`). How far pays is told by the weights: from how fast plain
sweeps would near the equilibrium if no unit were at a rail.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from emulator.couplings import Coupling, DenseCoupling
from emulator.neurons import Neurons
from emulator.packed import PackedCoupling
from firmware_specs.topology import Topology

FIRST_LOOK, LONGEST = 4, 8
"""Sweeps before the first look at what changed, and most between two looks."""
DEAR = 2_000_000
"""Multiplications of a sweep above which one too many costs more than a look."""
MOST_PAST = 1.5
"""Over-relaxation that weights suggest, at most: units at their rails leave less to gain than the weights say."""
POWER = 6
"""Sweeps of the power iteration that finds the rate of plain ones."""
BUFFER = 1 << 20
"""Most numbers that are kept for one look; larger batches are looked at more often."""


class Course(NamedTuple):
    """How a phase went.

    Attributes:
        states: One tensor a layer, (batch, *layer).
        before: The same one sweep earlier, in memory that the next phase overwrites.
        settled: (batch,) bool.
        iterations: (batch,) sweeps until each sample rested, or the bound.
        residual: (batch,) largest change of any state in the last sweep.
    """

    states: tuple[Tensor, ...]
    before: tuple[Tensor, ...]
    settled: Tensor
    iterations: Tensor
    residual: Tensor


class _Product(NamedTuple):
    total: Tensor
    state: Tensor
    matrix: Tensor
    alpha: float
    into: Tensor
    old: Tensor | None  # what the layer was, where it moves past its minimum
    limits: tuple[float | None, float | None] | None


class _Term(NamedTuple):
    source: int
    matrix: Tensor  # (units of the source, units)


@dataclass(frozen=True)
class _Dense:
    """One layer: `s = clamp(constant + alpha * sum_t s_t @ matrix_t, low, high)`."""

    shape: tuple[int, ...]
    terms: tuple[_Term, ...]
    row: Tensor
    gain: float | Tensor
    low: float | None
    high: float | None

    @property
    def clamped(self) -> bool:
        """Whether it has a rail."""
        return self.low is not None or self.high is not None

    @property
    def alpha(self) -> float:
        """Of the products: a gain that is the same for all units is not folded into the matrices."""
        return 1.0 if isinstance(self.gain, Tensor) else self.gain

    def constant(self, currents: Sequence[Tensor]) -> Tensor:
        """What does not change in a phase, (batch, units), or (units,) where no sample has a current of its own."""
        if not currents:
            return self.row
        total = sum((c.flatten(1) for c in currents[1:]), start=currents[0].flatten(1))
        if isinstance(self.gain, Tensor):
            return torch.addcmul(self.row, total, self.gain)
        return torch.add(self.row, total, alpha=self.gain)


@dataclass(frozen=True)
class Chain:
    """A network of dense couplings, ready to sweep.

    Attributes:
        layers: With what enters them.
        groups: Layers that are updated together, in order.
    """

    layers: tuple[_Dense, ...]
    groups: tuple[tuple[int, ...], ...]

    @classmethod
    def of(cls, topology: Topology, couplings: Sequence[Coupling], neurons: Sequence[object]) -> Chain | None:
        """The chain of a network; None where something in it is not dense, exact and clamped linear."""
        plain = [c.dense for c in couplings if isinstance(c, PackedCoupling) and c.dense is not None]
        units = [n for n in neurons if type(n) is Neurons]
        if not plain or len(plain) < len(couplings) or len(units) < len(neurons):
            return None
        if any(p.weight.requires_grad for p in plain):
            return None
        like = plain[0].weight
        with torch.no_grad():
            layers = [_dense(topology, layer, plain, units[layer], like) for layer in range(len(units))]
        if not all(layer.terms for layer in layers):
            return None
        return cls(tuple(layers), tuple(topology.update_groups))

    def over_relaxation(self) -> float:
        """How far layers are best moved, in units of the way to their minimum.

        `2 / (1 + sqrt(1 - r))`, at most `MOST_PAST`, r the share of the error that a plain sweep leaves where no unit
        is at a rail (Young 1954: layers that are updated together share no coupling).
        """
        order = [layer for group in self.groups for layer in group]
        # a vector like no eigenvector; a row each, as samples are
        state = [1 + 0.1 * torch.arange(len(x.row), device=x.row.device).sin().to(x.row)[None] for x in self.layers]
        sizes = list[Tensor]()
        for left in reversed(range(POWER)):
            for index in order:
                first, *others = self.layers[index].terms
                moved = torch.mm(state[first.source], first.matrix)
                for term in others:
                    moved.addmm_(state[term.source], term.matrix)
                alpha = self.layers[index].alpha
                state[index] = moved if alpha == 1.0 else moved.mul_(alpha)
            if left < 2:
                sizes.append(torch.cat(state, 1).norm())
        rate = float(sizes[1] / sizes[0].clamp(min=1e-30))  # weights may be 0
        return min(MOST_PAST, 2 / (1 + math.sqrt(1 - rate))) if rate < 1 else MOST_PAST

    def relax(
        self,
        currents: Sequence[Sequence[Tensor]],
        samples: int,
        start: Sequence[Tensor] | None,
        bound: tuple[int, float],
        backwards: bool,
        pace: float = 1.0,
    ) -> Course:
        """Relaxes a batch.

        Args:
            currents: Constant ones into every layer, (batch, *layer) each.
            samples: Size of the batch; a multiple of what `start` has.
            start: Initial states; rest when omitted.
            bound: Most sweeps, and the largest change at which a sample is at rest; 0: all sweeps are done.
            backwards: Whether the last group comes first.
            pace: Over-relaxation, at least 1 and below 2.
        """
        most, tolerance = bound
        constants = [layer.constant(own) for layer, own in zip(self.layers, currents, strict=True)]
        if pace != 1.0:
            constants = [pace * c for c in constants]
        widths = [math.prod(layer.shape) for layer in self.layers]
        longest = max(1, min(LONGEST, most, BUFFER // (samples * sum(widths))))
        like = self.layers[0].row
        buffer = _scratch("states", (longest + 1, samples, sum(widths)), like)
        spare = _scratch("changes", (longest, samples, sum(widths)), like)
        slots = list(zip(*(part.unbind(0) for part in buffer.split(widths, 2)), strict=True))
        self._begin(buffer, slots[0], start)
        order = [layer for group in (self.groups[::-1] if backwards else self.groups) for layer in group]
        plans = list[list[_Product]]()
        dear = samples * sum(t.matrix.numel() for layer in self.layers for t in layer.terms) > DEAR
        done, count, seen, addmm = 0, min(2 if dear else FIRST_LOOK, longest), list[Tensor](), torch.addmm
        while True:
            count = min(count, most - done)
            for place in range(len(plans), count):
                plans.append(self._plan(order, slots[place], slots[place + 1], constants, pace))
            for plan in plans[:count]:
                for constant, state, matrix, alpha, into, past, limits in plan:
                    addmm(constant, state, matrix, alpha=alpha, out=into)
                    if past is not None:
                        into.add_(past, alpha=1.0 - pace)
                    if limits is not None:
                        into.clamp_(*limits)
            done += count
            if tolerance > 0 or done == most:
                first = 0 if tolerance > 0 else count - 1
                moved = torch.sub(buffer[first + 1 : count + 1], buffer[first:count], out=spare[: count - first])
                changes = moved.abs_().amax(2)
                worst = changes.amax(1).tolist()
                rested = next((k for k, change in enumerate(worst) if change <= tolerance), None)
                seen.append(changes if rested is None else changes[: rested + 1])
                if rested is not None or done == most:
                    at = count if rested is None else first + rested + 1
                    return self._course(slots[at], slots[at - 1], torch.cat(seen), most, tolerance)
            buffer[0].copy_(buffer[count])
            count = min(longest, max(1, _ahead(worst, tolerance) - dear)) if tolerance > 0 else longest

    def _begin(self, buffer: Tensor, slot: Sequence[Tensor], start: Sequence[Tensor] | None) -> None:
        if start is None:
            buffer[0].zero_()
            return
        for into, state in zip(slot, start, strict=True):
            into.unflatten(0, (-1, len(state))).copy_(state.flatten(1))

    def _plan(
        self,
        order: Sequence[int],
        old: Sequence[Tensor],
        new: Sequence[Tensor],
        constants: Sequence[Tensor],
        pace: float,
    ) -> list[_Product]:
        """A sweep as products in order, from what one place of the buffer has to another."""
        present, plan = [*old], list[_Product]()
        for index in order:
            layer, into, total = self.layers[index], new[index], constants[index]
            for number, term in enumerate(layer.terms, 1):
                last = number == len(layer.terms)
                limits = (layer.low, layer.high) if last and layer.clamped else None
                past = old[index] if last and pace != 1.0 else None
                plan.append(_Product(total, present[term.source], term.matrix, pace * layer.alpha, into, past, limits))
                total = into
            present[index] = into
        return plan

    def _course(
        self, states: Sequence[Tensor], before: Sequence[Tensor], changes: Tensor, most: int, tolerance: float
    ) -> Course:
        rest = changes <= tolerance
        sweeps = torch.arange(1, len(changes) + 1).unsqueeze(1)
        since = (sweeps * ~rest).amax(0).add_(1)  # the sweep after the last one that moved it
        if tolerance == 0:
            since.fill_(most)
        iterations = torch.where(rest[-1], since, most)
        shapes = [layer.shape for layer in self.layers]
        kept = [s.clone(memory_format=torch.contiguous_format) for s in states]  # the buffer is many times as large
        new, old = (
            tuple(s if len(shape) == 1 else s.unflatten(1, shape) for s, shape in zip(which, shapes, strict=True))
            for which in (kept, before)
        )
        return Course(new, old, rest[-1], iterations, changes[-1])


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


def _dense(topology: Topology, layer: int, plain: Sequence[DenseCoupling], neurons: Neurons, like: Tensor) -> _Dense:
    gain = neurons.gain.flatten() if isinstance(neurons.gain, Tensor) else neurons.gain
    terms, row = [], like.new_zeros(topology.layers[layer].units)
    for spec, coupling in zip(topology.couplings, plain, strict=True):
        if spec.post == layer:
            matrix, source = coupling.weight.T, spec.pre
            row = row if coupling.bias is None else row + coupling.bias
        elif spec.pre == layer:
            matrix, source = coupling.weight, spec.post
        else:
            continue
        terms.append(_Term(source, matrix * gain if isinstance(gain, Tensor) else matrix))
    row = row * gain
    if isinstance(neurons.offset, Tensor):
        row = row + neurons.offset.flatten()
    elif neurons.offset:
        row = row + neurons.offset
    return _Dense(topology.layers[layer].shape, tuple(terms), row, gain, neurons.low, neurons.high)
