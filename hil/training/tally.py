"""How settling went, summed over transactions: settled and clipped fractions, iterations, codes at the rails."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from hil.counterparts.seam import Settled


@dataclass
class Tally:
    """Sums over every settle of a step; `add` is an `Observer` of energy blocks.

    The sums stay on the device of the states: `take` is the only point that waits for it.
    """

    _sums: list[Tensor] = field(default_factory=list)
    _samples: int = 0
    _driven: int = 0
    _read: int = 0

    def add(self, settled: Settled) -> None:
        """Notes one transaction."""
        phases = settled.phases
        # the nudged phases repeat the clipped drives of their free phase
        free = phases[0].clipped_drives
        clipped = free + sum((p.clipped_drives - free for p in phases[1:]), start=torch.zeros_like(free))
        counts = (
            sum(p.settled.sum() for p in phases),
            sum(p.iterations.sum() for p in phases),
            clipped.sum(),
            sum(p.rail_codes.sum() for p in phases),
        )
        self._sums.append(torch.stack([torch.as_tensor(c).double() for c in counts]))
        self._samples += sum(len(p.settled) for p in phases)
        self._driven += settled.free[0].numel() + settled.free[-1].numel() * len(settled.nudged)
        self._read += sum(state.numel() for state in settled.free) * len(phases)

    def take(self) -> dict[str, float]:
        """Fractions since the last call, and starts anew.

        Returns:
            `settled`: fraction of phases that came to rest; `iterations`: mean sweeps a phase; `clipped`: clipped
            share of the drives and nudges; `rails`: share of readings at the first or last ADC code. Empty when
            nothing settled.
        """
        if not self._sums:
            return {}
        settled, iterations, clipped, rails = torch.stack(self._sums).sum(0).tolist()
        fractions = {
            "settled": settled / self._samples,
            "iterations": iterations / self._samples,
            "clipped": clipped / self._driven,
            "rails": rails / self._read,
        }
        self._sums, self._samples, self._driven, self._read = [], 0, 0, 0
        return fractions
