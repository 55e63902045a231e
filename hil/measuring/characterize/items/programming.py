"""Programming statistics: what is achieved against what was asked, over the range, and cells that do not follow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, ClassVar

import numpy as np
import xarray as xr
from pydantic import Field

from firmware_specs.codes import Capability
from firmware_specs.datasheet import Datasheet
from hil.measuring.characterize.figure import Figure
from hil.measuring.characterize.items.item import READS, Array, Settings, alive
from hil.measuring.characterize.probe import Probe
from hil.measuring.characterize.steps import Step, Write
from hil.measuring.estimate import Estimate, of_mean


class Programming(Settings):
    """Writes all cells with one level after another.

    Attributes:
        levels: Shares of the conductance range.
        reads: Readings of every cell after each write.
    """

    NAME: ClassVar[str] = "programming"
    NEEDS: ClassVar[tuple[Capability, ...]] = (Capability.WRITE, Capability.MEASURE)
    DIMS: ClassVar[Mapping[str, tuple[str, ...]]] = {"level": READS}
    UNITS: ClassVar[Mapping[str, str]] = {"level": "1", "target": "1"}

    levels: Annotated[tuple[float, ...], Field(min_length=3)] = (0.1, 0.9, 0.2, 0.8, 0.3, 0.7, 0.4, 0.6, 0.5)
    reads: Annotated[int, Field(ge=2)] = 8

    def steps(self, probe: Probe) -> Sequence[Step]:
        """One write a level."""
        return [
            Step(lambda p: {"level": p.read(self.reads)}, (Write(level),), {"target": level}) for level in self.levels
        ]

    def conclude(self, data: xr.Dataset, sheet: Datasheet | None) -> list[Figure]:
        """Programming noise, mean error, share of stuck cells."""
        readings, target = data["level"].to_numpy(), data["target"].to_numpy()
        means = readings.mean(axis=1)
        good = alive(means)
        sigma, _ = sigma_by_level(data)
        pooled = _pooled(sigma, int(good.sum()))
        stated = sheet.cells.programming_noise or None if sheet and not sheet.programming.sigma_coefficients_s else None
        error = of_mean((means - target[:, None, None, None])[:, good])
        stuck = _stuck(means, good)
        faults = None if sheet is None else sheet.faults
        return [
            Figure(f"{self.NAME}.sigma", pooled, stated),
            Figure(f"{self.NAME}.error", error, 0.0, 1e-4),
            Figure(f"{self.NAME}.stuck_on", stuck[0], None if faults is None else faults.stuck_on),
            Figure(f"{self.NAME}.stuck_off", stuck[1], None if faults is None else faults.stuck_off),
        ]


def sigma_by_level(data: xr.Dataset) -> tuple[list[Estimate], Array]:
    """Programming noise at every target, read noise taken out, and the targets; shares of the range."""
    readings, target = data["level"].to_numpy(), data["target"].to_numpy()
    good = alive(readings.mean(axis=1))
    found = []
    for row in readings:
        cells = row[:, good]
        seen, noise = float(cells.mean(axis=0).var(ddof=1)), float(cells.var(axis=0, ddof=1).mean()) / len(cells)
        sigma = float(np.sqrt(max(seen - noise, 0.0)))
        # the variance of a variance: 2 s^4 / nu; divided by 2 sigma for the root of it
        found.append(
            Estimate(sigma, seen * np.sqrt(2 / (cells.shape[1] - 1)) / (2 * max(sigma, np.sqrt(seen) / 10, 1e-30)))
        )
    return found, target


def _pooled(sigmas: list[Estimate], cells: int) -> Estimate:
    value = float(np.sqrt(np.mean([s.value**2 for s in sigmas])))
    spread = float(np.sqrt(np.mean([s.sigma**2 for s in sigmas]) / len(sigmas)))
    return Estimate(value, max(spread, value / np.sqrt(2 * cells * len(sigmas))))


def _stuck(means: Array, good: np.ndarray) -> tuple[Estimate, Estimate]:
    """Shares of cells stuck high and low."""
    level = means.mean(axis=0)
    count = good.size
    shares = [float(((level > 0.5) & ~good).sum() / count), float(((level <= 0.5) & ~good).sum() / count)]
    # binomial, with one more of either outcome: none seen is not none there
    errors = [float(np.sqrt((s * count + 1) * (count - s * count + 1) / (count + 2) ** 3)) for s in shares]
    return Estimate(shares[0], errors[0]), Estimate(shares[1], errors[1])
