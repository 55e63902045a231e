"""`mixed`: changes add up on the host until they are worth a pulse (mixed-precision training).

Nandakumar et al. 2018 and 2020; aihwkit's `MixedPrecisionCompound`. What the host keeps is the remainder that is not
yet in the cells, always less than the smallest step it sends: no copy of a weight.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import torch
from torch import Tensor

from firmware_specs.datasheet.section import NonNegative
from hil.counterparts.cell_array import CellArray, Pulsed, added
from hil.learning.updates.update import PulsedUpdate


class Mixed(PulsedUpdate):
    """Changes add up on the host until they are worth a pulse; up and down cancel there and not in the cells.

    Attributes:
        threshold: Size of a remainder, in steps' root mean square changes, from which it is sent. Of steps to and fro
            the fewer pulses arrive the larger it is: they would cost wear and noise, and would pull cells with soft
            bounds to their symmetric point. Where that is less than a pulse, a pulse is what counts.
    """

    kind: Literal["mixed"] = "mixed"
    threshold: NonNegative = 10.0

    def begin(self, arrays: Sequence[CellArray]) -> MixedRule:
        """On the array that settles."""
        return MixedRule(self, arrays[0])


class MixedRule:
    """Mixed precision on one array."""

    def __init__(self, settings: Mixed, array: CellArray) -> None:
        self._settings, self._array = settings, array
        cells = [array.topology.cells(c) for c in array.topology.couplings]
        self._left = [torch.zeros(shape, dtype=torch.float64) for shape in cells]

    def step(self, wanted: Sequence[Tensor], factor: float, draws: torch.Generator) -> Pulsed:
        """Adds the change to the remainder and sends what is whole pulses of it."""
        sent, step = [], self._settings.lr * factor / self._array.pulse_step()
        for n, part in enumerate(wanted):
            left = self._left[n] + part.cpu() * step
            counts = left.trunc() * (left.abs() >= self._settings.threshold * step)
            self._left[n] = left - counts
            sent.append(self._array.send(n, counts.long(), self._settings.most, draws))
        return added(sent)

    def state_dict(self) -> dict[str, Tensor]:
        """The remainders, in pulses."""
        return {f"left_{n}": left for n, left in enumerate(self._left)}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Takes the remainders."""
        self._left = [state[f"left_{n}"].clone() for n in range(len(self._left))]
