"""Pulses: how far one programming pulse moves a conductance.

Everything is relative: `x = (G - g_min_s) / (g_max_s - g_min_s)`, 0 at the lowest and 1 at the highest conductance.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cached_property
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from firmware_specs.datasheet.heights import Heights, Reset
from firmware_specs.datasheet.own_law import check
from firmware_specs.datasheet.section import NonNegative, Positive, Section
from firmware_specs.datasheet.table import N, interpolate, refuse_bad
from firmware_specs.registry import find


class Pulses(Section):
    """One pulse of nominal height and width moves `x` by `step * response(x)`, at most to the end of the range.

    Laws, with `u = (x - zero) / (1 - zero)` and `v = (zero - x) / zero`, which are 1 at either end of the range:
    `constant`: 1. `linear`: `1 - slope_up u` up, `1 - slope_down v` down. `soft_bounds`: linear with both slopes 1.
    `exponential`: `max(0, 1 - amplitude_up exp(gamma_up z))` up, `max(0, 1 - amplitude_down exp(-gamma_down z))` down,
    `z = scale (2x - 1) + shift`. `power`: `(1 - x)^gamma_up` up, `x^gamma_down` down. `table`: what was measured at
    `levels`, `up` and `down`, linear between them. (The laws of aihwkit's ConstantStep, LinearStep, SoftBounds,
    ExpStep, PowStep and PiecewiseStep devices.)

    Attributes:
        slope_up: Of `linear`.
        slope_down: Of `linear`.
        amplitude_up: Of `exponential`.
        amplitude_down: Of `exponential`.
        gamma_up: Of `exponential` and `power`.
        gamma_down: Of `exponential` and `power`.
        scale: Of `exponential`.
        shift: Of `exponential`.
        law: Which; `none`: cells cannot be pulsed. Or one of the registry's kind `laws` (`hil list laws`), or
            `module:attribute`.
        figures: Of a law of one's own, by name.
        step: Share of the range that one pulse moves a cell at response 1 (granularity).
        asymmetry: Up steps are `1 + asymmetry` times, down steps `1 - asymmetry` times that.
        zero: Where the linear law has response 1.
        levels: Where the `table` law was measured, `x` rising from 0 to 1.
        up: Relative up step at each level.
        down: Relative down step at each level.
        spread_up: Standard deviation of one up step from pulse to pulse at each level, in `step`s; empty: by `c2c`.
        spread_down: The same of down steps.
        step_d2d: Relative spread of the step between devices, for life.
        step_spread: How it is distributed: `normal`, factor `1 + step_d2d xi`, or `log_normal`, `exp(step_d2d xi)`.
        asymmetry_d2d: Spread of the asymmetry between devices, for life.
        bounds_d2d: Spread of either end of a device's own range, as a share of the nominal range, for life.
        c2c: Relative spread of a step from pulse to pulse.
        write_noise: Spread of where a pulsed cell is seen about where its pulses have brought it, in `step`s: drawn
            anew by every train of pulses, kept until the next, never added up.
        write_noise_memory: Pulses in which a cell forgets it, to `1/e` (first-order autoregressive); 0: at the next.
        one_sided: Down pulses are a reset rather than a step: weights are to be moved by up pulses of the two cells of
            a pair, which are rewritten from time to time.
        amplitude_v: Nominal height, volts.
        width_s: Nominal width, seconds.
        threshold_v: Height at and below which nothing moves; above it a step grows linearly with height, and always
            in proportion to width.
        heights: Instead of that line, a table over the height.
        reset: Where down pulses of each height take a one-sided device, whatever it was before.
    """

    law: str = "none"
    figures: dict[str, float] = Field(default_factory=dict)
    step: Annotated[float, Field(ge=0, le=1)] = 0.0
    asymmetry: Annotated[float, Field(gt=-1, lt=1)] = 0.0
    zero: Annotated[float, Field(gt=0, lt=1)] = 0.5
    slope_up: float = 0.0
    slope_down: float = 0.0
    amplitude_up: float = 0.0
    amplitude_down: float = 0.0
    gamma_up: NonNegative = 0.0
    gamma_down: NonNegative = 0.0
    scale: float = 1.0
    shift: float = 0.0
    levels: tuple[float, ...] = ()
    up: tuple[float, ...] = ()
    down: tuple[float, ...] = ()
    spread_up: tuple[float, ...] = ()
    spread_down: tuple[float, ...] = ()
    step_d2d: NonNegative = 0.0
    step_spread: Literal["normal", "log_normal"] = "normal"
    asymmetry_d2d: NonNegative = 0.0
    bounds_d2d: NonNegative = 0.0
    c2c: NonNegative = 0.0
    write_noise: NonNegative = 0.0
    write_noise_memory: NonNegative = 0.0
    one_sided: bool = False
    amplitude_v: Positive = 1.0
    width_s: Positive = 1e-6
    threshold_v: NonNegative = 0.0
    heights: Heights | None = None
    reset: Reset | None = None

    @property
    def states(self) -> float:
        """Number of steps across the range at response 1."""
        return 1 / self.step

    @cached_property
    def rule(self) -> Callable[..., Any]:
        """The law itself, `f(pulses, x, up)`."""
        found: Callable[..., Any] = find("laws", self.law)
        return found

    def response(self, x: N, up: bool) -> N:
        """Relative step at `x`; negative where the exponential law has come to its end."""
        found: N = self.rule(self, x, up, **self.figures)
        return found

    def spread(self, x: N, up: bool) -> N:
        """Standard deviation of one step from pulse to pulse at `x`, in steps."""
        table = self.spread_up if up else self.spread_down
        return interpolate(x, self.levels, table) if table else self.response(x, up) * self.c2c

    def middle_step(self, up: bool) -> float:
        """Share of the range that one nominal pulse moves a cell at the middle of it."""
        return self.step * (1 + self.asymmetry if up else 1 - self.asymmetry) * self.response(0.5, up)

    def effort(self, amplitude_v: float, width_s: float, up: bool = True) -> float:
        """Factor on a step for a pulse that is not nominal."""
        if self.heights is not None:
            return self.heights.factor(amplitude_v, up) * width_s / self.width_s
        if amplitude_v <= self.threshold_v:
            return 0.0
        return (amplitude_v - self.threshold_v) / (self.amplitude_v - self.threshold_v) * width_s / self.width_s

    @model_validator(mode="after")
    def _complete(self) -> Pulses:
        check("laws", self.law, self.figures)
        if self.law != "none" and self.step == 0:
            raise ValueError(f"law {self.law!r} needs step above 0, the share of the range one pulse moves")
        if self.threshold_v >= self.amplitude_v:
            raise ValueError(f"threshold_v = {self.threshold_v} is not below amplitude_v = {self.amplitude_v}")
        self._tables()
        for up in (True, False) if self.law != "none" else ():
            if up or self.reset is None:
                self._reaches(up)
        return self

    def _tables(self) -> None:
        columns = {key: getattr(self, key) for key in ("up", "down", "spread_up", "spread_down")}
        if self.law == "table":
            refuse_bad("levels", self.levels, columns)
            if (self.levels[0], self.levels[-1]) != (0.0, 1.0) or not (self.up and self.down):
                raise ValueError("law 'table' needs levels from 0 to 1, and up and down, the relative steps there")
            if bool(self.spread_up) != bool(self.spread_down):
                raise ValueError("spread_up and spread_down: give both or neither")
        elif self.levels or any(columns.values()):
            raise ValueError(f"levels, up, down, spread_up and spread_down belong to law 'table', not to {self.law!r}")
        if self.reset is not None and not self.one_sided:
            raise ValueError("reset: down pulses reset a one-sided device only: one_sided = true is needed")

    def _reaches(self, up: bool) -> None:
        """Refuses a law whose steps end before 95 % of the range; soft bounds only come near its end."""
        for percent in range(5, 96):
            x = percent / 100 if up else 1 - percent / 100
            try:
                goes_on = self.response(x, up) > 0
            except OverflowError:
                goes_on = False
            if not goes_on:
                raise ValueError(
                    f"law {self.law!r} cannot reach its range: going {'up' if up else 'down'}, "
                    f"steps end at x = {x:.2f} of 0 .. 1"
                )

    def pulses_across(self, up: bool) -> float:
        """Nominal pulses from 5 % to 95 % of the range, or back: the integral of `dx / (step response(x))`.

        Infinite where a step is too small for a float; 1 where a down pulse resets.
        """
        if not up and self.reset is not None:
            return 1.0
        factor = self.step * (1 + self.asymmetry if up else 1 - self.asymmetry)
        steps = [factor * self.response((5.5 + k) / 100, up) for k in range(90)]
        return sum(0.01 / step for step in steps) if min(steps) > 0 else math.inf
