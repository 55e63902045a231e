"""Drift and retention: conductance against the time since writing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, ClassVar

import numpy as np
import xarray as xr
from pydantic import Field

from firmware_specs.codes import Capability
from firmware_specs.datasheet import Datasheet
from hil.characterize.figure import Figure
from hil.characterize.items.item import READS, Array, Settings, ladder
from hil.characterize.probe import Probe
from hil.characterize.steps import Step, Wait, Write
from hil.estimate import Estimate, of_mean


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
            deeds = (*((Write(ladder(probe, 0.2)),) if number == 0 else ()), Wait(age - past))
            rows.append(Step(lambda p: {"level": p.read(self.reads)}, deeds, {"age": age}))
            past = age
        return rows

    def conclude(self, data: xr.Dataset, sheet: Datasheet | None) -> list[Figure]:
        """Exponent of the power law, its spread between cells, and what is lost between first and last age."""
        law = None if sheet is None else sheet.drift
        t0_s = law.t0_s if law is not None and law.t0_s is not None else self.t0_s
        mean, spread = exponents(data, t0_s)
        power = law is not None and law.law == "power"
        constant = [law.nu_mean, law.nu_sigma] if law is not None and power else [None, None]
        stated = [v if isinstance(v, float) else None for v in constant]
        level = data["level"].to_numpy().mean(axis=(1, 2, 3, 4))
        return [
            Figure(f"{self.NAME}.nu", mean, stated[0]),
            Figure(f"{self.NAME}.nu_spread", spread, stated[1]),
            Figure(f"{self.NAME}.kept", Estimate(float(level[-1] / level[0]), 0.0)),
        ]


def exponents(data: xr.Dataset, t0_s: float) -> tuple[Estimate, Estimate]:
    """Mean of the exponents `nu` over cells, and their spread with the error of each fit taken out."""
    age, conductance = data["age"].to_numpy(), conductances(data)
    x = -np.log((age + t0_s) / t0_s)
    y = np.log(np.clip(conductance.reshape(len(age), -1), 1e-6, None))
    centred = x - x.mean()
    nu = centred @ (y - y.mean(axis=0)) / (centred @ centred)
    residual = y - y.mean(axis=0) - np.outer(centred, nu)
    error2 = (residual**2).sum(axis=0) / (len(age) - 2) / (centred @ centred)
    inside = np.abs(nu - np.median(nu)) < 8 * (np.std(nu) + 1e-12)
    spread2 = float(nu[inside].var(ddof=1) - error2[inside].mean())
    spread = np.sqrt(max(spread2, 0.0))
    sigma = float(nu[inside].var(ddof=1) * np.sqrt(2 / inside.sum()) / (2 * max(spread, 1e-9)))
    return of_mean(nu[inside]), Estimate(float(spread), min(sigma, float(nu[inside].std())))


def conductances(data: xr.Dataset) -> Array:
    """Mean conductance of every cell at every step, in spans of the range, (steps, planes, rows, columns)."""
    low, high = float(data.attrs["g_min_s"]), float(data.attrs["g_max_s"])
    return np.asarray(data["level"].to_numpy().mean(axis=1) + low / (high - low))
