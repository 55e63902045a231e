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
At = Callable[[Array], Array]
"""Something at levels, (..., sets, ramps)."""
Response = Callable[[Array], At]
"""The mean step under parameters (sets, ...), whose exponentials are taken once."""
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
        step: Mean step at levels, shares of the range a pulse, for given parameters.
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

    def spread(self, u: Array) -> Callable[[Array, Array], Array]:
        """Standard deviation of a step, shares of the range, by the level and the mean step there."""
        if self.spreads:
            own = table(u[:, self.size : self.size + len(KNOTS)])
            return lambda x, step: own(x)
        share = np.exp(u[:, self.size, None])
        return lambda x, step: step * share


def table(logs: Array) -> At:
    """Value at levels, linear between the knots: `logs` are logarithms at the knots, (sets, knots)."""
    values = np.exp(logs)
    rise = np.zeros_like(values)  # at the last knot the share is 0
    rise[:, :-1] = np.diff(values, axis=1)
    values, rise = values.ravel(), rise.ravel()
    row = np.arange(len(logs))[:, None] * len(KNOTS)

    def at(x: Array) -> Array:
        place = np.fmin(np.fmax(x, 0.0), 1.0) * PARTS
        left = place.astype(np.int64)
        share = place - left
        left += row
        return np.asarray(values.take(left) + share * rise.take(left))

    return at


def _constant(u: Array) -> At:
    step = np.exp(u[:, :1])
    return lambda x: np.broadcast_to(step, x.shape)


def _linear(u: Array) -> At:
    step, slope = np.exp(u[:, :1]), u[:, 1:2]
    return lambda x: step * np.maximum(1 - slope * (2 * x - 1), 1e-6)


def _soft(u: Array) -> At:
    step = np.exp(u[:, :1])
    return lambda x: step * np.maximum(1 - x, 1e-6) / 0.5


def _power(u: Array) -> At:
    step, gamma = np.exp(u[:, :1]), np.exp(u[:, 1:2])
    return lambda x: step * np.maximum(1 - x, 1e-6) ** gamma


def _exponential(u: Array) -> At:
    step, amplitude, gamma = np.exp(u[:, :1]), u[:, 1:2], np.exp(u[:, 2:3])
    return lambda x: step * np.maximum(1 - amplitude * np.exp(gamma * (2 * x - 1)), 1e-6)


def _table(u: Array) -> At:
    return table(u[:, : len(KNOTS)])


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
