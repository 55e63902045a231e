"""The first look: which cells follow what is written, and which lines are dead."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import Field

from firmware_specs.codes import Capability
from firmware_specs.datasheet import Datasheet
from hil.measuring import robust
from hil.measuring.characterize import health
from hil.measuring.characterize.figure import Figure
from hil.measuring.characterize.health import Codes
from hil.measuring.characterize.items.item import READS, Settings
from hil.measuring.characterize.probe import Probe
from hil.measuring.characterize.steps import Step, Write
from hil.measuring.estimate import Estimate

if TYPE_CHECKING:
    import xarray as xr


class Health(Settings):
    """Writes a low and a high level and looks whether cells follow; what later items leave out is decided here.

    Attributes:
        levels: Low and high.
        reads: Readings of every cell after each write.
    """

    NAME: ClassVar[str] = "health"
    NEEDS: ClassVar[tuple[Capability, ...]] = (Capability.WRITE, Capability.MEASURE)
    DIMS: ClassVar[Mapping[str, tuple[str, ...]]] = {"level": READS}
    UNITS: ClassVar[Mapping[str, str]] = {"level": "1", "target": "1"}

    levels: tuple[Annotated[float, Field(ge=0, le=0.4)], Annotated[float, Field(ge=0.6, le=1)]] = (0.15, 0.85)
    reads: Annotated[int, Field(ge=2)] = 4

    def steps(self, probe: Probe) -> Sequence[Step]:
        """Two writes."""
        return [
            Step(lambda p: {"level": p.read(self.reads)}, (Write(level),), {"target": level}) for level in self.levels
        ]

    def conclude(self, data: xr.Dataset, sheet: Datasheet | None) -> list[Figure]:
        """Share of the cells that work."""
        found = codes(data)
        working = robust.share(int((found == health.GOOD).sum()), found.size)
        return [Figure(f"{self.NAME}.good", Estimate(working.value, working.sigma), note=health.left_out(data))]


def codes(data: xr.Dataset) -> Codes:
    """What the measurement says of every cell, (planes, rows, columns)."""
    low, high = data["level"].to_numpy().mean(axis=1)
    return health.classify(low, high)
