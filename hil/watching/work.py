"""How much arithmetic a phase would be on a digital machine, for a comparison that says what it assumes."""

from __future__ import annotations

from math import prod

from torch import nn

from firmware_specs.topology import Conv, Topology
from hil.counterparts.seam import Settled
from hil.learning.model import energy_blocks


class Work:
    """Multiply-accumulates of one sweep, mean over the phases that were settled.

    Args:
        model: Its blocks.
    """

    def __init__(self, model: nn.Module) -> None:
        self._macs = {
            name: _macs(getattr(block.array, "topology", None)) for name, block in energy_blocks(model).items()
        }
        self._phases = self._done = 0.0
        self._sweeps: float | None = None

    def settled(self, name: str, settled: Settled) -> None:
        """A block was settled."""
        phases = len(settled.free[0]) * len(settled.phases)
        self._phases += phases
        self._done += phases * self._macs[name]

    def swept(self, sweeps: float | None) -> None:
        """Mean sweeps a phase, where the counterpart counts them."""
        self._sweeps = sweeps or self._sweeps

    @property
    def macs_a_phase(self) -> float:
        """Of one sample's phase and one sweep; 0 where no block has a topology."""
        return self._done / self._phases if self._phases else 0.0

    @property
    def sweeps_a_phase(self) -> float:
        """As counted last; 0 where nobody counts."""
        return self._sweeps or 0.0


def _macs(topology: Topology | None) -> float:
    """Every coupling once forward and once back."""
    if topology is None:
        return 0.0
    total = 0.0
    for coupling in topology.couplings:
        rows, columns = topology.cells(coupling)
        places = 1.0
        if isinstance(coupling, Conv):
            places = prod(topology.shape(coupling.post)[1:]) * (4.0 if coupling.pool else 1.0)
        total += 2.0 * rows * columns * places
    return total
