"""The cells as they were found, before anything is written or placed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, ClassVar

import xarray as xr
from pydantic import Field

from firmware_specs.codes import Capability
from firmware_specs.datasheet import Datasheet
from hil.measuring import robust
from hil.measuring.characterize.figure import Figure
from hil.measuring.characterize.items.item import ARITHMETIC, READS, Settings
from hil.measuring.characterize.probe import Probe
from hil.measuring.characterize.steps import Record, Step


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
            readings = data[name].to_numpy()[0]
            each = readings.reshape(len(readings), -1).mean(axis=1)
            found.append(Figure(f"{self.NAME}.{name}", robust.mean(each).widened(arithmetic=ARITHMETIC)))
        return found
