"""Drift and retention: conductance against the time since writing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, ClassVar

import numpy as np
import xarray as xr
from pydantic import Field

from firmware_specs.codes import Capability
from firmware_specs.datasheet import Datasheet
from hil.measuring.characterize.figure import Figure
from hil.measuring.characterize.items.item import READS, Array, Settings, ladder
from hil.measuring.characterize.probe import Probe
from hil.measuring.characterize.steps import Step, Wait, Write
from hil.measuring.estimate import Estimate, curve, of_mean


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
        """Figures of the law that fits better, power or exponential, and what is kept from first to last age."""
        law = None if sheet is None else sheet.drift
        kept = np.median(conductances(data)[-1] / conductances(data)[0])
        figures = [Figure(f"{self.NAME}.kept", Estimate(float(kept), 0.0))]
        if follows_exponential(data, self.origin_s(sheet)):
            tau, spread = time_constants(data)
            fits = law is not None and law.law == "exponential"
            figures.append(Figure(f"{self.NAME}.tau", tau, law.tau_s if law is not None and fits else None))
            figures.append(Figure(f"{self.NAME}.tau_spread", spread, law.tau_d2d if law is not None and fits else None))
            return figures
        nu, spread = exponents(data, self.origin_s(sheet))
        fits = law is not None and law.law == "power"
        stated = [v if isinstance(v, float) else None for v in ((law.nu_mean, law.nu_sigma) if law and fits else ())]
        figures.append(Figure(f"{self.NAME}.nu", nu, stated[0] if stated else None, 1e-5))
        figures.append(Figure(f"{self.NAME}.nu_spread", spread, stated[1] if stated else None, 1e-5))
        return figures

    def origin_s(self, sheet: Datasheet | None) -> float:
        """Time origin of the power law."""
        return sheet.drift.t0_s if sheet is not None and sheet.drift.t0_s is not None else self.t0_s


def follows_exponential(data: xr.Dataset, t0_s: float) -> bool:
    """Is the loss of the mean conductance better described by `exp(-t / tau)` than by a power of time?"""
    age = data["age"].to_numpy()
    mean = np.median(conductances(data).reshape(len(age), -1), axis=1)
    kept = mean / mean[0]
    shown = kept > 0.02
    if shown.sum() < 3 or kept[shown].min() > 0.98:
        return False
    y = np.log(kept[shown])
    residuals = []
    for x in (np.log((age + t0_s) / t0_s)[shown], age[shown]):
        x = x - x[0]
        residuals.append(float(((y - x * (x @ y) / (x @ x)) ** 2).sum()))
    return residuals[1] < residuals[0]


def time_constants(data: xr.Dataset) -> tuple[Estimate, Estimate]:
    """Median of `tau` over cells, seconds, and the spread of its logarithm between cells.

    The level that all end at is taken from the mean over cells, `rest + (G_0 - rest) exp(-t / tau)`.
    """
    age, conductance = data["age"].to_numpy(), conductances(data)
    flat = conductance.reshape(len(age), -1)
    mean = flat.mean(axis=1)
    guess = float(age[np.argmin(np.abs(mean - 0.4 * mean[0]))])
    start = {"first": float(mean[0]), "rest": 0.1 * float(mean[0]), "log_tau": float(np.log(guess))}
    law = curve(lambda t, f, r, u: r + (f - r) * np.exp(-t / np.exp(u)), age, mean, start, None, {})
    rest = min(max(law["rest"].value, 0.0), 0.9 * float(flat.min(axis=0).mean()))
    kept = (mean - rest) / (mean[0] - rest)
    chosen = kept > 0.05  # later on, little but noise is left
    x = age[chosen] - age[0]
    y = np.log(np.clip((flat[chosen] - rest) / (flat[0] - rest), 1e-3, None))
    rate = np.clip(-(x @ y) / (x @ x), 1e-30, None)
    log_tau = -np.log(rate)
    good = np.abs(log_tau - np.median(log_tau)) < 3
    spread = float(log_tau[good].std(ddof=1))
    count = int(good.sum())
    tau = float(np.exp(np.median(log_tau[good])))
    return (
        Estimate(tau, tau * 1.2533 * spread / np.sqrt(count), "s"),
        Estimate(spread, spread / np.sqrt(2 * count)),
    )


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
    of_seen = float(nu[inside].var(ddof=1)) * np.sqrt(2 / inside.sum())
    of_error = float(error2[inside].mean()) * np.sqrt(2 / inside.sum() / (len(age) - 2))
    sigma = float(np.hypot(of_seen, of_error) / (2 * max(spread, 1e-9)))
    return of_mean(nu[inside]), Estimate(float(spread), min(sigma, float(nu[inside].std())))


def conductances(data: xr.Dataset) -> Array:
    """Mean conductance of every cell at every step, in spans of the range, (steps, planes, rows, columns)."""
    low, high = float(data.attrs["g_min_s"]), float(data.attrs["g_max_s"])
    return np.asarray(data["level"].to_numpy().mean(axis=1) + low / (high - low))
