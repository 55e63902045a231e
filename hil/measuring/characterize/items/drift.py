"""Drift and retention: conductance against the time since writing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, ClassVar

import numpy as np
from pydantic import Field

from firmware_specs.codes import Capability
from firmware_specs.datasheet import Datasheet
from firmware_specs.datasheet.drift import ClippedLog
from firmware_specs.datasheet.drift import Drift as Law
from hil.measuring import robust
from hil.measuring.characterize import health
from hil.measuring.characterize.figure import Figure
from hil.measuring.characterize.items.decay import time_constants
from hil.measuring.characterize.items.item import ARITHMETIC, READS, Array, Settings, conductances, ladder, ladder_of
from hil.measuring.characterize.probe import Probe
from hil.measuring.characterize.steps import Step, Wait, Write
from hil.measuring.estimate import Estimate

if TYPE_CHECKING:
    import xarray as xr

LOWEST = 0.2
"""Level of the lowest cells."""


class Drift(Settings):
    """Writes once and reads at growing ages.

    Attributes:
        ages_s: Seconds since the write, rising.
        reads: Readings of every cell at each age.
        t0_s: Time origin of the power law, where no datasheet names one.
    """

    NAME: ClassVar[str] = "drift"
    NEEDS: ClassVar[tuple[Capability, ...]] = (Capability.WRITE, Capability.MEASURE, Capability.VIRTUAL_CLOCK)
    DIMS: ClassVar[Mapping[str, tuple[str, ...]]] = {"level": READS}
    UNITS: ClassVar[Mapping[str, str]] = {"level": "1", "age": "s"}

    ages_s: Annotated[tuple[float, ...], Field(min_length=3)] = (1.0, 10.0, 100.0, 1e3, 1e4, 1e5, 1e6)
    reads: Annotated[int, Field(ge=2)] = 8
    t0_s: Annotated[float, Field(gt=0)] = 20.0

    def steps(self, probe: Probe) -> Sequence[Step]:
        """A write and a row of waits."""
        rows, past = [], 0.0
        for number, age in enumerate(self.ages_s):
            deeds = (*((Write(ladder(probe, LOWEST)),) if number == 0 else ()), Wait(age - past))
            rows.append(Step(lambda p: {"level": p.read(self.reads)}, deeds, {"age": age}))
            past = age
        return rows

    def conclude(self, data: xr.Dataset, sheet: Datasheet | None) -> list[Figure]:
        """Figures of the law that fits better, power or exponential, and what is kept from first to last age."""
        law = None if sheet is None else sheet.drift
        out = health.left_out(data)
        first, last = (cells(data)[n] for n in (0, -1))
        share = last / np.where(first > 0, first, np.nan)
        # by what was written, not by what was read: the read value has the write error in it, and hides its scatter
        target = ladder_of(data["level"].shape[2:], LOWEST)[health.good(data)]
        kept = robust.designed_median(share, target).widened(arithmetic=ARITHMETIC)
        figures = [Figure(f"{self.NAME}.kept", kept, None, out)]
        if follows_exponential(data, self.origin_s(sheet)):
            tau, spread = time_constants(data)
            fits = law is not None and law.law == "exponential"
            figures.append(Figure(f"{self.NAME}.tau", tau, law.tau_s if law is not None and fits else None, out))
            d2d = law.tau_d2d if law is not None and fits else None
            return [*figures, Figure(f"{self.NAME}.tau_spread", spread, d2d, out)]
        nu, spread = exponents(data, self.origin_s(sheet))
        stated = stated_exponents(law, sheet, cells(data)[0]) if law is not None and sheet is not None else (None, None)
        figures.append(Figure(f"{self.NAME}.nu", nu, stated[0], out))
        figures.append(Figure(f"{self.NAME}.nu_spread", spread, stated[1], out))
        return figures

    def origin_s(self, sheet: Datasheet | None) -> float:
        """Time origin of the power law."""
        return sheet.drift.t0_s if sheet is not None and sheet.drift.t0_s is not None else self.t0_s


def cells(data: xr.Dataset) -> Array:
    """Mean conductance of every cell that works at every step, in spans of the range, (steps, cells)."""
    return conductances(data)[:, health.good(data)]


def follows_exponential(data: xr.Dataset, t0_s: float) -> bool:
    """Is the loss of the mean conductance better described by `exp(-t / tau)` than by a power of time?"""
    age = data["age"].to_numpy()
    mean = np.median(cells(data), axis=1)
    kept = mean / mean[0]
    shown = kept > 0.02
    if shown.sum() < 3 or not kept[shown].min() <= 0.98:
        return False
    y = np.log(kept[shown])
    residuals = []
    for x in (np.log((age + t0_s) / t0_s)[shown], age[shown]):
        x = x - x[0]
        residuals.append(float(((y - x * (x @ y) / (x @ x)) ** 2).sum()))
    return residuals[1] < residuals[0] or _at_rest(kept)


def _at_rest(kept: Array) -> bool:
    """Has a fall of more than a tenth come to its end? A power of time never does."""
    fall = kept[:-1] - kept[1:]
    return bool(1 - kept[-1] > 0.1 and fall[-1] < 0.5 * fall.max())


def exponents(data: xr.Dataset, t0_s: float) -> tuple[Estimate, Estimate]:
    """Mean of the exponents `nu` over cells, and their spread with the error of each fit taken out.

    The error is that of the readings: what scatters about a cell's own line grows with age, as 1/f noise does.
    """
    age, conductance = data["age"].to_numpy(), np.maximum(cells(data), 1e-6)
    readings = data["level"].to_numpy()[:, :, health.good(data)]
    relative2 = readings.var(axis=1, ddof=1) / readings.shape[1] / conductance**2
    x = -np.log((age + t0_s) / t0_s)
    centred = x - x.mean()
    weights = centred / (centred @ centred)
    nu = weights @ (np.log(conductance) + relative2 / 2)  # the mean of a logarithm is below that of the reading
    error2 = (weights**2) @ relative2
    mean = robust.mean(nu, floor=ARITHMETIC).widened(arithmetic=ARITHMETIC)
    return mean, robust.spread(nu, error2).widened(arithmetic=ARITHMETIC)


def stated_exponents(law: Law, sheet: Datasheet, conductance: Array) -> tuple[float | None, float | None]:
    """Mean and spread of `|nu_mean + nu_sigma xi|` over cells of these conductances, in spans of the range.

    None for a law without exponents; 0 and 0 for cells that do not drift.
    """
    if law.law == "none":
        return 0.0, 0.0
    if law.law != "power":
        return None, None
    xi, weight = np.polynomial.hermite_e.hermegauss(64)
    relative = np.maximum(conductance * sheet.cells.span_s / sheet.cells.g_max_s, 1e-6)
    mean, sigma = (_at(figure, relative) for figure in (law.nu_mean, law.nu_sigma))
    nu = np.abs(mean[:, None] + sigma[:, None] * xi)
    weight = weight / weight.sum() / len(relative)
    first = float((nu * weight).sum())
    return first, float(np.sqrt(max(float((nu**2 * weight).sum()) - first**2, 0.0)))


def _at(figure: float | ClippedLog, relative: Array) -> Array:
    if isinstance(figure, ClippedLog):
        return np.array([figure.at(float(g)) for g in relative])
    return np.full(relative.shape, figure)
