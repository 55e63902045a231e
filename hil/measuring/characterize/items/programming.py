"""Programming statistics: what is achieved against what was asked, over the range, and cells that do not follow."""

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
from hil.measuring.characterize.health import Codes, Mask
from hil.measuring.characterize.items.item import ARITHMETIC, READS, Array, Settings
from hil.measuring.characterize.probe import Probe
from hil.measuring.characterize.steps import Step, Write
from hil.measuring.estimate import Estimate

if TYPE_CHECKING:
    import xarray as xr


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
            Step(lambda p: {"level": p.read(self.reads)}, (Write(level),), {"target": probe.on_grid(level)})
            for level in self.levels
        ]

    def conclude(self, data: xr.Dataset, sheet: Datasheet | None) -> list[Figure]:
        """Programming noise, mean error, share of stuck cells and dead lines."""
        means, target = data["level"].to_numpy().mean(axis=1), data["target"].to_numpy()
        codes, good = codes_of(data), follows(data)
        sigma, _ = sigma_by_level(data)
        stated = sheet.cells.programming_noise if sheet and not sheet.programming.sigma_coefficients_s else None
        if sheet is not None and sheet.programming.verify_rounds:
            stated = None  # of cells that were written until they were near enough
        error = robust.mean((means - target[:, None, None, None])[:, good].mean(axis=0)).widened(arithmetic=ARITHMETIC)
        out = health.left_out(data)
        faults = None if sheet is None else sheet.faults
        count = int((codes != health.DEAD_LINE).sum())
        planes, rows, columns = codes.shape
        high, low = (
            robust.share(int((codes == n).sum()), max(count, 1)) for n in (health.STUCK_HIGH, health.STUCK_LOW)
        )
        dead = codes == health.DEAD_LINE
        of_rows, of_columns = len(health.dead_lines(dead, 2)), len(health.dead_lines(dead, 1))
        return [
            Figure(f"{self.NAME}.sigma", _pooled(sigma, int(good.sum())), stated, out),
            Figure(f"{self.NAME}.error", error, 0.0, out),
            Figure(f"{self.NAME}.stuck_on", high, None if faults is None else faults.stuck_on),
            Figure(f"{self.NAME}.stuck_off", low, None if faults is None else faults.stuck_off),
            Figure(
                f"{self.NAME}.dead_rows",
                robust.share(of_rows, planes * rows),
                None if faults is None else faults.open_rows,
            ),
            Figure(
                f"{self.NAME}.dead_columns",
                robust.share(of_columns, planes * columns),
                None if faults is None else faults.open_columns,
            ),
        ]


def codes_of(data: xr.Dataset) -> Codes:
    """Health of the cells: what the first look found, and what the outermost levels of this measurement say."""
    means, target = data["level"].to_numpy().mean(axis=1), data["target"].to_numpy()
    own = health.classify(means[int(np.argmin(target))], means[int(np.argmax(target))])
    return np.asarray(np.where(health.good(data), own, health.of(data)), np.int8) if health.looked(data) else own


def follows(data: xr.Dataset) -> Mask:
    """Cells that follow what is written, (planes, rows, columns)."""
    return np.asarray(codes_of(data) == health.GOOD)


def sigma_by_level(data: xr.Dataset) -> tuple[list[Estimate], Array]:
    """Programming noise at every target, read noise taken out, and the targets; shares of the range."""
    readings, target, good = data["level"].to_numpy(), data["target"].to_numpy(), follows(data)
    found = []
    for row in readings:
        cells = row[:, good]
        noise = cells.var(axis=0, ddof=1) / len(cells)
        found.append(robust.spread(cells.mean(axis=0), noise).widened(arithmetic=ARITHMETIC))
    return found, target


def _pooled(sigmas: list[Estimate], cells: int) -> Estimate:
    """Root mean square over levels; each level is written anew, so that their errors are independent."""
    variance = np.array([s.value**2 for s in sigmas])
    error = np.array([2 * max(s.value, s.statistical) * s.statistical for s in sigmas])
    return robust.root(
        float(variance.mean()), float(np.sqrt((error**2).sum())) / len(sigmas), freedom=float(cells)
    ).widened(arithmetic=ARITHMETIC)
