"""Nonlinearity of converters: how far readings bow from a straight line, and how uneven their steps are.

A unit settles to a straight line of its input, and its converter reads `s + curve(s)`. The curve is one polynomial for
all channels of a layer, as converters are shared or alike; how far each channel's own goes is measured as well.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
from numpy.polynomial import Polynomial
from numpy.typing import NDArray
from torch import Tensor

from hil.measuring.calibrate import rounding
from hil.measuring.placed import Array

TERMS = 4
GRID = 65
PHASES = 32
SIGNIFICANT = 1.0
MODEL = 0.3
"""Uncertainty of a curve in converter steps besides noise, for its single codes."""
CUT_OFF = 0.15
"""Share of a curve that a polynomial of so few terms may leave."""


@dataclass(frozen=True)
class Curve:
    """`curve(s)`, model units: what a reading has too much.

    Of a clamped layer the curve is zero at both rails, where gain and offset of the channel are known from; of a linear
    one it is what a straight line leaves, and constant beyond `reach`.

    Attributes:
        clamped: Has the layer rails at 0 and 1?
        reach: Largest state of either sign that was seen; 1 of a clamped layer.
        terms: Coefficients of `basis`.
    """

    clamped: bool
    reach: float
    terms: tuple[float, ...]

    def __call__(self, states: Array) -> Array:
        """Of states of any shape."""
        return np.asarray(basis(states, self.clamped, self.reach) @ np.array(self.terms))

    def of_tensor(self, states: Tensor) -> Tensor:
        """Of states of any shape and device, by the powers of one polynomial."""
        u = states.clamp(0, 1) if self.clamped else (states / self.reach).clamp(-1, 1)
        powers = self._powers
        value = torch.full_like(u, powers[-1])
        for power in reversed(powers[:-1]):
            value = value.mul_(u).add_(power)
        return value

    @cached_property
    def _powers(self) -> tuple[float, ...]:
        """Coefficients of 1, u, u^2, ..."""
        if not self.clamped:
            return tuple(np.polynomial.Legendre([0.0, 0.0, *self.terms]).convert(kind=Polynomial).coef)
        centred = Polynomial([-1.0, 2.0])
        series = [t * Polynomial([0.0, 1.0, -1.0]) * centred**k for k, t in enumerate(self.terms)]
        return tuple(sum(series[1:], start=series[0]).coef)


@dataclass(frozen=True)
class Linearity:
    """What one sweep says of the converters it went through, model units.

    Attributes:
        through: What the input came through; "cells" says that the curve is the ADC's alone.
        curve: Of all channels together.
        curve_sigma: Its largest standard uncertainty.
        covariance: Of its coefficients.
        inl: Largest deviation of every channel's own curve, (units,).
        inl_sigma: Its standard uncertainty.
        dnl: RMS difference of neighbouring steps, (units,); NaN where the input is not known that well.
        dnl_sigma: Its standard uncertainty.
    """

    through: str
    curve: Curve
    curve_sigma: float
    covariance: Array
    inl: Array
    inl_sigma: Array
    dnl: Array
    dnl_sigma: Array

    @property
    def significant(self) -> bool:
        """Is the curve more than its uncertainty? Only then is it worth correcting."""
        return float(np.abs(self.curve(_grid(self.curve))).max()) > SIGNIFICANT * self.curve_sigma

    def widened(self, sigma: float) -> Linearity:
        """The same with an uncertainty of the curve that was not seen in its scatter."""
        total = float(np.hypot(self.curve_sigma, sigma))
        return replace(
            self, curve_sigma=total, covariance=self.covariance * (total / max(self.curve_sigma, 1e-30)) ** 2
        )

    def of_mean(self, units: int, step: float) -> float:
        """Uncertainty of the curve in a mean over units, whose codes differ: the share of single codes averages out."""
        common2 = max(self.curve_sigma**2 - (MODEL * step) ** 2, 0.0)
        return float(np.sqrt(common2 + (MODEL * step) ** 2 / units))

    def padded(self, units: int) -> Linearity:
        """The same with NaN for the units that were not swept."""
        inl, inl_sigma, dnl, dnl_sigma = (
            np.concatenate([values, np.full(units - len(values), np.nan)])
            for values in (self.inl, self.inl_sigma, self.dnl, self.dnl_sigma)
        )
        return replace(self, inl=inl, inl_sigma=inl_sigma, dnl=dnl, dnl_sigma=dnl_sigma)


def basis(states: Array, clamped: bool, reach: float) -> Array:
    """Polynomials of states, (..., TERMS): `s (1 - s) (2 s - 1)^k`, or Legendre's from the second degree."""
    if clamped:
        s = np.clip(states, 0, 1)[..., None]
        return np.asarray(s * (1 - s) * (2 * s - 1) ** np.arange(TERMS))
    u = np.clip(np.asarray(states) / reach, -1, 1)
    return np.stack([np.polynomial.Legendre.basis(k)(u) for k in range(2, 2 + TERMS)], axis=-1)


