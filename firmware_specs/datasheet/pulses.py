"""Pulses: how far one programming pulse moves a conductance.

Everything is relative: `x = (G - g_min_s) / (g_max_s - g_min_s)`, 0 at the lowest and 1 at the highest conductance.
"""

from __future__ import annotations

import math
from typing import Annotated, Literal, Protocol, Self, TypeVar

from pydantic import Field, model_validator

from firmware_specs.datasheet.section import NonNegative, Positive, Section


class Number(Protocol):
    """What the laws need of a number: a float, an array or a tensor."""

    def __add__(self, other: float, /) -> Self: ...
    def __sub__(self, other: float, /) -> Self: ...
    def __mul__(self, other: float, /) -> Self: ...


N = TypeVar("N", bound=Number)


class Pulses(Section):
    """One pulse of nominal height and width moves `x` by `step * response(x)`, at most to the end of the range.

    Laws, with `u = (x - zero) / (1 - zero)` and `v = (zero - x) / zero`, which are 1 at either end of the range:
    `constant`: 1. `linear`: `1 - slope_up u` up, `1 - slope_down v` down. `soft_bounds`: linear with both slopes 1.
    `exponential`: `max(0, 1 - amplitude_up exp(gamma_up z))` up, `max(0, 1 - amplitude_down exp(-gamma_down z))` down,
    `z = scale (2x - 1) + shift`. (The laws of aihwkit's ConstantStep, LinearStep, SoftBounds and ExpStep devices.)

    Attributes:
        law: Which; `none`: cells cannot be pulsed.
        step: Share of the range that one pulse moves a cell at response 1 (granularity).
        asymmetry: Up steps are `1 + asymmetry` times, down steps `1 - asymmetry` times that.
        zero: Where the linear law has response 1.
        step_d2d: Relative spread of the step between devices, for life.
        asymmetry_d2d: Spread of the asymmetry between devices, for life.
        bounds_d2d: Spread of either end of a device's own range, as a share of the nominal range, for life.
        c2c: Relative spread of a step from pulse to pulse.
        one_sided: Down pulses are a reset rather than a step: weights are to be moved by up pulses of the two cells of
            a pair, which are rewritten from time to time.
        amplitude_v: Nominal height, volts.
        width_s: Nominal width, seconds.
        threshold_v: Height at and below which nothing moves; above it a step grows linearly with height, and always
            in proportion to width.
    """

    law: Literal["none", "constant", "linear", "soft_bounds", "exponential"] = "none"
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
    step_d2d: NonNegative = 0.0
    asymmetry_d2d: NonNegative = 0.0
    bounds_d2d: NonNegative = 0.0
    c2c: NonNegative = 0.0
    one_sided: bool = False
    amplitude_v: Positive = 1.0
    width_s: Positive = 1e-6
    threshold_v: NonNegative = 0.0

    @property
    def states(self) -> float:
        """Number of steps across the range at response 1."""
        return 1 / self.step

    def response(self, x: N, up: bool) -> N:
        """Relative step at `x`; negative where the exponential law has come to its end."""
        match self.law, up:
            case "linear", True:
                return (x - self.zero) * (-self.slope_up / (1 - self.zero)) + 1.0
            case "linear", False:
                return (x - self.zero) * (self.slope_down / self.zero) + 1.0
            case "soft_bounds", True:
                return (x - self.zero) * (-1 / (1 - self.zero)) + 1.0
            case "soft_bounds", False:
                return (x - self.zero) * (1 / self.zero) + 1.0
            case "exponential", True:
                return _exp(self._z(x) * self.gamma_up) * -self.amplitude_up + 1.0
            case "exponential", False:
                return _exp(self._z(x) * -self.gamma_down) * -self.amplitude_down + 1.0
        return x * 0.0 + 1.0

    def middle_step(self, up: bool) -> float:
        """Share of the range that one nominal pulse moves a cell at the middle of it."""
        return self.step * (1 + self.asymmetry if up else 1 - self.asymmetry) * self.response(0.5, up)

    def effort(self, amplitude_v: float, width_s: float) -> float:
        """Factor on a step for a pulse that is not nominal."""
        if amplitude_v <= self.threshold_v:
            return 0.0
        return (amplitude_v - self.threshold_v) / (self.amplitude_v - self.threshold_v) * width_s / self.width_s

    def _z(self, x: N) -> N:
        return (x * 2.0 - 1.0) * self.scale + self.shift

    @model_validator(mode="after")
    def _complete(self) -> Pulses:
        if self.law != "none" and self.step == 0:
            raise ValueError(f"law {self.law!r} needs step above 0, the share of the range one pulse moves")
        if self.threshold_v >= self.amplitude_v:
            raise ValueError(f"threshold_v = {self.threshold_v} is not below amplitude_v = {self.amplitude_v}")
        for up in (True, False) if self.law != "none" else ():
            self._reaches(up)
        return self

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

        Infinite where a step is too small for a float.
        """
        factor = self.step * (1 + self.asymmetry if up else 1 - self.asymmetry)
        steps = [factor * self.response((5.5 + k) / 100, up) for k in range(90)]
        return sum(0.01 / step for step in steps) if min(steps) > 0 else math.inf


def _exp(x: N) -> N:
    """`e^x`; a power of e, since `math.exp` takes floats only."""
    return math.e**x  # type: ignore[operator]
