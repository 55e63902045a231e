"""Conductance map: every cell written with several levels and verified; what was achieved, stuck cells, dead lines."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from firmware_specs.codes import Capability
from hil.counterparts.device_array import verified
from hil.measuring.estimate import Estimate, of_mean
from hil.measuring.placed import Array, PlacedBlock

LEVELS = (0.15, 0.85, 0.4, 0.6)
ROUNDS = 5
"""Rewrites of a cell that misses, at most."""
TOLERANCE = 0.02
"""What counts as a hit, share of the conductance range."""
READS = 8
FOLLOWS = 0.25
"""A cell follows what is written when its two outermost levels are at least this share of their distance apart."""
DEAD = 0.9
"""A line is dead where this share of its cells does not follow."""

Places = NDArray[np.int64]


@dataclass(frozen=True)
class CellMap:
    """How the cells of one coupling are written; levels are shares of the conductance range.

    Attributes:
        once: Spread of achieved minus asked after one usual write.
        asked: Levels that were written and verified.
        achieved: What was measured then, (levels, planes, rows, columns).
        read_sigma: Standard uncertainty of one achieved level.
        tolerance: What counted as a hit.
        follows: Cells that follow what is written, (planes, rows, columns).
        missed: Cells outside the tolerance that do follow, at any level; the reading's uncertainty allowed for.
    """

    once: Estimate
    asked: tuple[float, ...]
    achieved: Array
    read_sigma: float
    tolerance: float
    follows: NDArray[np.bool_]
    missed: int

    @property
    def errors(self) -> list[Estimate]:
        """Mean error of the cells that follow, one a level."""
        return [of_mean(a[self.follows] - t) for a, t in zip(self.achieved, self.asked, strict=True)]

    @property
    def spreads(self) -> list[Estimate]:
        """Spread of the cells that follow, one a level, the reading's noise taken out."""
        return [spread(a[self.follows], self.read_sigma) for a in self.achieved]

    @property
    def worst(self) -> float:
        """Largest error of a cell that follows."""
        off = np.abs(self.achieved - np.array(self.asked)[:, None, None, None])[:, self.follows]
        return float(off.max(initial=0.0))

    @property
    def stuck(self) -> Places:
        """Plane, row and column of the cells that do not follow, without those on dead lines."""
        lost = ~self.follows
        for plane, row in self.dead_rows:
            lost[plane, row] = False
        for plane, column in self.dead_columns:
            lost[plane, :, column] = False
        return np.argwhere(lost)

    @property
    def dead_rows(self) -> Places:
        """Plane and row of the rows whose cells do not follow."""
        return np.argwhere((~self.follows).mean(axis=2) >= DEAD)

    @property
    def dead_columns(self) -> Places:
        """Plane and column of the columns whose cells do not follow."""
        return np.argwhere((~self.follows).mean(axis=1) >= DEAD)


def cell_map(block: PlacedBlock, coupling: int) -> CellMap:
    """Writes every cell of a coupling with several levels, verified, and reads it back."""
    block.program({coupling: LEVELS[0]})
    once = block.levels(coupling, READS) - LEVELS[0]
    achieved, sigma = [], 0.0
    for level in LEVELS:
        write_verified(block, {coupling: level})
        first, second = (block.levels(coupling, READS // 2) for _ in range(2))
        achieved.append((first + second) / 2)
        sigma = max(sigma, float((first - second).std()) / 2)
    found = np.stack(achieved)
    follows = (found[1] - found[0]) > FOLLOWS * (LEVELS[1] - LEVELS[0])
    off = np.abs(found - np.array(LEVELS)[:, None, None, None])
    missed = int(((~(off <= TOLERANCE + 3 * sigma)).any(axis=0) & follows).sum())  # NaN is no hit
    usual = spread(once[follows], sigma) if follows.sum() > 2 else Estimate(float("nan"), float("inf"))
    return CellMap(usual, LEVELS, found, sigma, TOLERANCE, follows, missed)


def write_verified(block: PlacedBlock, levels: dict[int, float]) -> None:
    """Writes levels until cells read within the tolerance: by the device where it can, else from here."""
    for number in levels:
        block.crossbar.forget(block.array, number, np.ones(block.cells(number), np.bool_))
    if block.can(Capability.VERIFY):
        block.program(levels, ROUNDS, TOLERANCE)
        return
    block.program(levels)
    verified(block.crossbar, block.array, block.targets_s(levels), ROUNDS + 1, TOLERANCE)


def spread(values: Array, read_sigma: float) -> Estimate:
    """Standard deviation of values with the noise of their readings taken out."""
    seen2 = float(values.var(ddof=1))
    found = np.sqrt(max(seen2 - read_sigma**2, 0.0))
    return Estimate(float(found), seen2 * np.sqrt(2 / (values.size - 1)) / (2 * max(found, np.sqrt(seen2) / 10, 1e-30)))
