"""Budgets of cells. The chip counts pulses and energy; what cells had before a new topology is carried."""

from __future__ import annotations

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from emulator.chip import Chip
from emulator.crossbar import EVERYWHERE, Where
from emulator.refused import Refused
from firmware_specs.codes import ErrorCode
from firmware_specs.messages import LimitsRecord, Region
from firmware_specs.topology import Topology

Pulses = NDArray[np.int64]
Joules = NDArray[np.float64]
S = TypeVar("S", bound=np.generic)


def where(region: Region) -> tuple[int, slice, slice]:
    """Plane, rows and columns of a region, as the chip takes them."""
    return (region.plane, *region.slices)


class Ledger:
    """Pulses and energy every cell of a chip ever had.

    Args:
        chip: Counts what happens under the present topologies.
    """

    def __init__(self, chip: Chip) -> None:
        self._chip = chip
        self._carried: dict[tuple[int, int], tuple[Pulses, Joules]] = {}
        self._life: dict[tuple[int, int], tuple[Pulses, Joules]] = {}

    def place(self, array: int, topology: Topology) -> None:
        """Configures an array, unless it holds this topology; counts stay with the cells at the same place."""
        present = self._chip.arrays.get(array)
        if present is not None and present.topology == topology:
            return
        for number in range(len(present.topology.couplings) if present else 0):
            pulses, energy_j = self._totals(array, number)
            old = self._life.get((array, number), (pulses, energy_j))
            self._life[array, number] = (_over(pulses, old[0]), _over(energy_j, old[1]))
        self._chip.configure(array, topology)
        for number in range(len(topology.couplings)):
            if (life := self._life.get((array, number))) is not None:
                shape = self._chip.usage(array, number)[0].shape
                self._carried[array, number] = (_fit(life[0], shape), _fit(life[1], shape))

    def usage(self, region: Region) -> tuple[Pulses, Joules]:
        """Pulses and joules of a region's cells, (rows, columns)."""
        return self._totals(region.array, region.coupling, where(region))

    @property
    def most_pulses(self) -> int:
        """Pulses of the cell that had most of them, whatever is placed where it lies now."""
        now = [
            self._totals(array, number)
            for array, placed in self._chip.arrays.items()
            for number in range(len(placed.topology.couplings))
        ]
        return max((int(pulses.max()) for pulses, _ in (*now, *self._life.values()) if pulses.size), default=0)

    def check(
        self,
        region: Region,
        counts: Pulses,
        joules_each: float,
        limits: LimitsRecord,
        joules_besides: Joules | None = None,
    ) -> None:
        """Refuses what could take any cell beyond its budget.

        Args:
            region: Which cells.
            counts: Most pulses they may get, (rows, columns).
            joules_each: Most energy of one pulse.
            limits: The active ones.
            joules_besides: Most energy of each cell that is none of its pulses', (rows, columns).
        """
        pulses, energy_j = self.usage(region)
        over = (pulses + counts > limits.max_pulses_per_cell) & (counts > 0)
        what = f"{limits.max_pulses_per_cell:g} pulses"
        if not over.any():
            heat = counts * joules_each + (0.0 if joules_besides is None else joules_besides)
            over = (energy_j + heat > limits.max_energy_per_cell_j) & ((counts > 0) | (heat > 0))
            what = f"{limits.max_energy_per_cell_j:g} J"
        if over.any():
            first = int(np.flatnonzero(over)[0])
            row, column = region.row + first // region.columns, region.column + first % region.columns
            words = f"{int(over.sum())} cells could exceed their budget of {what}, the first is ({row}, {column})"
            raise Refused(ErrorCode.BUDGET, words, first)

    def _totals(self, array: int, coupling: int, cells: Where = EVERYWHERE) -> tuple[Pulses, Joules]:
        pulses, energy_j = (values.cpu().numpy() for values in self._chip.usage(array, coupling, cells))
        carried = self._carried.get((array, coupling))
        if carried is None:
            return pulses.astype(np.int64), energy_j.astype(np.float64)
        return pulses + carried[0][cells], energy_j + carried[1][cells]


def _over(values: NDArray[S], old: NDArray[S]) -> NDArray[S]:
    """Values laid over old ones, which stay where they reach further: cells that no coupling uses now."""
    whole = _fit(old, tuple(max(a, b) for a, b in zip(values.shape, old.shape, strict=True)))
    whole[tuple(slice(0, n) for n in values.shape)] = values
    return whole


def _fit(values: NDArray[S], shape: tuple[int, ...]) -> NDArray[S]:
    """Values cut or filled with zeros to a shape."""
    fitted = np.zeros(shape, values.dtype)
    common = tuple(slice(0, min(a, b)) for a, b in zip(values.shape, shape, strict=True))
    fitted[common] = values[common]
    return fitted
