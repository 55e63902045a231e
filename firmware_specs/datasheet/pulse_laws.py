"""Pulse laws: how far one pulse moves a cell, as a multiple of the nominal step, at a relative conductance.

Each is `f(pulses, x, up) -> relative step`, the registry's kind `laws`; `x` is a float, an array or a tensor, so a law
is plain arithmetic. A law of one's own takes its figures as keyword-only parameters, from `pulses.figures`. Formulas:
`firmware_specs.datasheet.pulses.Pulses`.
"""

from __future__ import annotations

import math
from typing import Protocol

from firmware_specs.datasheet.table import N, interpolate


class Figures(Protocol):
    """What the shipped laws take of a datasheet's section."""

    @property
    def zero(self) -> float: ...  # noqa: D102
    @property
    def slope_up(self) -> float: ...  # noqa: D102
    @property
    def slope_down(self) -> float: ...  # noqa: D102
    @property
    def amplitude_up(self) -> float: ...  # noqa: D102
    @property
    def amplitude_down(self) -> float: ...  # noqa: D102
    @property
    def gamma_up(self) -> float: ...  # noqa: D102
    @property
    def gamma_down(self) -> float: ...  # noqa: D102
    @property
    def scale(self) -> float: ...  # noqa: D102
    @property
    def shift(self) -> float: ...  # noqa: D102
    @property
    def levels(self) -> tuple[float, ...]: ...  # noqa: D102
    @property
    def up(self) -> tuple[float, ...]: ...  # noqa: D102
    @property
    def down(self) -> tuple[float, ...]: ...  # noqa: D102


def none(pulses: Figures, x: N, up: bool) -> N:
    """Cells cannot be pulsed."""
    return x * 0.0 + 1.0


def constant(pulses: Figures, x: N, up: bool) -> N:
    """The same step everywhere."""
    return x * 0.0 + 1.0


def linear(pulses: Figures, x: N, up: bool) -> N:
    """Steps that shrink linearly towards either end, by `slope_up` and `slope_down`."""
    if up:
        return (x - pulses.zero) * (-pulses.slope_up / (1 - pulses.zero)) + 1.0
    return (x - pulses.zero) * (pulses.slope_down / pulses.zero) + 1.0


def soft_bounds(pulses: Figures, x: N, up: bool) -> N:
    """Linear with both slopes 1: steps end where the range does."""
    return (x - pulses.zero) * (-1 / (1 - pulses.zero) if up else 1 / pulses.zero) + 1.0


def exponential(pulses: Figures, x: N, up: bool) -> N:
    """Steps that shrink exponentially; negative where it has come to its end."""
    z = (x * 2.0 - 1.0) * pulses.scale + pulses.shift
    if up:
        return _exp(z * pulses.gamma_up) * -pulses.amplitude_up + 1.0
    return _exp(z * -pulses.gamma_down) * -pulses.amplitude_down + 1.0


def power(pulses: Figures, x: N, up: bool) -> N:
    """`(1 - x)^gamma_up` up, `x^gamma_down` down."""
    if up:
        return (x * -1.0 + 1.0) ** pulses.gamma_up  # type: ignore[operator]
    return x**pulses.gamma_down  # type: ignore[operator]


def table(pulses: Figures, x: N, up: bool) -> N:
    """What was measured at `levels`, linear between them."""
    return interpolate(x, pulses.levels, pulses.up if up else pulses.down)


def _exp(x: N) -> N:
    """`e^x`; a power of e, since `math.exp` takes floats only."""
    return math.e**x  # type: ignore[operator]
