"""Pulses and energy every cell has had, and the budgets that stop them hard."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from emulator.refused import Refused
from firmware_specs.codes import ErrorCode
from firmware_specs.messages import LimitsRecord, Region

Mask = NDArray[np.bool_]


@dataclass
class _Plane:
    pulses: NDArray[np.uint32]
    energy_j: NDArray[np.float64]


class Ledger:
    """Counts by (array, coupling, plane). They outlive a reset and a new topology of the same shape."""

    def __init__(self) -> None:
        self._planes: dict[tuple[int, int, int], _Plane] = {}

    def open(self, array: int, coupling: int, planes: int, shape: tuple[int, int]) -> None:
        """Makes room for a coupling's planes; counts stay where they overlap the ones that exist."""
        for plane in range(planes):
            fresh = _Plane(np.zeros(shape, np.uint32), np.zeros(shape, np.float64))
            old = self._planes.get((array, coupling, plane))
            if old is not None:
                if old.pulses.shape == shape:
                    continue
                rows, columns = (min(a, b) for a, b in zip(old.pulses.shape, shape, strict=True))
                fresh.pulses[:rows, :columns] = old.pulses[:rows, :columns]
                fresh.energy_j[:rows, :columns] = old.energy_j[:rows, :columns]
            self._planes[array, coupling, plane] = fresh

    def usage(self, region: Region) -> tuple[NDArray[np.uint32], NDArray[np.float64]]:
        """Pulses and joules of a region's cells."""
        plane = self._planes[region.array, region.coupling, region.plane]
        return plane.pulses[region.slices], plane.energy_j[region.slices]

    def check(
        self, region: Region, counts: NDArray[np.integer], energy_j: NDArray[np.float64], limits: LimitsRecord
    ) -> None:
        """Refuses what would take any cell beyond its budget.

        Args:
            region: Which cells.
            counts: Pulses they are to get, (rows, columns).
            energy_j: Energy they are to get, (rows, columns).
            limits: The active ones.
        """
        pulses, energy = self.usage(region)
        most = limits.max_pulses_per_cell
        over = (pulses + counts.astype(np.int64) > most) & (counts > 0)
        what = f"{most:g} pulses"
        if not over.any():
            over = (energy + energy_j > limits.max_energy_per_cell_j) & (counts > 0)
            what = f"{limits.max_energy_per_cell_j:g} J"
        if over.any():
            first = int(np.flatnonzero(over)[0])
            row, column = region.row + first // region.columns, region.column + first % region.columns
            raise Refused(
                ErrorCode.BUDGET,
                f"{int(over.sum())} cells would exceed their budget of {what}, the first is ({row}, {column})",
                first,
            )

    def charge(self, region: Region, counts: NDArray[np.integer], energy_j: NDArray[np.float64]) -> None:
        """Adds pulses and energy."""
        pulses, energy = self.usage(region)
        pulses += counts.astype(np.uint32)
        energy += energy_j
