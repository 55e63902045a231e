"""Read noise of cells during a settle, drawn at the summing nodes.

Noise that is Gaussian and independent between cells gives Gaussian noise at a summing node, of variance
`x^2 @ sigma^2` for line voltages x: one more product instead of one more random matrix a sample, equal in distribution
for one product. In a relaxation the voltages are those of the noise-free equilibrium, and the noise of a cell in its
forward and its transposed reading is taken as independent, which leaves out a covariance of the order of one cell.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from emulator.couplings import Coupling, Shared
from emulator.currents import States
from firmware_specs.topology import Topology


@dataclass(frozen=True)
class CellNoise:
    """Variances of the couplings' weights.

    Attributes:
        topology: The block.
        couplings: The network's own, for the pooling indices.
        variances: Couplings whose weights are variances, without pooling.
        bend: What cells make of a line voltage.
    """

    topology: Topology
    couplings: Sequence[Coupling]
    variances: Sequence[Coupling]
    bend: Callable[[Tensor], Tensor]

    def draw(self, states: States, generator: torch.Generator) -> States:
        """One realization of the noise currents into every layer, each (batch, *layer), model units."""
        variance = [torch.zeros_like(s) for s in states]
        power = [self.bend(s) ** 2 for s in states]
        for spec, coupling, spread in zip(self.topology.couplings, self.couplings, self.variances, strict=True):
            shared = coupling.up(states[spec.pre])[1] if _pools(spec) else None
            variance[spec.post] += _pooled(spread.up(power[spec.pre])[0], shared)
            variance[spec.pre] += spread.down(power[spec.post], shared)
        return tuple(
            torch.randn(v.shape, generator=generator, dtype=v.dtype, device=v.device).mul_(v.clamp(min=0).sqrt())
            for v in variance
        )


def _pools(spec: object) -> bool:
    return bool(getattr(spec, "pool", False))


def _pooled(variance: Tensor, shared: Shared) -> Tensor:
    """Variance at the maxima that the pooling chose."""
    if shared is None:
        return variance
    indices, _ = shared
    return variance.flatten(2).gather(2, indices.flatten(2)).view(indices.shape)
