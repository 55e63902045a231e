"""What a block at rest still does: weights of zero are not quite, and units that nothing drives are not at zero.

Both belong to the uncertainty of everything that is swept while the rest of the block is at rest.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import prod

import numpy as np

from firmware_specs.codes import Capability
from hil.measuring.calibrate.transfer import Transfer
from hil.measuring.placed import PlacedBlock

READS = 8
SETTLES = 32


@dataclass(frozen=True)
class Rest:
    """A block at rest.

    Attributes:
        weights: Spread of the weights of every coupling, model units.
        states: Root mean square state of every layer.
    """

    weights: tuple[float, ...]
    states: tuple[float, ...]

    @classmethod
    def of(cls, block: PlacedBlock) -> Rest:
        """Writes all cells to the resting level and looks."""
        block.program({})
        settled = block.settle(block.driven(0.0, SETTLES)).states_v
        states = [float(np.sqrt(np.mean((v[0].mean(axis=0) / block.state_unit_v) ** 2))) for v in settled]
        spreads = [0.0] * len(block.topology.couplings)
        if block.can(Capability.READ):
            levels = [block.levels(n, READS) for n in range(len(spreads))]
            spreads = [float(block.differences(found).std()) * block.weight_unit for found in levels]
        return cls(tuple(spreads), tuple(states))

    def widen(self, block: PlacedBlock, layer: int, found: Transfer) -> Transfer:
        """Adds to the uncertainties of a layer what the layers beside it send it.

        All units of a layer are swept together: what comes back from `n` of them over `m` neighbours is a sum of
        random signs, `sigma_w^2 sqrt(n m)`, and of every unit's own way there and back, `sigma_w^2 m`.
        """
        gain2 = offset2 = 0.0
        for coupling, sigma in zip(block.topology.couplings, self.weights, strict=True):
            if layer not in (coupling.pre, coupling.post):
                continue
            beside = coupling.post if layer == coupling.pre else coupling.pre
            units = [block.topology.layers[n].units for n in (layer, beside)]
            slopes = prod(block.topology.layers[n].gain for n in (layer, beside))
            gain2 += (sigma**2 * slopes) ** 2 * (prod(units) + units[1] ** 2)
            offset2 += sigma**2 * units[1] * self.states[beside] ** 2
        return replace(
            found,
            gain_sigma=np.where(found.dead, 0.0, np.sqrt(found.gain_sigma**2 + gain2)),
            offset_sigma=np.where(found.dead, 0.0, np.sqrt(found.offset_sigma**2 + offset2)),
        )
