"""Families of pulse laws: the mean step at a level, and its spread from pulse to pulse.

Parameters are of order one, logarithms where a quantity is positive, (sets, parameters) for levels (sets, ramps). All
is said for one direction, seen as upwards: for down pulses the level is turned about, `1 - x`, so that every family is
written once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Response = Callable[[Array, Array], Array]
KNOTS = np.linspace(0.0, 1.0, 9)
"""Levels of a fitted table; aihwkit's PiecewiseStep device wants them equidistant as well."""
PARTS = len(KNOTS) - 1


@dataclass(frozen=True)
class Family:
    """One family.

    Attributes:
        name: The law's name in a datasheet; "table with spreads" where the spread is a table of its own.
        size: Number of parameters of the mean step.
        start: Those to begin with, from the step at mid-range and the steps at `KNOTS`.
        step: Mean step at levels, shares of the range a pulse.
        spreads: Is the spread from pulse to pulse a table of its own, or a constant share of the step?
    """

    name: str
    size: int
    start: Callable[[float, Array], Sequence[float]]
    step: Response
    spreads: bool = False

    @property
    def parameters(self) -> int:
        """How many it has, read noise apart."""
        return self.size + (len(KNOTS) if self.spreads else 1)

    def spread(self, u: Array, x: Array) -> Array:
        """Standard deviation of a step at levels, shares of the range."""
        if self.spreads:
            return table(u[:, self.size : self.size + len(KNOTS)], x)
        return self.step(u, x) * np.exp(u[:, self.size, None])


def table(logs: Array, x: Array) -> Array:
    """Value at levels, linear between the knots: `logs` are logarithms at the knots, (sets, knots)."""
    place = np.clip(x, 0, 1) * PARTS
    left = np.minimum(place.astype(np.int64), PARTS - 1)
    share = place - left
    values = np.exp(logs)
    low, high = np.take_along_axis(values, left, axis=1), np.take_along_axis(values, left + 1, axis=1)
    return low + share * (high - low)


def _constant(u: Array, x: Array) -> Array:
    return np.exp(u[:, :1]) + np.zeros_like(x)


def _linear(u: Array, x: Array) -> Array:
    return np.exp(u[:, :1]) * np.maximum(1 - u[:, 1:2] * (2 * x - 1), 1e-6)


def _soft(u: Array, x: Array) -> Array:
    return np.exp(u[:, :1]) * np.maximum(1 - x, 1e-6) / 0.5


def _power(u: Array, x: Array) -> Array:
    return np.exp(u[:, :1]) * np.clip(1 - x, 1e-6, None) ** np.exp(u[:, 1:2])


def _exponential(u: Array, x: Array) -> Array:
    return np.exp(u[:, :1]) * np.maximum(1 - u[:, 1:2] * np.exp(np.exp(u[:, 2:3]) * (2 * x - 1)), 1e-6)


def _table(u: Array, x: Array) -> Array:
    return table(u[:, : len(KNOTS)], x)


def _bend(steps: Array) -> float:
    return float(np.clip((steps[1] - steps[-2]) / (steps[1] + steps[-2]) / 0.75, -0.9, 0.9))


FAMILIES: tuple[Family, ...] = (
    Family("constant", 1, lambda s, t: [np.log(s)], _constant),
    Family("linear", 2, lambda s, t: [np.log(s), _bend(t)], _linear),
    Family("soft_bounds", 1, lambda s, t: [np.log(s)], _soft),
    Family("power", 2, lambda s, t: [np.log(s), -1.0], _power),
    Family("exponential", 3, lambda s, t: [np.log(s), _bend(t) / 2, 0.0], _exponential),
    Family("table", len(KNOTS), lambda s, t: list(np.log(t)), _table),
    Family("table with spreads", len(KNOTS), lambda s, t: list(np.log(t)), _table, spreads=True),
)
