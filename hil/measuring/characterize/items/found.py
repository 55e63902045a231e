"""The cells as they were found, before anything is written or placed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, ClassVar

import numpy as np
from pydantic import Field
from scipy import stats

from firmware_specs.codes import Capability
from firmware_specs.datasheet import Datasheet
from hil.measuring.characterize.figure import Figure
from hil.measuring.characterize.items.item import ARITHMETIC, READS, Array, Settings
from hil.measuring.characterize.probe import Probe
from hil.measuring.characterize.steps import Record, Step
from hil.measuring.estimate import Estimate, of_mean

if TYPE_CHECKING:
    import xarray as xr

ALIKE = 0.99
"""Confidence at which readings scatter by more than their cells do by themselves."""


class Found(Settings):
    """Reads the cells as they are, whatever block is on the array; nothing is written.

    Attributes:
        reads: Readings of every cell.
    """

    NAME: ClassVar[str] = "found"
    NEEDS: ClassVar[tuple[Capability, ...]] = (Capability.MEASURE,)
    DIMS: ClassVar[Mapping[str, tuple[str, ...]]] = {"level": READS}
    UNITS: ClassVar[Mapping[str, str]] = {"level": "1", "temperature": "K"}

    reads: Annotated[int, Field(ge=2)] = 4

    def steps(self, probe: Probe) -> Sequence[Step]:
        """One look at every coupling of the block; those behind the first are `level_1`, `level_2`, ..."""

        def look(p: Probe) -> Record:
            couplings = range(len(p.topology.couplings))
            return {("level" if n == 0 else f"level_{n}"): p.read_all(n, self.reads) for n in couplings}

        return [Step(look, (), {"temperature": probe.temperature_k()})]

    def conclude(self, data: xr.Dataset, sheet: Datasheet | None) -> list[Figure]:
        """Mean level, one figure a coupling; its uncertainty is that of the reading, not the cells' own spread."""
        found = []
        for name in (str(n) for n in data.data_vars if str(n).startswith("level")):
            level = mean_level(data[name].to_numpy()[0]).widened(arithmetic=ARITHMETIC)
            found.append(Figure(f"{self.NAME}.{name}", level))
        return found


def mean_level(readings: Array) -> Estimate:
    """Mean over cells and readings, and the uncertainty that noise of the readings leaves in it.

    Cells are many and readings few: each cell's own scatter, added up over the cells, says the noise better than the
    scatter of a few means, of which four are alike by chance often enough to matter. Where means scatter by more than
    that (1 % of an F test) something moves all cells alike, and their own scatter is what counts.

    Args:
        readings: Of every cell, (reads, ...).
    """
    reads = len(readings)
    flat = readings.reshape(reads, -1)
    variance = flat.var(axis=0, ddof=1)
    total = float(variance.sum())
    if total == 0:
        return Estimate(float(flat.mean()), 0.0)
    own = total / flat.shape[1] ** 2  # of the mean of one reading of all cells
    freedom = (reads + 1) * total**2 / float((variance**2).sum())  # of a sum of variances, each of few readings
    each = flat.mean(axis=1)
    if each.var(ddof=1) > own * stats.f.ppf(ALIKE, reads - 1, freedom):
        return of_mean(each)
    return Estimate(float(flat.mean()), float(np.sqrt(own / reads)), freedom=freedom)
