"""A measured number with its uncertainty, the currency of calibration, characterization and twins."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from firmware_specs.shown import html

Array = NDArray[np.float64]


MANY = 1e4
"""Degrees of freedom from which on Student's distribution is the normal one."""


@dataclass(frozen=True)
class Estimate:
    """A value, its standard uncertainty and its unit, as the GUM means them (JCGM 100:2008).

    Attributes:
        value: Best estimate.
        sigma: Combined standard uncertainty (one standard deviation): type A and type B together; 0 where it is exact.
        unit: SI unit, "1" for a plain number.
        budget: Type B parts of `sigma` by their source, each a standard uncertainty in the same unit.
        freedom: Degrees of freedom of the type A part; few of them make intervals wider than those of a normal.
    """

    value: float
    sigma: float
    unit: str = "1"
    budget: tuple[tuple[str, float], ...] = ()
    freedom: float = math.inf

    @property
    def systematic(self) -> float:
        """Type B part: what no repeating takes away."""
        return math.hypot(*(part for _, part in self.budget))

    @property
    def statistical(self) -> float:
        """Type A part: what the scatter of readings, cells or units says."""
        return math.sqrt(max(self.sigma**2 - self.systematic**2, 0.0))

    def widened(self, **parts: float) -> Estimate:
        """The same with type B parts added; underscores in their names are read as blanks, parts of 0 left out."""
        added = tuple((name.replace("_", " "), abs(float(part))) for name, part in parts.items() if part)
        total = math.hypot(self.sigma, *(part for _, part in added))
        return replace(self, sigma=total, budget=(*self.budget, *added))

    def scaled(self, factor: float, unit: str | None = None) -> Estimate:
        """The same in another unit."""
        budget = tuple((name, abs(factor) * part) for name, part in self.budget)
        unit = self.unit if unit is None else unit
        return Estimate(self.value * factor, self.sigma * abs(factor), unit, budget, self.freedom)

    def expanded(self, level: float = 0.95) -> float:
        """Half of a symmetric interval that holds the true value at a level of confidence.

        Student's factor of the effective degrees of freedom (Welch and Satterthwaite, GUM G.4).
        """
        freedom = self.freedom
        if self.statistical > 0 and math.isfinite(freedom):
            freedom = max(1.0, freedom * min((self.sigma / self.statistical) ** 4, 1e12))
        from scipy import special

        below, normal = 0.5 + level / 2, not math.isfinite(freedom) or freedom > MANY
        return float(special.ndtri(below) if normal else special.stdtrit(freedom, below)) * self.sigma

    def agrees(self, truth: float, sigmas: float = 3.0) -> bool:
        """True where a value lies within so many standard uncertainties."""
        return abs(self.value - truth) <= sigmas * self.sigma

    def interval(self, level: float = 0.95) -> tuple[float, float]:
        """Symmetric interval that holds the true value at a level of confidence."""
        reach = self.expanded(level)
        return self.value - reach, self.value + reach

    def __str__(self) -> str:
        unit = "" if self.unit == "1" else f" {self.unit}"
        if not (self.sigma > 0 and math.isfinite(self.sigma) and math.isfinite(self.value)):
            return f"{self.value:.6g}{unit}"
        digits = max(0, 1 - math.floor(math.log10(self.sigma)))
        if digits > 6 or self.sigma >= 100:
            return f"{self.value:.6g} +- {self.sigma:.2g}{unit}"
        return f"{self.value:.{digits}f} +- {self.sigma:.{digits}f}{unit}"

    def _repr_html_(self) -> str:
        return f"<code>{html(self).replace('+-', '&plusmn;')}</code>"

    def to_json(self) -> dict[str, Any]:
        """JSON values only."""
        value, sigma, freedom, statistical = map(_or_none, (self.value, self.sigma, self.freedom, self.statistical))
        return {
            "value": value, "sigma": sigma, "unit": self.unit, "statistical": statistical,
            "systematic": dict(self.budget), "freedom": freedom,
        }  # fmt: skip


def _or_none(value: float) -> float | None:
    """JSON knows no NaN and no infinity."""
    return value if math.isfinite(value) else None


def of_mean(samples: Array, unit: str = "1") -> Estimate:
    """Mean of independent samples and its standard error."""
    flat = np.asarray(samples, dtype=np.float64).ravel()
    if flat.size < 2:
        raise ValueError(f"a mean with its uncertainty needs at least 2 samples, got {flat.size}")
    return Estimate(float(flat.mean()), float(flat.std(ddof=1) / math.sqrt(flat.size)), unit, freedom=flat.size - 1)


