"""Yes or no of numbers: what is not a number is never a yes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import numpy as np
from scipy import stats

from hil.measuring.estimate import Estimate

Verdict = Literal["agrees", "differs", "no figure", "not measured"]
LEVEL = 0.9973
"""Confidence of a verdict: of 370 figures that are as stated, one is said to differ."""


def within(value: float, limit: float) -> bool:
    """Is a value at most a limit? False where either is not a number."""
    return bool(value <= limit)


def beyond(value: float, limit: float) -> bool:
    """Is a value not known to be at most a limit? True where either is not a number: the safe side of a limit."""
    return not within(value, limit)


def against(measured: Estimate, stated: float | None) -> Verdict:
    """A measured figure beside a stated one: they differ where the difference is beyond the expanded uncertainty."""
    if stated is None:
        return "no figure"
    if not all(map(math.isfinite, (measured.value, measured.sigma, stated))):
        return "not measured"
    return "agrees" if within(abs(measured.value - stated), measured.expanded(LEVEL)) else "differs"


def between(found: Sequence[Estimate]) -> str:
    """Is the difference between several measurements of one figure more than their uncertainties? In words.

    Figures without an uncertainty are compared as what they are: equal or not.
    """
    if len(found) < 2:
        return ""
    if not all(math.isfinite(e.value) and math.isfinite(e.sigma) for e in found):
        return "not measured on all"
    exact, inexact = [e.value for e in found if e.sigma == 0], [e for e in found if e.sigma > 0]
    if len(set(exact)) > 1:
        return "differ, no uncertainty is known"
    if not inexact:
        return "the same"
    value, sigma = np.array([e.value for e in inexact]), np.array([e.sigma for e in inexact])
    mean = exact[0] if exact else float((value / sigma**2).sum() / (1 / sigma**2).sum())
    chi2, freedom = float((((value - mean) / sigma) ** 2).sum()), len(found) - 1
    if within(chi2, float(stats.chi2.ppf(LEVEL, freedom))):
        return "within uncertainty"
    return f"{math.sqrt(chi2 / freedom):.1f} times the uncertainty"
