"""Conductance against temperature."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, ClassVar

import numpy as np
from pydantic import Field

from firmware_specs.codes import Capability
from firmware_specs.datasheet import Datasheet
from hil.measuring import robust
from hil.measuring.characterize import health
from hil.measuring.characterize.figure import Figure
from hil.measuring.characterize.items.item import ARITHMETIC, READS, Array, Settings, conductances, ladder
from hil.measuring.characterize.probe import Probe
from hil.measuring.characterize.steps import Record, Step, Temperature, Write
from hil.measuring.estimate import Estimate

if TYPE_CHECKING:
    import xarray as xr

REFERENCE_K = 300.0


class TemperatureSweep(Settings):
    """Reads cells of all levels at several temperatures.

    Attributes:
        kelvin: Temperatures; the last one is where the device is left.
        reads: Readings at each.
    """

    NAME: ClassVar[str] = "temperature"
    NEEDS: ClassVar[tuple[Capability, ...]] = (Capability.WRITE, Capability.MEASURE, Capability.SET_TEMPERATURE)
    DIMS: ClassVar[Mapping[str, tuple[str, ...]]] = {"level": READS, "chip_kelvin": ()}
    UNITS: ClassVar[Mapping[str, str]] = {"level": "1", "kelvin": "K", "chip_kelvin": "K"}

    kelvin: Annotated[tuple[float, ...], Field(min_length=3)] = (290.0, 310.0, 330.0, 300.0)
    reads: Annotated[int, Field(ge=2)] = 8

    def steps(self, probe: Probe) -> Sequence[Step]:
        """One write, one look a temperature."""

        def look(p: Probe) -> Record:
            return {"level": p.read(self.reads), "chip_kelvin": np.float64(p.temperature_k())}  # type: ignore[dict-item]

        rows = []
        for number, kelvin in enumerate(self.kelvin):
            deeds = (*((Write(ladder(probe, 0.3)),) if number == 0 else ()), Temperature(kelvin))
            rows.append(Step(look, deeds, {"kelvin": kelvin}))
        return rows

    def conclude(self, data: xr.Dataset, sheet: Datasheet | None) -> list[Figure]:
        """Temperature coefficient of the conductance, relative to its value at 300 K."""
        stated = None
        if sheet is not None:
            alpha = sheet.cells.temperature_coefficient_per_k
            stated = alpha / (1 + alpha * (REFERENCE_K - sheet.cells.reference_k))
        return [Figure(f"{self.NAME}.coefficient", coefficient(data), stated, health.left_out(data))]


def coefficient(data: xr.Dataset) -> Estimate:
    """`alpha` of `G = G_300 (1 + alpha (T - 300 K))` over the cells that work, 1/K.

    A ratio of sums over cells. What the means are off a straight line is drift between the temperatures, a bend, or the
    thermometer: it belongs to all cells alike and does not average out over them.
    """
    set_k = data["kelvin"].to_numpy()
    chip_k = data["chip_kelvin"].to_numpy() if "chip_kelvin" in data else set_k
    kelvin = np.where(np.isfinite(chip_k), chip_k, set_k)
    cells = conductances(data)[:, health.good(data)]
    design = np.stack([np.ones_like(kelvin), kelvin - REFERENCE_K], axis=1)
    solve = np.linalg.pinv(design)
    at_300, slope = solve @ cells
    usual = robust.typical(slope / np.where(at_300 > 0, at_300, np.nan))
    at_300, slope = at_300[usual], slope[usual]
    alpha = float(slope.sum() / at_300.sum())
    count = int(usual.sum())
    scatter = float((slope - alpha * at_300).std(ddof=1) * np.sqrt(count) / at_300.sum())
    common = _common(solve, design, cells[:, usual], float(at_300.sum()), scatter)
    thermometer = float(np.sqrt(np.mean((kelvin - set_k) ** 2)) / np.ptp(kelvin)) * abs(alpha)
    return Estimate(alpha, scatter, "1/K", freedom=float(count - 1)).widened(
        drift_and_bend=common, thermometer=thermometer, arithmetic=ARITHMETIC / float(np.ptp(kelvin))
    )


def _common(solve: Array, design: Array, cells: Array, total: float, scatter: float) -> float:
    """What the means of all cells leave of the line, as an uncertainty of the slope, beyond the readings' noise."""
    mean = cells.sum(axis=1) / total
    left = mean - design @ (solve @ mean)
    freedom = len(left) - 2
    size = float(np.sqrt(left @ left / max(freedom, 1)) * np.linalg.norm(solve[1]))
    return float(np.sqrt(max(size**2 - scatter**2, 0.0)))