def of_spread(samples: Array, unit: str = "1", groups_axis: int | None = None) -> Estimate:
    """Standard deviation of normal samples, and its standard error `s / sqrt(2 nu)`.

    Args:
        samples: Any shape.
        unit: Unit of the samples.
        groups_axis: Where given, deviations are taken from the mean along this axis and pooled: the repeatability of
            many quantities that were each read several times.
    """
    values = np.asarray(samples, dtype=np.float64)
    if groups_axis is None:
        residual, freedom = values - values.mean(), values.size - 1
    else:
        repeats = values.shape[groups_axis]
        residual = values - values.mean(axis=groups_axis, keepdims=True)
        freedom = values.size // repeats * (repeats - 1)
    if freedom < 1:
        raise ValueError("a spread needs at least 2 samples")
    spread = math.sqrt(float((residual**2).sum()) / freedom)
    return Estimate(spread, spread / math.sqrt(2 * freedom), unit)


@dataclass(frozen=True)
class Fit:
    """A fitted law.

    Attributes:
        parameters: By name.
        residual: Data minus law, shape of the data.
        chi2_per_freedom: Residual variance over the stated one; 1 where no uncertainty of the data was stated.
    """

    parameters: dict[str, Estimate]
    residual: Array
    chi2_per_freedom: float

    def __getitem__(self, name: str) -> Estimate:
        return self.parameters[name]


def line(x: Array, y: Array, sigma: Array | float | None = None, units: tuple[str, str] = ("1", "1")) -> Fit:
    """`y = gain * x + offset` by least squares.

    Args:
        x: (n,) exact abscissas.
        y: (n,) ordinates.
        sigma: Standard uncertainty of every ordinate; None: estimated from the residuals.
        units: Units of gain and offset.
    """
    design = np.stack([x, np.ones_like(x)], axis=1)
    return _linear(design, y, sigma, dict(zip(("gain", "offset"), units, strict=True)))


def power_law(t: Array, g: Array, t0: float, sigma_log: float | None = None) -> Fit:
    """`g(t) = g0 * ((t + t0) / t0) ** -nu` by least squares of the logarithm (drift law of phase-change memory).

    Args:
        t: (n,) seconds since programming.
        g: (n,) positive conductances.
        t0: Time origin of the law, seconds.
        sigma_log: Standard uncertainty of `ln g`; None: estimated from the residuals.
    """
    design = np.stack([-np.log((t + t0) / t0), np.ones_like(t)], axis=1)
    fit = _linear(design, np.log(g), sigma_log, {"nu": "1", "log_g0": "1"})
    return Fit({"nu": fit["nu"], "log_g0": fit["log_g0"]}, fit.residual, fit.chi2_per_freedom)


def curve(
    law: object, x: Array, y: Array, start: dict[str, float], sigma: Array | float | None, units: dict[str, str]
) -> Fit:
    """Any law `law(x, *parameters)` by nonlinear least squares.

    Args:
        law: The function.
        x: (n,) abscissas.
        y: (n,) ordinates.
        start: Parameter names, in the law's order, and where the search starts.
        sigma: Standard uncertainty of the ordinates; None: estimated from the residuals.
        units: Unit of every parameter.

    Raises:
        ValueError: the fit does not converge.
    """
    from scipy import optimize  # half a second that a training does without

    stated = None if sigma is None else np.broadcast_to(np.asarray(sigma, dtype=np.float64), y.shape)
    try:
        best, covariance = optimize.curve_fit(
            law, x, y, p0=list(start.values()), sigma=stated, absolute_sigma=sigma is not None, maxfev=20000
        )
    except RuntimeError as error:
        raise ValueError(f"the law does not fit: {error}") from error
    residual = y - law(x, *best)  # type: ignore[operator]
    deviation = np.sqrt(np.clip(np.diag(covariance), 0, None))
    found = {
        name: Estimate(float(v), float(s), units.get(name, "1"))
        for name, v, s in zip(start, best, deviation, strict=True)
    }
    return Fit(found, residual, _chi2(residual, stated, len(start)))


def _linear(design: Array, y: Array, sigma: Array | float | None, units: dict[str, str]) -> Fit:
    count, unknowns = design.shape
    if count < unknowns + (sigma is None):
        raise ValueError(f"{count} points are too few for {unknowns} parameters with uncertainties")
    stated = None if sigma is None else np.broadcast_to(np.asarray(sigma, dtype=np.float64), y.shape)
    weight = np.ones_like(y) if stated is None else 1 / stated
    scaled = design * weight[:, None]
    best = np.linalg.lstsq(scaled, y * weight, rcond=None)[0]
    residual = y - design @ best
    covariance = np.linalg.inv(scaled.T @ scaled)
    if sigma is None:
        covariance *= float(residual @ residual) / (count - unknowns)
    deviation = np.sqrt(np.diag(covariance))
    found = {n: Estimate(float(v), float(s), u) for (n, u), v, s in zip(units.items(), best, deviation, strict=True)}
    return Fit(found, residual, _chi2(residual, stated, unknowns))


def _chi2(residual: Array, sigma: Array | None, unknowns: int) -> float:
    freedom = residual.size - unknowns
    if sigma is None or freedom < 1:
        return 1.0
    return float(((residual / sigma) ** 2).sum() / freedom)
