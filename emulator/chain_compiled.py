"""Sweeps of a dense chain by one compiled function: no call, no pass over memory and no sweep too many.

The states of a phase are changed in place, layer by layer; weights are laid out once, in panels of the columns that the
function keeps in registers. A sample is summed in the same order whatever its batch.
"""

from __future__ import annotations

import ctypes
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F  # noqa: N812 - torch's own convention
from torch import Tensor

from emulator.chain_layers import Bound, Course, DenseLayer, shaped
from emulator.compiled.library import Library, library
from emulator.compiled.tables import TERM_FIELDS

STRETCH = 400_000_000
"""Products of one call, 10 ms at 40 a nanosecond: between two calls Python sees to signals."""
BESIDE = 16
"""What a sweep takes beside products, in products a state."""


class _Update(NamedTuple):
    """One layer's part of a sweep.

    Attributes:
        state: (rows, width), changed in place.
        constant: (samples, width), or (width,) for all samples.
        terms: State of a sending layer, units of it, and its weights in panels.
        low: Lower rail, or None.
        high: Upper rail, or None.
        alpha: Of the products.
    """

    state: Tensor
    constant: Tensor
    terms: Sequence[tuple[Tensor, Tensor]]
    low: float | None
    high: float | None
    alpha: float


class _Phase:
    """A phase under way.

    Args:
        library: Of functions.
        updates: Layers in order.
        samples: Of the batch.
        tolerance: Largest change of a sample at rest; 0: none ever is.
        pace: Over-relaxation.

    Attributes:
        residual: (samples,) largest change in the last sweep.
        since: (samples,) first sweep since which each sample rests.
    """

    def __init__(
        self, library: Library, updates: Sequence[_Update], samples: int, tolerance: float, pace: float
    ) -> None:
        fields, terms, reals = list[int](), list[int](), list[float]()
        for u in updates:
            width, each = u.state.shape[1], u.constant.dim() > 1
            panels, first = width // library.shape.columns, len(terms) // TERM_FIELDS
            fields += (u.state.data_ptr(), width, panels, u.constant.data_ptr(), width * each, first, len(u.terms))
            for source, weights in u.terms:
                terms += (source.data_ptr(), source.shape[1], weights.shape[1], weights.data_ptr())
            reals += (-math.inf if u.low is None else u.low, math.inf if u.high is None else u.high, u.alpha)
        state = updates[0].state
        sweep = sum(u.state.numel() * (BESIDE + sum(source.shape[1] for source, _ in u.terms)) for u in updates)
        self._stretch = max(1, STRETCH // max(1, sweep))
        self.residual, self.since = state.new_empty(samples), torch.ones(samples, dtype=torch.long)
        self._spread = state.new_empty(state.shape[0] * library.shape.lanes)
        self._function, self._kept = library.sweeps, updates
        self._before: tuple[Any, ...] = (samples, len(updates))
        self._after: tuple[Any, ...] = (
            tolerance,
            pace,
            (ctypes.c_int64 * len(fields))(*fields),
            (ctypes.c_int64 * len(terms))(*terms),
            (ctypes.c_float * len(reals))(*reals),
            *(t.data_ptr() for t in (self._spread, self.residual, self.since)),
        )

    def run(self, first: int, last: int) -> bool:
        """Sweeps, so many done before, until all samples rest or so many are done; whether they rest."""
        while first < last:
            until = min(first + self._stretch, last)
            if self._function(*self._before, first, until, *self._after):
                return True
            first = until
        return False


@dataclass(frozen=True)
class Sweeps:
    """Layers as the function takes them.

    Attributes:
        library: Of functions.
        layers: Of the chain.
        panels: Matrices of every layer's terms, (panels, units of the source, columns of a panel).
        widths: Units of every layer, rounded up to whole panels.
    """

    library: Library
    layers: Sequence[DenseLayer]
    panels: Sequence[Sequence[Tensor]]
    widths: Sequence[int]

    @staticmethod
    def fit(layers: Sequence[DenseLayer]) -> bool:
        """Whether the function takes a chain's numbers."""
        units = [layer.row.numel() for layer in layers]
        for layer, own in zip(layers, units, strict=True):
            if not (_plain(layer.row) and layer.row.shape == (own,)):
                return False
            if any(not _plain(t.matrix) or t.matrix.shape != (units[t.source], own) for t in layer.terms):
                return False
        # columns that fill a panel up stay at 0
        return not any((layer.low or 0.0) > 0 or (layer.high or 0.0) < 0 for layer in layers)

    @classmethod
    def of(cls, layers: Sequence[DenseLayer]) -> Sweeps | None:
        """Of a chain; None where the function cannot be compiled, or does not take its numbers."""
        found = library() if cls.fit(layers) else None
        if found is None:
            return None
        columns = found.shape.columns
        panels = [[_panels(term.matrix, columns) for term in layer.terms] for layer in layers]
        return cls(found, layers, panels, [_whole(layer.units, columns) for layer in layers])

    def relax(
        self,
        order: Sequence[int],
        constants: Sequence[Tensor],
        samples: int,
        start: Sequence[Tensor] | None,
        bound: Bound,
        pace: float,
    ) -> Course | None:
        """Relaxes a batch; arguments as of `emulator.chain_sweeps.relax`.

        Returns:
            How it went; None where tensors are of other shapes or types than the function reads.
        """
        if not self._fit(constants, samples, start):
            return None
        states = self._begin(samples, start)
        updates = [self._update(index, constants[index], states) for index in order]
        phase = _Phase(self.library, updates, samples, bound.tolerance, pace)
        if bound.sweeps > 1 and phase.run(0, bound.sweeps - 1):
            settled = torch.ones(samples, dtype=torch.bool)
            return Course(self._given(states, samples), None, settled, phase.since, phase.residual)
        before = [s.clone() for s in states]
        phase.run(bound.sweeps - 1, bound.sweeps)
        settled = phase.residual <= bound.tolerance
        iterations = torch.full_like(phase.since, bound.sweeps)
        if bound.tolerance > 0:
            iterations = torch.where(settled, phase.since, iterations)
        return Course(self._given(states, samples), self._given(before, samples), settled, iterations, phase.residual)

    def grown(self, order: Sequence[int], start: Sequence[Tensor], sweeps: int) -> tuple[Tensor, Tensor]:
        """As `emulator.chain_sweeps.grown`."""
        states = self._begin(start[0].shape[0], start)
        updates = []
        for index in order:
            layer = self.layers[index]
            nothing = states[index].new_zeros(self.widths[index])
            updates.append(_Update(states[index], nothing, self._terms(index, states), None, None, layer.alpha))
        phase, sizes = _Phase(self.library, updates, start[0].shape[0], 0.0, 1.0), []
        for first, last in ((0, sweeps - 1), (sweeps - 1, sweeps)):
            phase.run(first, last)
            sizes.append(torch.linalg.vector_norm(torch.cat([s.view(-1) for s in states])))  # what fills blocks up is 0
        return sizes[0], sizes[1]

    def _fit(self, constants: Sequence[Tensor], samples: int, start: Sequence[Tensor] | None) -> bool:
        """Whether memory has what the function reads, which looks at addresses alone."""
        for constant, layer in zip(constants, self.layers, strict=True):
            if not _plain(constant) or constant.shape not in ((layer.units,), (samples, layer.units)):
                return False
        if start is None:
            return True
        if len(start) != len(self.layers):
            return False
        for state, layer in zip(start, self.layers, strict=True):
            if state.device.type != "cpu" or state.dim() < 2 or not len(state) or samples % len(state):
                return False
            if state.shape[1:].numel() != layer.units:
                return False
        return True

    def _begin(self, samples: int, start: Sequence[Tensor] | None) -> list[Tensor]:
        """Memory of the states, in whole blocks of samples and panels, with what they are at first."""
        rows = _whole(samples, self.library.shape.rows)
        if start is None:
            return [torch.zeros(rows, width) for width in self.widths]
        states = []
        for state, layer, width in zip(start, self.layers, self.widths, strict=True):
            flat = state.flatten(1)
            full = flat.clone() if flat.shape[0] == samples else torch.cat([flat] * (samples // flat.shape[0]))
            if rows > samples or width > layer.units:
                full = F.pad(full, (0, width - layer.units, 0, rows - samples))
            states.append(full.float().contiguous())
        return states

    def _terms(self, index: int, states: Sequence[Tensor]) -> list[tuple[Tensor, Tensor]]:
        pairs = zip(self.layers[index].terms, self.panels[index], strict=True)
        return [(states[term.source], panels) for term, panels in pairs]

    def _update(self, index: int, constant: Tensor, states: Sequence[Tensor]) -> _Update:
        layer = self.layers[index]
        missing = self.widths[index] - layer.units
        wide = (F.pad(constant, (0, missing)) if missing else constant).contiguous()
        return _Update(states[index], wide, self._terms(index, states), layer.low, layer.high, layer.alpha)

    def _given(self, states: Sequence[Tensor], samples: int) -> tuple[Tensor, ...]:
        pairs = zip(states, self.layers, strict=True)
        return shaped(self.layers, [s[:samples, : layer.units].contiguous() for s, layer in pairs])


def _plain(tensor: Tensor) -> bool:
    """Whether its numbers are of the function's type, and where it reads."""
    return tensor.dtype == torch.float32 and tensor.device.type == "cpu"


def _panels(matrix: Tensor, columns: int) -> Tensor:
    missing = _whole(matrix.shape[1], columns) - matrix.shape[1]
    whole = F.pad(matrix, (0, missing)) if missing else matrix
    return whole.unflatten(1, (-1, columns)).transpose(0, 1).contiguous()


def _whole(count: int, of: int) -> int:
    return -(-count // of) * of
