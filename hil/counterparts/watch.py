"""Whether the relaxation on measured products has come to rest, and how close to an equilibrium it then is."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from hil.counterparts.seam import Phase

SAFETY = 5.0
"""Standard deviations of a product's error that the stated error allows for."""
SLOWEST = 0.98
"""Changes that shrink by less than this factor a sweep are not shrinking."""
CLEAR = 2.0
"""A change this many times what noise alone makes is clear of it."""
USUAL = 0.7
"""Assumed rate where too few sweeps lie above the floor to see one."""


class Watch:
    """Follows a phase: when each sample settles, how fast changes shrink, what the converters clipped.

    Args:
        drive: Of the phase, (batch, ...).
        floor: Standard deviation that converter noise gives a state, at lines that were not made smaller.
        peak: How far the largest change of all states lies above it in noise alone.
        tolerance: A smaller change is none.
        bound: Most sweeps.

    Attributes:
        after: Sweeps since all samples have settled.
        floor: Noise of each sample's states in the last sweep, (batch,).
    """

    def __init__(self, drive: Tensor, floor: float, peak: float, tolerance: float, bound: int) -> None:
        samples, like = len(drive), drive
        self.after = 0
        self.floor = like.new_full((samples,), floor)
        self._noise, self._peak, self._tolerance = floor, peak, tolerance
        self._stretch = like.new_ones(samples)
        self._sweep = 0
        self._last = like.new_full((samples,), math.inf)
        self._changes: list[Tensor] = []
        self._iterations = torch.full((samples,), bound, device=like.device)
        self._done = torch.zeros(samples, dtype=torch.bool, device=like.device)
        self._clipped = torch.zeros(samples, dtype=torch.int64, device=like.device)
        self._rails = torch.zeros_like(self._clipped)
        self._now = (self._clipped, self._rails)

    def product(self, clipped: Tensor, rails: Tensor, stretch: Tensor) -> None:
        """Adds one product's clipping, and by how much its lines were made smaller; a phase's is its last sweep's."""
        self._now = (self._now[0] + clipped, self._now[1] + rails)
        self._stretch = torch.maximum(self._stretch, stretch)

    def see(self, change: Tensor) -> bool:
        """Takes the largest change of every sample in; True once all have settled."""
        self._sweep += 1
        self._clipped, self._rails = self._now
        self._now = (torch.zeros_like(self._clipped), torch.zeros_like(self._rails))
        self._changes.append(change)
        self.floor, self._stretch = self._noise * self._stretch, torch.ones_like(self._stretch)
        now = change <= self._most
        self._iterations = torch.where(now & ~self._done, self._sweep, self._iterations)
        self._done = self._done | now
        self._last = change
        if bool(self._done.all()):
            self.after += 1
        return self.after > 0

    @property
    def _most(self) -> Tensor:
        """Changes up to this are noise, (batch,)."""
        return (self.floor * self._peak).clamp(min=self._tolerance)

    def _rate(self) -> Tensor:
        """How fast each sample's changes shrink from the largest to the last that is clear of the noise.

        The slower of the whole way and of its second half.
        """
        changes = torch.stack(self._changes).clamp(min=1e-30)
        steps = torch.arange(len(changes), device=changes.device).unsqueeze(1)
        last = torch.where(changes > CLEAR * self._most, steps, 0).amax(0)
        first = changes.argmax(0)
        rate = changes.new_full(last.shape, USUAL)
        for begin in (first, (first + last + 1) // 2):
            ratio = changes.gather(0, last.unsqueeze(0)) / changes.gather(0, begin.unsqueeze(0))
            seen = ratio[0] ** (1 / (last - begin).clamp(min=1))
            rate = torch.where(last > begin, torch.maximum(rate, seen), rate)
        return rate

    def report(self, local: Tensor) -> Phase:
        """Settled or not, sweeps, and the stated error as the residual."""
        rate = torch.maximum(self._rate(), local)
        shrinking = rate < SLOWEST
        error = (self._last + SAFETY * self.floor) / (1 - rate.clamp(max=SLOWEST))
        return Phase(self._done & shrinking, self._iterations, error, self._clipped, self._rails)
