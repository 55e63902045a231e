"""Endurance within a budget, and temperature."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, ClassVar

import numpy as np
import xarray as xr
from pydantic import Field

from firmware_specs.codes import Capability
from firmware_specs.datasheet import Datasheet
from hil.measuring.characterize.figure import Figure
from hil.measuring.characterize.items.item import READS, Settings, alive, ladder
from hil.measuring.characterize.probe import Probe
from hil.measuring.characterize.steps import Step, Temperature, Write
from hil.measuring.estimate import Estimate, line


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
        good = alive(means[:2])
        kept = window[-1][good] / window[0][good]
        lost = float((kept < 0.5).mean())
        typical = Estimate(float(np.median(kept)), float(kept.std() / np.sqrt(kept.size)))
        return [
            Figure(f"{self.NAME}.window", typical, 1.0),
            Figure(f"{self.NAME}.lost", Estimate(lost, float(np.sqrt((lost + 1 / kept.size) / kept.size)))),
        ]


class TemperatureSweep(Settings):
    """Reads cells of all levels at several temperatures.

    Attributes:
        kelvin: Temperatures; the last one is where the device is left.
        reads: Readings at each.
    """

    NAME: ClassVar[str] = "temperature"
    NEEDS: ClassVar[tuple[Capability, ...]] = (Capability.WRITE, Capability.MEASURE, Capability.SET_TEMPERATURE)
    DIMS: ClassVar[Mapping[str, tuple[str, ...]]] = {"level": READS}
    UNITS: ClassVar[Mapping[str, str]] = {"level": "1", "kelvin": "K"}

    kelvin: Annotated[tuple[float, ...], Field(min_length=3)] = (290.0, 310.0, 330.0, 300.0)
    reads: Annotated[int, Field(ge=2)] = 8

    def steps(self, probe: Probe) -> Sequence[Step]:
        """One write, one look a temperature."""
        rows = []
        for number, kelvin in enumerate(self.kelvin):
            deeds = (*((Write(ladder(probe, 0.3)),) if number == 0 else ()), Temperature(kelvin))
            rows.append(Step(lambda p: {"level": p.read(self.reads)}, deeds, {"kelvin": kelvin}))
        return rows

    def conclude(self, data: xr.Dataset, sheet: Datasheet | None) -> list[Figure]:
        """Temperature coefficient of the conductance, relative to its value at 300 K."""
        low, high = float(data.attrs["g_min_s"]), float(data.attrs["g_max_s"])
        mean = data["level"].to_numpy().mean(axis=(1, 2, 3, 4)) + low / (high - low)
        fit = line(data["kelvin"].to_numpy() - 300.0, mean)
        at_300 = fit["offset"].value
        alpha = Estimate(fit["gain"].value / at_300, fit["gain"].sigma / at_300, "1/K")
        stated = None if sheet is None else sheet.cells.temperature_coefficient_per_k
        return [Figure(f"{self.NAME}.coefficient", alpha, stated)]
