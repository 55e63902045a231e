"""Tables: a law as it was measured, a few points and straight lines between them."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Protocol, Self, TypeVar

import numpy as np


class Number(Protocol):
    """What the laws need of a number: a float, an array or a tensor."""

    def __add__(self, other: float, /) -> Self: ...
    def __sub__(self, other: float, /) -> Self: ...
    def __mul__(self, other: float, /) -> Self: ...
    def __abs__(self) -> Self: ...


N = TypeVar("N", bound=Number)

MOST_POINTS = 128
"""Points a table may have."""


def interpolate(x: N, at: Sequence[float], values: Sequence[float]) -> N:
    """Value at `x`, linear between the points, constant beyond the first and the last.

    A sum of ramps `(|x - a| - |x - b|) / 2`, so that it works on whatever has an absolute value.

    Args:
        x: Where.
        at: Points, rising.
        values: Values there, as many.
    """
    if isinstance(x, np.ndarray):  # the same function, in one pass
        return np.interp(x, at, values).astype(x.dtype)  # type: ignore[return-value]
    found = x * 0.0 + (values[0] + values[-1]) / 2
    for (a, b), (low, high) in zip(pairwise(at), pairwise(values), strict=True):
        if high != low:
            found = found + (abs(x - a) - abs(x - b)) * ((high - low) / (b - a) / 2)  # type: ignore[operator]
    return found


def refuse_bad(name: str, at: Sequence[float], columns: dict[str, Sequence[float]], non_negative: bool = True) -> None:
    """Raises `ValueError` where the points of a table do not rise or a column has another length or a value below 0.

    Args:
        name: Key of the points.
        at: The points.
        columns: The other keys; an empty one is left out.
        non_negative: Values must be 0 or more.
    """
    if not 2 <= len(at) <= MOST_POINTS:
        raise ValueError(f"{name}: a table has 2 to {MOST_POINTS} points, got {len(at)}")
    if any(b <= a for a, b in pairwise(at)):
        raise ValueError(f"{name}: points must rise, got {', '.join(f'{a:g}' for a in at)}")
    for key, values in columns.items():
        if values and len(values) != len(at):
            raise ValueError(f"{key}: {len(values)} values for the {len(at)} points of {name}")
        if non_negative and any(v < 0 for v in values):
            raise ValueError(f"{key}: values of 0 or more are needed, got {min(values):g}")
