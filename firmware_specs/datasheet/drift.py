"""Drift: how conductances move after they were written."""

from __future__ import annotations

import math
from typing import Literal

from pydantic import model_validator

from firmware_specs.datasheet.section import NonNegative, Positive, Section


class ClippedLog(Section):
    """`clip(slope ln g + offset, low, high)` with `g = G / g_max_s`: how drift figures depend on the conductance."""

    slope: float
    offset: float
    low: NonNegative
    high: NonNegative

    @model_validator(mode="after")
    def _order(self) -> ClippedLog:
        if self.low > self.high:
            raise ValueError(f"low <= high is needed, got {self.low} .. {self.high}")
        return self

    def at(self, g: float) -> float:
        """Value at a relative conductance above 0."""
        return min(max(self.slope * math.log(g) + self.offset, self.low), self.high)


class Drift(Section):
    """Conductance against the time `t` since the cell was written.

    Attributes:
        law: `none`;
            `power`: `G ((t + t0_s) / t0_s)^-nu`, `nu = |nu_mean + nu_sigma xi|`, one `xi` a device for life;
            `exponential`: `rest_s + (G - rest_s) exp(-t / tau)`, `tau = tau_s exp(tau_d2d xi)`;
            `relaxation`: from `t0_s` on, `G + mean_slope_s L + (spread_slope_s L + spread_offset_s) xi` with
            `L = ln(t / t0_s)` and one `xi` a write.
        t0_s: Time origin of `power` and `relaxation`.
        nu_mean: Mean exponent, constant or dependent on the written conductance.
        nu_sigma: Its spread between devices.
        tau_s: Time constant of `exponential`.
        tau_d2d: Spread of its logarithm between devices.
        rest_s: Conductance `exponential` ends at.
        mean_slope_s: Siemens an e-fold of time, `relaxation`.
        spread_slope_s: Siemens an e-fold of time, `relaxation`.
        spread_offset_s: Siemens at the origin, `relaxation`.
        activation_ev: Time runs `exp(Ea/k (1/T_ref - 1/T))` times as fast at the temperature T; 0: at every
            temperature alike.
        retention_s: Age at which a written conductance counts as unreliable; None: never.
    """

    law: Literal["none", "power", "exponential", "relaxation"] = "none"
    t0_s: Positive | None = None
    nu_mean: NonNegative | ClippedLog = 0.0
    nu_sigma: NonNegative | ClippedLog = 0.0
    tau_s: Positive | None = None
    tau_d2d: NonNegative = 0.0
    rest_s: NonNegative = 0.0
    mean_slope_s: float = 0.0
    spread_slope_s: NonNegative = 0.0
    spread_offset_s: NonNegative = 0.0
    activation_ev: NonNegative = 0.0
    retention_s: Positive | None = None

    def predicted(self, seconds: float, g_s: float, g_max_s: float) -> float:
        """Expected relative change of a conductance after a time, at least 0: what a host plans refreshes by."""
        match self.law:
            case "power":
                nu = self.nu_mean.at(g_s / g_max_s) if isinstance(self.nu_mean, ClippedLog) else self.nu_mean
                return -math.expm1(-nu * math.log1p(seconds / (self.t0_s or 1.0)))
            case "exponential":
                return -math.expm1(-seconds / (self.tau_s or 1.0)) * abs(g_s - self.rest_s) / g_s
            case "relaxation":
                folds = math.log(max(seconds / (self.t0_s or 1.0), 1.0))
                return abs(self.mean_slope_s) * folds / g_s
        return 0.0

    @model_validator(mode="after")
    def _complete(self) -> Drift:
        if self.law in ("power", "relaxation") and self.t0_s is None:
            raise ValueError(f"law {self.law!r} needs t0_s: without a time origin it has no value at any time")
        if self.law == "exponential" and self.tau_s is None:
            raise ValueError("law 'exponential' needs tau_s, its time constant")
        if self.law == "power" and self.nu_mean == 0 and self.nu_sigma == 0:
            raise ValueError("law 'power' with nu_mean = nu_sigma = 0 never drifts: use law = 'none'")
        if self.law == "relaxation" and not (self.mean_slope_s or self.spread_slope_s or self.spread_offset_s):
            raise ValueError("law 'relaxation' without mean_slope_s, spread_slope_s or spread_offset_s never drifts")
        return self
