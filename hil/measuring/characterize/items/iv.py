"""Current against voltage: conductance and its nonlinearity; and the conductances as they were found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, ClassVar

import numpy as np
import xarray as xr
from pydantic import Field

from firmware_specs.codes import Capability
from firmware_specs.datasheet import Datasheet
from hil.measuring.characterize.figure import Figure
from hil.measuring.characterize.items.item import CELLS, Array, Settings, ladder
from hil.measuring.characterize.probe import Probe
from hil.measuring.characterize.steps import Step, Write
from hil.measuring.estimate import Estimate, of_mean


class Found(Settings):
    """Reads the cells as they are, before anything is written.

    Attributes:
        reads: Readings of every cell.
    """

    NAME: ClassVar[str] = "found"
    NEEDS: ClassVar[tuple[Capability, ...]] = (Capability.MEASURE,)
    DIMS: ClassVar[Mapping[str, tuple[str, ...]]] = {"level": ("read", *CELLS)}
    UNITS: ClassVar[Mapping[str, str]] = {"level": "1", "temperature": "K"}

    reads: Annotated[int, Field(ge=2)] = 4

    def steps(self, probe: Probe) -> Sequence[Step]:
        """One look."""
        return [Step(lambda p: {"level": p.read(self.reads)}, (), {"temperature": probe.temperature_k()})]

    def conclude(self, data: xr.Dataset, sheet: Datasheet | None) -> list[Figure]:
        """Mean level."""
        return [Figure(f"{self.NAME}.level", of_mean(data["level"].to_numpy().mean(axis=(0, 1))))]


class CurrentVoltage(Settings):
    """Sweeps the read voltage over cells of all levels.

    Attributes:
        points: Voltages from minus to plus the largest that all limits allow.
        reads: Readings at each voltage.
    """

    NAME: ClassVar[str] = "iv"
    NEEDS: ClassVar[tuple[Capability, ...]] = (Capability.WRITE, Capability.MEASURE)
    DIMS: ClassVar[Mapping[str, tuple[str, ...]]] = {"current": ("point", "read", *CELLS), "voltage": ("point",)}
    UNITS: ClassVar[Mapping[str, str]] = {"current": "A", "voltage": "V"}

    points: Annotated[int, Field(ge=5)] = 9
    reads: Annotated[int, Field(ge=1)] = 4

    def steps(self, probe: Probe) -> Sequence[Step]:
        """One write, one sweep."""
        volts = np.linspace(-probe.read_v, probe.read_v, self.points)
        return [
            Step(lambda p: {"current": p.current(list(volts), self.reads), "voltage": volts}, (Write(ladder(probe)),))
        ]

    def conclude(self, data: xr.Dataset, sheet: Datasheet | None) -> list[Figure]:
        """Coefficients of `I = G (V + a V |V| + b V^3)`."""
        volts = data["voltage"].to_numpy()[0]
        current = data["current"].to_numpy()[0].mean(axis=1).reshape(len(volts), -1)
        a, b = nonlinearity(volts, current)
        cells = None if sheet is None else sheet.cells
        return [
            Figure(f"{self.NAME}.quadratic", a, None if cells is None else cells.quadratic_per_v, 1e-4),
            Figure(f"{self.NAME}.cubic", b, None if cells is None else cells.cubic_per_v2, 1e-3),
        ]


def nonlinearity(volts: Array, current: Array) -> tuple[Estimate, Estimate]:
    """`a` and `b` of `I = G (V + a V |V| + b V^3)` over cells, (points,) and (points, cells)."""
    design = np.stack([volts, volts * np.abs(volts), volts**3], axis=1)
    coefficients = np.linalg.lstsq(design, current, rcond=None)[0]
    conducting = coefficients[0] > 0.05 * np.median(coefficients[0])
    ratios = coefficients[1:, conducting] / coefficients[0, conducting]
    return of_mean(ratios[0], "1/V"), of_mean(ratios[1], "1/V^2")