def measure(
    through: str, inputs: Array, states: Array, inside: NDArray[np.bool_], clamped: bool, noise: float, repeats: int,
    step: float,
) -> Linearity | None:  # fmt: skip
    """Separates curves from straight lines; None where too few points are inside.

    Args:
        through: What the input came through.
        inputs: (points, units).
        states: Mean states, channel gain and offset corrected, (points, units).
        inside: Points between the rails, (points, units).
        clamped: Has the layer rails?
        noise: Of one reading.
        repeats: Readings a mean.
        step: Of the ADC; 0: ideal, without steps.
    """
    reach = 1.0 if clamped else float(np.abs(states[inside]).max(initial=0.0))
    units = [u for u in range(inputs.shape[1]) if inside[:, u].sum() >= TERMS + 4]
    if not units or reach == 0:
        return None
    parts = [_without_line(inputs[k, u], states[k, u], clamped, reach) for u in units for k in [inside[:, u]]]
    normal, right = sum(b.T @ b for b, _ in parts), sum(b.T @ y for b, y in parts)
    terms = np.linalg.solve(normal, right)
    freedom = sum(len(y) - 2 for _, y in parts) - TERMS
    variance = sum(float(((y - b @ terms) ** 2).sum()) for b, y in parts) / freedom
    curve = Curve(clamped, reach, tuple(map(float, terms)))
    inl, inl_sigma, dnl, dnl_sigma = (np.full(inputs.shape[1], np.nan) for _ in range(4))
    grid = basis(_grid(curve), clamped, reach)
    covariance = np.asarray(np.linalg.inv(normal) * variance, dtype=np.float64)
    sigma = np.sqrt(np.einsum("gi,ij,gj->g", grid, covariance, grid))
    for u, (b, y) in zip(units, parts, strict=True):
        inverse = np.linalg.inv(b.T @ b)
        own = grid @ (inverse @ b.T @ y)
        peak = int(np.argmax(np.abs(own)))
        inl[u] = abs(own[peak])
        inl_sigma[u] = np.sqrt(grid[peak] @ inverse @ grid[peak] * variance + (MODEL * step) ** 2)
        left = len(y) - 2 - TERMS
        if through != "cells" and step and left > 0:
            rest = float(((y - b @ (inverse @ b.T @ y)) ** 2).sum()) / left
            dnl[u], dnl_sigma[u] = _unevenness(rest, noise, repeats, step, left)
    found = Linearity(through, curve, float(sigma.max()), covariance, inl, inl_sigma, dnl, dnl_sigma)
    return found.widened(float(np.hypot(MODEL * step, CUT_OFF * np.abs(curve(_grid(curve))).max())))


def _grid(curve: Curve) -> Array:
    return np.linspace(0.0 if curve.clamped else -curve.reach, curve.reach, GRID)


def _without_line(inputs: Array, states: Array, clamped: bool, reach: float) -> tuple[Array, Array]:
    """Basis and states of one unit's points with what a straight line of the input explains taken out."""
    design = np.stack([np.ones_like(inputs), inputs], axis=1)
    both = np.column_stack([basis(states, clamped, reach), states])
    left = both - design @ np.linalg.lstsq(design, both, rcond=None)[0]
    return left[:, :-1], left[:, -1]


def _unevenness(variance: float, noise: float, repeats: int, step: float, freedom: int) -> tuple[float, float]:
    """RMS difference of neighbouring steps from the scatter of means about a smooth curve, and its uncertainty.

    Every step's error is independent of its neighbours'. A mean meets several steps, as far as its noise reaches, which
    averages their errors; what an even staircase leaves is taken out, and so is the noise of the readings.
    """
    sigma = rounding.before(noise / step)
    phase = np.arange(PHASES)[:, None] / PHASES
    codes = np.arange(-8, 9)[None]
    weights = np.exp(-(((codes - phase) / max(sigma, 0.1)) ** 2) / 2)
    weights /= weights.sum(axis=1, keepdims=True)
    shared = float((weights**2).sum(axis=1).mean())
    left = variance / step**2 - (noise / step) ** 2 / repeats - float(rounding.offset(sigma)) ** 2
    found = np.sqrt(2 * max(left, 0.0) / shared)
    error2 = variance / step**2 * np.sqrt(2 / freedom) * 2 / shared
    return float(found * step), float(error2 / (2 * max(found, np.sqrt(error2))) * step)
