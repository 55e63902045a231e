"""What is refused before anything is sent: values that are not finite, or beyond a limit."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from drivers.errors import OutOfRange


def finite(what: str, values: NDArray[np.float64] | float, device: str) -> None:
    """Refuses NaN and infinities.

    Raises:
        OutOfRange: there are some.
    """
    if not np.isfinite(values).all():
        raise OutOfRange(
            f"{what}: {int((~np.isfinite(values)).sum())} values are not finite; nothing was sent", device=device
        )


def within(what: str, value: float, limit: float, unit: str, device: str) -> None:
    """Refuses a magnitude beyond a limit.

    Raises:
        OutOfRange: it is, or is not a number.
    """
    if not math.isfinite(value) or abs(value) > limit * (1 + 1e-9):
        raise OutOfRange(f"{what} {value:g} {unit} is beyond {limit:g} {unit}; nothing was sent", device=device)
