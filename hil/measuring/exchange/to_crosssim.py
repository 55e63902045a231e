"""A datasheet as a device class of CrossSim 3.2: programming error, drift and read noise by the level."""

from __future__ import annotations

import numpy as np

from firmware_specs.datasheet import Datasheet
from firmware_specs.datasheet.drift import ClippedLog

POINTS = 33

TEMPLATE = '''\
"""{model}: device errors for CrossSim 3.2, written by hil export.

Put the file in simulator/devices/custom and import {cls} in simulator/devices/device.py; then name it as the model of
programming_error, drift_error and read_noise. Conductances {low_us:.6g} .. {high_us:.6g} uS: Rmin = {r_min:.6g} ohm,
Rmax = {r_max:.6g} ohm. Not said here: {unsaid}
"""

from simulator.backend import ComputeBackend
from simulator.devices.idevice import EmptyDevice

xp = ComputeBackend()

LEVEL = {level!r}
PROGRAMMING = {programming!r}
READ = {read!r}
T0_S, MEAN_SLOPE, VARIANCE_SLOPE, VARIANCE_OFFSET = {t0!r}, {mean_slope!r}, {variance_slope!r}, {variance_offset!r}
NU = {nu!r}
NU_SIGMA = {nu_sigma!r}
"""Of the range, at LEVEL: spread of a write, spread of a reading; drift over time, and exponents of a power law."""


class {cls}(EmptyDevice):
    """Errors of {model}, levels of the range."""

    def _level(self, input_):
        return (input_ - self.Gmin_norm) / self.Grange_norm

    def _table(self, x, values):
        return xp.interp(xp.clip(x, 0, 1), xp.asarray(LEVEL), xp.asarray(values)).astype(x.dtype)

    def _noise(self, input_, sigma):
        return input_ + self.Grange_norm * sigma * xp.random.normal(size=input_.shape).astype(input_.dtype)

    def programming_error(self, input_):
        """Spread of a write."""
        return self._noise(input_, self._table(self._level(input_), PROGRAMMING))

    def drift_error(self, input_, time):
        """Programming error and drift after a time in seconds."""
        x = self._level(self.programming_error(input_))
        target = self._level(input_)
        if time > 0 and xp.any(xp.asarray(NU)):
            nu = self._table(target, NU)
            nu = xp.abs(nu + self._table(target, NU_SIGMA) * xp.random.normal(size=x.shape))
            offset = {offset!r}
            x = (x + offset) * xp.exp(-nu * xp.log1p(time / T0_S)) - offset
        elif time > T0_S:
            folds = float(xp.log(time / T0_S))
            sigma = float(xp.sqrt(VARIANCE_SLOPE * folds + {spread_slope!r} * folds**2 + VARIANCE_OFFSET))
            x = x + MEAN_SLOPE * folds + sigma * xp.random.normal(size=x.shape)
        return (self.Gmin_norm + self.Grange_norm * x).astype(input_.dtype)

    def read_noise(self, input_):
        """Spread of a reading, anew in each product."""
        return self._noise(input_, self._table(self._level(input_), READ))
'''


def export(sheet: Datasheet, name: str) -> str:
    """A Python file with one device class."""
    cells, drift = sheet.cells, sheet.drift
    x = np.linspace(0, 1, POINTS)
    g = (cells.g_min_s + x * cells.span_s) / cells.g_max_s
    if sheet.programming.sigma_coefficients_s:
        programming = np.array([sheet.programming.sigma_s(float(v)) for v in g]) / cells.span_s
    else:
        programming = np.full(POINTS, cells.programming_noise)
    nu, nu_sigma = (
        np.array([_at(figure, float(v)) for v in np.maximum(g, 1e-6)]) if drift.law == "power" else np.zeros(POINTS)
        for figure in (drift.nu_mean, drift.nu_sigma)
    )
    span = cells.span_s
    walk, relaxation = drift.law == "walk", drift.law == "relaxation"
    return TEMPLATE.format(
        model="".join(c for c in sheet.identity.model if c.isprintable() and c not in '"\\'),
        cls="".join(part.capitalize() for part in "".join(c if c.isalnum() else " " for c in name).split()) or "Twin",
        low_us=cells.g_min_s * 1e6,
        high_us=cells.g_max_s * 1e6,
        r_min=1 / cells.g_max_s,
        r_max=1 / cells.g_min_s if cells.g_min_s else float("inf"),
        unsaid="; ".join(_unsaid(sheet)) or "nothing",
        level=_list(x),
        programming=_list(programming),
        read=_list(read_spread(sheet, g)),
        t0=float(drift.t0_s or 1.0),
        mean_slope=float(drift.mean_slope_s / span),
        variance_slope=float(drift.variance_slope_s2 / span**2) if walk else 0.0,
        spread_slope=float((drift.spread_slope_s / span) ** 2) if relaxation else 0.0,
        variance_offset=float((drift.spread_offset_s / span) ** 2) if relaxation else 0.0,
        nu=_list(nu),
        nu_sigma=_list(nu_sigma),
        offset=float(cells.g_min_s / span),
    )


def read_spread(sheet: Datasheet, g: np.ndarray) -> np.ndarray:
    """Standard deviation of a reading at relative conductances, shares of the range; 1/f noise as after a second."""
    noise, share = sheet.read_noise, g * sheet.cells.g_max_s / sheet.cells.span_s
    match noise.law:
        case "additive":
            return np.full(len(g), noise.sigma)
        case "relative":
            return np.asarray(noise.sigma * share)
        case "flicker":
            quality = np.minimum(noise.scale / np.maximum(g**noise.exponent, 1e-3), noise.ceiling)
            return np.asarray(share * quality * np.sqrt(np.log(1 / (2 * (noise.t_read_s or 1.0)) + 0.5)))
    return np.zeros(len(g))


def _unsaid(sheet: Datasheet) -> list[str]:
    found = []
    if sheet.pulses.law != "none":
        found.append("pulses: CrossSim 3.2 has no pulsed update")
    if sheet.drift.law == "exponential" or sheet.drift.own:
        found.append(f"drift law {sheet.drift.law!r}")
    if sheet.drift.law == "walk" and (sheet.drift.jumps or sheet.drift.level_factors):
        found.append("the walk is taken for Gaussian and alike at all levels")
    if sheet.telegraph.amplitude:
        found.append("telegraph noise")
    if sheet.read_noise.law == "flicker":
        found.append("growth of 1/f noise: as after a second")
    elif sheet.read_noise.aged:
        found.append(f"read noise law {sheet.read_noise.law!r}")
    return found


def _at(figure: float | ClippedLog, g: float) -> float:
    return figure.at(g) if isinstance(figure, ClippedLog) else float(figure)


def _list(values: np.ndarray) -> list[float]:
    return [float(f"{v:.8g}") for v in values]
