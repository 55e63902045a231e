"""Layers of a dense chain, and how a phase of one went."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from emulator.couplings import DenseCoupling
from emulator.neurons import Neurons
from firmware_specs.topology import Topology


class Course(NamedTuple):
    """How a phase went.

    Attributes:
        states: One tensor a layer, (batch, *layer).
        before: The same one sweep earlier, in memory that the next phase may overwrite; None where all samples rest.
        settled: (batch,) bool.
        iterations: (batch,) sweeps until each sample rested, or the bound.
        residual: (batch,) largest change of any state in the last sweep.
    """

    states: tuple[Tensor, ...]
    before: tuple[Tensor, ...] | None
    settled: Tensor
    iterations: Tensor
    residual: Tensor


class Bound(NamedTuple):
    """When a phase ends.

    Attributes:
        sweeps: At most.
        tolerance: Largest change at which a sample is at rest; 0: all sweeps are done.
    """

    sweeps: int
    tolerance: float


class Term(NamedTuple):
    """What one layer sends to another: `state[source] @ matrix`.

    Attributes:
        source: The sending layer.
        matrix: (units of the source, units).
    """

    source: int
    matrix: Tensor


@dataclass(frozen=True)
class DenseLayer:
    """One layer: `s = clamp(constant + alpha * sum_t s_t @ matrix_t, low, high)`.

    Attributes:
        shape: Of its state.
        terms: What enters it.
        row: What enters every sample alike, (units,).
        gain: Of its neurons.
        low: Lower rail, or None.
        high: Upper rail, or None.
    """

    shape: tuple[int, ...]
    terms: tuple[Term, ...]
    row: Tensor
    gain: float | Tensor
    low: float | None
    high: float | None

    @property
    def units(self) -> int:
        """How many."""
        return self.row.shape[0]

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


def dense_layer(
    topology: Topology, layer: int, plain: Sequence[DenseCoupling], neurons: Neurons, like: Tensor
) -> DenseLayer:
    """A layer of a network of dense couplings."""
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
        terms.append(Term(source, matrix * gain if isinstance(gain, Tensor) else matrix))
    row = row * gain
    if isinstance(neurons.offset, Tensor):
        row = row + neurons.offset.flatten()
    elif neurons.offset:
        row = row + neurons.offset
    return DenseLayer(topology.layers[layer].shape, tuple(terms), row, gain, neurons.low, neurons.high)


def shaped(layers: Sequence[DenseLayer], states: Sequence[Tensor]) -> tuple[Tensor, ...]:
    """Flat states, (batch, units) each, in the shapes of their layers."""
    pairs = zip(layers, states, strict=True)
    return tuple(s if len(layer.shape) == 1 else s.unflatten(1, layer.shape) for layer, s in pairs)
