"""Endurance within a budget."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import Field

from firmware_specs.codes import Capability
from firmware_specs.datasheet import Datasheet
from hil.measuring import robust
from hil.measuring.characterize import health
from hil.measuring.characterize.figure import Figure
from hil.measuring.characterize.items.item import READS, Settings
from hil.measuring.characterize.probe import Probe
from hil.measuring.characterize.steps import Step, Write

if TYPE_CHECKING:
    import xarray as xr


class Endurance(Settings):
    """Writes low and high in turn, and watches the window between them.

    Attributes:
        cycles: Writes of either level; wear is permanent, and the plan's budget counts them.
        reads: Readings after each write.
    """

    NAME: ClassVar[str] = "endurance"
    NEEDS: ClassVar[tuple[Capability, ...]] = (Capability.WRITE, Capability.MEASURE)
    DIMS: ClassVar[Mapping[str, tuple[str, ...]]] = {"level": READS}
    UNITS: ClassVar[Mapping[str, str]] = {"level": "1", "target": "1"}

    cycles: Annotated[int, Field(ge=2)] = 10
    reads: Annotated[int, Field(ge=2)] = 2

    def steps(self, probe: Probe) -> Sequence[Step]:
        """Two writes a cycle."""
        levels = [0.1, 0.9] * self.cycles
        return [Step(lambda p: {"level": p.read(self.reads)}, (Write(t),), {"target": t}) for t in levels]

    def conclude(self, data: xr.Dataset, sheet: Datasheet | None) -> list[Figure]:
        """Window at the end over window at the beginning, and the share of cells that stopped following."""
        means = data["level"].to_numpy().mean(axis=1)
        window = means[1::2] - means[0::2]
        good = health.good(data) & (health.classify(means[0], means[1]) == health.GOOD)
        kept, out = window[-1][good] / window[0][good], health.left_out(data)
        # a window that cannot be read is lost, too
        lost = robust.share(int((~(kept >= 0.5)).sum()), max(kept.size, 1))
        return [
            Figure(f"{self.NAME}.window", robust.median(kept), 1.0, out),
            Figure(f"{self.NAME}.lost", lost, None, out),
        ]
