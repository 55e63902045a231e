"""What a person gave as a number, before anything is computed with it: no text, no yes or no, no tensor."""

from __future__ import annotations

from numbers import Integral, Real


def is_real(value: object) -> bool:
    """A number, NumPy's too; NaN and infinities are for the caller's bounds to refuse."""
    return isinstance(value, Real) and not isinstance(value, bool)


def is_whole(value: object, least: int) -> bool:
    """A whole number of at least `least`."""
    return isinstance(value, Integral) and not isinstance(value, bool) and int(value) >= least
