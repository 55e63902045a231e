"""`pulsed`: every step's change becomes pulses at once, rounded at random; nothing is kept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from hil.counterparts.cell_array import CellArray, Pulsed, added
from hil.learning.updates.update import PulsedUpdate


class PlainPulses(PulsedUpdate):
    """Every step sends its change as pulses, rounded at random; the cells alone have the weights."""

    kind: Literal["pulsed"] = "pulsed"

    def begin(self, arrays: Sequence[CellArray]) -> PlainRule:
        """On the array that settles."""
        return PlainRule(self, arrays[0])


@dataclass(frozen=True)
class PlainRule:
    """Stochastic gradient descent by pulses."""

    settings: PlainPulses
    array: CellArray

    def step(self, wanted: Sequence[Tensor], factor: float, draws: torch.Generator) -> Pulsed:
        """One change a weight, rounded without bias."""
        lr, most = self.settings.lr * factor, self.settings.most
        return added([self.array.move(n, part * lr, most, draws) for n, part in enumerate(wanted)])

    def state_dict(self) -> dict[str, Tensor]:
        """Nothing: the cells have it all."""
        return {}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Nothing to take."""
