"""Relaxation of dense layers with a handful of calls a phase.

Small nets spend their time on calls, not on arithmetic. What does not change in a phase is folded once: gains and
offsets of the neurons into weights and constant currents. Sweeps are one compiled function where llvmlite is installed
(`emulator.chain_compiled`), else a few tensor calls each (`emulator.chain_sweeps`); the two differ by rounding.

A layer may move past its minimum (`emulator.neurons.Past`). How far pays is told by the weights: from how fast plain
sweeps would near the equilibrium if no unit were at a rail.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, cached_property

import torch
from torch import Tensor

from emulator import chain_sweeps
from emulator.chain_compiled import Sweeps
from emulator.chain_layers import Bound, Course, DenseLayer, dense_layer
from emulator.couplings import Coupling
from emulator.neurons import Neurons
from emulator.packed import PackedCoupling
from firmware_specs.topology import Topology

MOST_PAST = 1.5
"""Over-relaxation that weights suggest, at most: units at their rails leave less to gain than the weights say."""
POWER = 6
"""Sweeps of the power iteration that finds the rate of plain ones."""


@dataclass(frozen=True)
class Chain:
    """A network of dense couplings, ready to sweep.

    Attributes:
        layers: With what enters them.
        groups: Layers that are updated together, in order.
    """

    layers: tuple[DenseLayer, ...]
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
            layers = [dense_layer(topology, layer, plain, units[layer], like) for layer in range(len(units))]
        if not all(layer.terms for layer in layers):
            return None
        return cls(tuple(layers), tuple(topology.update_groups))

    def __getstate__(self) -> dict[str, object]:
        """What a copy takes along: compiled functions are of this process."""
        return {name: value for name, value in self.__dict__.items() if name != "_sweeps"}

    @property
    def compiled(self) -> bool:
        """Whether sweeps are one compiled function where torch has one thread."""
        return self._sweeps is not None

    @property
    def fits(self) -> bool:
        """Whether a compiled function takes its numbers, if there is one."""
        return Sweeps.fit(self.layers)

    @property
    def _compiled(self) -> Sweeps | None:
        return self._sweeps if torch.get_num_threads() == 1 else None  # the function has one thread

    @cached_property
    def _sweeps(self) -> Sweeps | None:
        return Sweeps.of(self.layers)

    def over_relaxation(self) -> float:
        """How far layers are best moved, in units of the way to their minimum.

        `2 / (1 + sqrt(1 - r))`, at most `MOST_PAST`, r the share of the error that a plain sweep leaves where no unit
        is at a rail (Young 1954: layers that are updated together share no coupling).
        """
        order = [layer for group in self.groups for layer in group]
        start = [_probe(x.units, x.row.dtype, x.row.device) for x in self.layers]
        compiled = self._compiled
        if compiled is None:
            before, after = chain_sweeps.grown(self.layers, order, start, POWER)
        else:
            before, after = compiled.grown(order, start, POWER)
        rate = float(after / before.clamp(min=1e-30))  # weights may be 0
        return min(MOST_PAST, 2 / (1 + math.sqrt(1 - rate))) if rate < 1 else MOST_PAST

    def relax(
        self,
        currents: Sequence[Sequence[Tensor]],
        samples: int,
        start: Sequence[Tensor] | None,
        bound: Bound,
        backwards: bool,
        pace: float = 1.0,
    ) -> Course:
        """Relaxes a batch.

        Args:
            currents: Constant ones into every layer, (batch, *layer) each.
            samples: Size of the batch; a multiple of what `start` has.
            start: Initial states; rest when omitted.
            bound: When the phase ends.
            backwards: Whether the last group comes first.
            pace: Over-relaxation, at least 1 and below 2.
        """
        constants = [layer.constant(own) for layer, own in zip(self.layers, currents, strict=True)]
        order = [layer for group in (self.groups[::-1] if backwards else self.groups) for layer in group]
        compiled = self._compiled
        if compiled is not None:
            course = compiled.relax(order, constants, samples, start, bound, pace)
            if course is not None:
                return course
        return chain_sweeps.relax(self.layers, order, constants, samples, start, bound, pace)


@cache
def _probe(units: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """A vector like no eigenvector, (1, units), as one sample's state is."""
    return 1 + 0.1 * torch.arange(units, device=device).sin().to(dtype)[None]
