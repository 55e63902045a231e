"""Drift: how conductances move after they were written."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cached_property
from itertools import pairwise
from typing import Annotated, Any

from pydantic import Field, model_validator

from firmware_specs.datasheet.own_law import check
from firmware_specs.datasheet.section import NonNegative, Positive, Section
from firmware_specs.datasheet.table import N, interpolate, refuse_bad
from firmware_specs.registry import find


class ClippedLog(Section):
    """`clip(slope ln g + offset, low, high)` with `g = G / g_max_s`: how drift figures depend on the conductance.

    Attributes:
        slope: Per e-fold of the conductance.
        offset: At the largest conductance.
        low: Smallest value.
        high: Largest value.
    """

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


SHIPPED = ("none", "power", "exponential", "relaxation", "walk")
WALK = (
    "mean_curvature_s", "variance_slope_s2", "acceleration", "clock_ages_s", "clock_folds", "jumps", "jump_mean_s",
    "volatility", "levels", "level_factors",
)  # fmt: skip
"""Keys that only a walk has."""


class Drift(Section):
    """Conductance against the time `t` since the cell was written.

    Attributes:
        law: `none`;
            `power`: `G ((t + t0_s) / t0_s)^-nu`, `nu = |nu_mean + nu_sigma xi|`, one `xi` a device for life;
            `exponential`: `rest_s + (G - rest_s) exp(-t / tau)`, `tau = tau_s exp(tau_d2d xi)`;
            `relaxation`: from `t0_s` on, `G + mean_slope_s L + (spread_slope_s L + spread_offset_s) xi` with
            `L = ln(t / t0_s)` and one `xi` a write;
            `walk`: from `t0_s` on, `G + f(g) (mean_slope_s L + mean_curvature_s L^2 + w(S))`, `w` a random walk in
            `S = L (1 + acceleration L)`, or a table of time: of mean 0 and variance `variance_slope_s2 S`, increments
            of apart times are independent. With `jumps` above 0 it moves by rare jumps (a variance-gamma process)
            instead of many small ones; with `tau_s` the cell is lost besides: `G` is replaced by
            `rest_s + (G - rest_s) exp(-t / tau)`.
            `f` is the table `level_factors` at `levels`, of `g = G / g_max_s` as written; 1 without one.
            Or one of the registry's kind `drifts` (`hil list drifts`), or `module:attribute`.
        figures: Of a law of one's own, by name.
        t0_s: Time origin of `power`, `relaxation` and `walk`.
        nu_mean: Mean exponent, constant or dependent on the written conductance.
        nu_sigma: Its spread between devices.
        tau_s: Time constant of `exponential`, and of the loss in `walk`.
        tau_d2d: Spread of its logarithm between devices.
        rest_s: Conductance `exponential` ends at.
        mean_slope_s: Siemens an e-fold of time, `relaxation` and `walk`.
        spread_slope_s: Siemens an e-fold of time, `relaxation`.
        spread_offset_s: Siemens at the origin, `relaxation`.
        mean_curvature_s: Siemens a squared e-fold of time, `walk`.
        variance_slope_s2: Square siemens an e-fold of time, `walk`.
        acceleration: By how much faster the walk goes an e-fold later, `walk`.
        clock_ages_s: Ages, rising, after `t0_s`, in place of `acceleration`: a walk as it was measured.
        clock_folds: `S` at each of them, rising; linear in `ln t` between, from 0 at `t0_s`, and on beyond the last.
        jumps: e-folds of time in which a cell jumps once or so, `walk`: the excess kurtosis at `S` is `3 jumps / S`; 0:
            a Gaussian walk.
        jump_mean_s: Mean displacement an e-fold that comes with the jumps, so that they lean to one side, siemens; part
            of `mean_slope_s`, not beside it.
        volatility: How much cells differ in how far they walk, for life: the standard deviation of the logarithm of the
            factor; `variance_slope_s2` is the mean over the cells.
        levels: Relative conductances `g` of `level_factors`, rising within 0 .. 1; beyond them the nearest holds.
        level_factors: How strongly a cell written at each level moves.
        activation_ev: Time runs `exp(Ea/k (1/T_ref - 1/T))` times as fast at the temperature T; 0: at every
            temperature alike.
        retention_s: Age at which a written conductance counts as unreliable; None: never.
    """

    law: str = "none"
    figures: dict[str, float] = Field(default_factory=dict)
    t0_s: Positive | None = None
    nu_mean: NonNegative | ClippedLog = 0.0
    nu_sigma: NonNegative | ClippedLog = 0.0
    tau_s: Positive | None = None
    tau_d2d: NonNegative = 0.0
    rest_s: NonNegative = 0.0
    mean_slope_s: float = 0.0
    spread_slope_s: NonNegative = 0.0
    spread_offset_s: NonNegative = 0.0
    mean_curvature_s: float = 0.0
    variance_slope_s2: NonNegative = 0.0
    acceleration: NonNegative = 0.0
    clock_ages_s: tuple[float, ...] = ()
    clock_folds: tuple[float, ...] = ()
    jumps: NonNegative = 0.0
    jump_mean_s: float = 0.0
    volatility: Annotated[float, Field(ge=0, le=2)] = 0.0
    levels: tuple[float, ...] = ()
    level_factors: tuple[float, ...] = ()
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
            case "relaxation" | "walk":
                folds = math.log(max(seconds / (self.t0_s or 1.0), 1.0))
                factor = interpolate(g_s / g_max_s, self.levels, self.level_factors) if self.level_factors else 1.0
                moved = factor * (self.mean_slope_s * folds + self.mean_curvature_s * folds**2)
                lost = 0.0 if self.tau_s is None else -math.expm1(-seconds / self.tau_s) * (g_s - self.rest_s)
                return abs(moved - lost) / g_s
            case "none":
                return 0.0
        own = getattr(self.rule, "predicted", None)
        if own is None:
            raise ValueError(
                f"drift law {self.law!r} does not say what it expects: give the function an attribute "
                "predicted(seconds, g_s, g_max_s, **figures), or leave update.refresh_drift out"
            )
        return max(0.0, float(own(seconds, g_s, g_max_s, **self.figures)))

    @cached_property
    def rule(self) -> Callable[..., Any]:
        """The law itself, of `emulator.cells.drift_laws`."""
        found: Callable[..., Any] = find("drifts", self.law)
        return found

    @property
    def own(self) -> bool:
        """True where the law is not a shipped one."""
        return self.law not in SHIPPED

    def clock(self, folds: N) -> N:
        """How far a walk's own time has come, `S`, at `L = ln(t / t0_s)` of 0 or more."""
        if not self.clock_ages_s:
            return folds + folds * folds * self.acceleration if self.acceleration else folds  # type: ignore[operator]
        at = (0.0, *(math.log(age / (self.t0_s or 1.0)) for age in self.clock_ages_s))
        values = (0.0, *self.clock_folds)
        beyond = (values[-1] - values[-2]) / (at[-1] - at[-2])
        past = folds - at[-1]
        return interpolate(folds, at, values) + (past + abs(past)) * (beyond / 2)  # type: ignore[operator]

    @model_validator(mode="after")
    def _complete(self) -> Drift:
        check("drifts", self.law, self.figures)
        if self.law in ("power", "relaxation", "walk") and self.t0_s is None:
            raise ValueError(f"law {self.law!r} needs t0_s: without a time origin it has no value at any time")
        if self.law == "exponential" and self.tau_s is None:
            raise ValueError("law 'exponential' needs tau_s, its time constant")
        if self.law == "power" and self.nu_mean == 0 and self.nu_sigma == 0:
            raise ValueError("law 'power' with nu_mean = nu_sigma = 0 never drifts: use law = 'none'")
        if self.law == "relaxation" and not (self.mean_slope_s or self.spread_slope_s or self.spread_offset_s):
            raise ValueError("law 'relaxation' without mean_slope_s, spread_slope_s or spread_offset_s never drifts")
        self._walks()
        return self

    def _walks(self) -> None:
        own = {k: getattr(self, k) for k in WALK}
        if self.law != "walk":
            if any(own.values()):
                raise ValueError(f"{', '.join(k for k, v in own.items() if v)}: of law 'walk', not of {self.law!r}")
            return
        if self.variance_slope_s2 == 0:
            raise ValueError("law 'walk' needs variance_slope_s2 above 0 (other laws drift without a random walk)")
        if self.spread_slope_s or self.spread_offset_s:
            raise ValueError("spread_slope_s, spread_offset_s: of law 'relaxation'; a walk has variance_slope_s2")
        if self.jump_mean_s and not self.jumps:
            raise ValueError("jump_mean_s needs jumps above 0")
        if self.jump_mean_s**2 * self.jumps >= self.variance_slope_s2:
            raise ValueError("jump_mean_s^2 jumps must stay below variance_slope_s2, of which it is a part")
        if self.clock_ages_s or self.clock_folds:
            refuse_bad("clock_ages_s", self.clock_ages_s, {"clock_folds": self.clock_folds})
            rising = all(b > a for a, b in pairwise((0.0, *self.clock_folds)))
            if self.clock_ages_s[0] <= (self.t0_s or 0.0) or not self.clock_folds or not rising or self.acceleration:
                raise ValueError("clock_ages_s, clock_folds: ages after t0_s, folds that rise from 0, no acceleration")
        if self.levels or self.level_factors:
            refuse_bad("levels", self.levels, {"level_factors": self.level_factors})
            if not self.level_factors or self.levels[0] < 0 or self.levels[-1] > 1:
                raise ValueError("levels, level_factors: a factor for each level within 0 .. 1 is needed")
