"""How settling went, summed over transactions: settled and clipped fractions, iterations, codes at the rails."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from hil.counterparts.seam import Settled


@dataclass
class Tally:
    """Sums over every settle of a step; `add` is an `Observer` of energy blocks.

    What phases report is kept and summed by `take`, the only point that waits for the states' device.
    """

    _settled: list[Tensor] = field(default_factory=list)
    _iterations: list[Tensor] = field(default_factory=list)
    _clipped: list[Tensor] = field(default_factory=list)
    _rails: list[Tensor] = field(default_factory=list)
    _samples: int = 0
    _driven: int = 0
    _read: int = 0

    def add(self, settled: Settled) -> None:
        """Notes one transaction."""
        phases = settled.phases
        # the nudged phases repeat the clipped drives of their free phase
        free = phases[0].clipped_drives
        self._settled += [p.settled for p in phases]
        self._iterations += [p.iterations for p in phases]
        self._clipped += [free, *(p.clipped_drives - free for p in phases[1:])]
        self._rails += [p.rail_codes for p in phases]
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
        if not self._settled:
            return {}
        noted = (self._settled, self._iterations, self._clipped, self._rails)
        settled, iterations, clipped, rails = torch.stack([torch.cat(each).sum().double() for each in noted]).tolist()
        fractions = {
            "settled": settled / self._samples,
            "iterations": iterations / self._samples,
            "clipped": clipped / self._driven,
            "rails": rails / self._read,
        }
        for each in noted:
            each.clear()
        self._samples, self._driven, self._read = 0, 0, 0
        return fractions
