"""Means and spreads that a few wild values do not move: what is not of the crowd is left out and counted."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from hil.measuring.estimate import Estimate

Array = NDArray[np.float64]
REACH = 8.0
"""Median deviations beyond which a value is not of the crowd: 5.4 standard deviations of a normal one."""
FEW = 12
"""Of so few values the median deviation is itself a matter of chance: of four normal ones it is so small in 8 % of all
cases that one of them would be left out. The reach grows by `1 + (FEW / n)^2`, which makes that at most 0.2 %."""
LEAST = 4
"""Of fewer values none is left out."""
CONFIDENT = 1.96
ENOUGH = 60
"""Values of a design from which on its course can be told from scatter."""
NEIGHBOURS = 5


def typical(values: Array, floor: float = 0.0) -> NDArray[np.bool_]:
    """Values of the crowd: finite, and within `REACH` median deviations of the median (more where they are few)."""
    finite = np.isfinite(values)
    count = int(finite.sum())
    if count < LEAST:
        return np.asarray(finite)
    off = np.abs(np.where(finite, values, np.inf) - np.median(values[finite]))
    reach = REACH * (1 + (FEW / count) ** 2)
    return np.asarray(off <= max(reach * float(np.median(off[finite])), floor))


def mean(values: Array, unit: str = "1", floor: float = 0.0) -> Estimate:
    """Mean of the crowd and its standard error; NaN with an infinite uncertainty where there is no crowd of two."""
    crowd = values[typical(values, floor)]
    if crowd.size < 2:
        return Estimate(float("nan"), float("inf"), unit)
    return Estimate(
        float(crowd.mean()), float(crowd.std(ddof=1) / np.sqrt(crowd.size)), unit, freedom=float(crowd.size - 1)
    )


def median(values: Array, unit: str = "1") -> Estimate:
    """Median, for values of which one side is cut off, and its standard error `1.2533 s / sqrt(n)`."""
    finite = values[np.isfinite(values)]
    if finite.size < 3:
        return Estimate(float("nan"), float("inf"), unit)
    middle = float(np.median(finite))
    deviation = 1.4826 * float(np.median(np.abs(finite - middle)))
    return Estimate(middle, 1.2533 * deviation / float(np.sqrt(finite.size)), unit, freedom=float(finite.size - 1))


def designed_median(values: Array, by: Array, unit: str = "1") -> Estimate:
    """Median of values that follow something chosen, as the level a cell was written to, and scatter about its course.

    What is chosen is the same the next time, so that its course is no uncertainty. A median `m` of independent values
    of distributions `F_i` and densities `f_i` has the variance `sum F_i (1 - F_i) / (sum f_i)^2` at `m`; here they are
    normal about the course, and as wide as neighbours differ from it.

    Args:
        values: Flat.
        by: What was chosen for each.
        unit: Of the values.
    """
    row = values[np.argsort(by, kind="stable")]
    row = row[np.isfinite(row)]
    if row.size < ENOUGH:
        return median(values, unit)
    middle = float(np.median(row))
    course = np.convolve(np.pad(row, NEIGHBOURS // 2, mode="reflect"), np.full(NEIGHBOURS, 1 / NEIGHBOURS), "valid")
    bend = np.abs(row[2:] - 2 * row[1:-1] + row[:-2])
    near = np.argsort(np.abs(course[1:-1] - middle))[: max(row.size // 4, ENOUGH // 2)]
    size = max(1.4826 * float(np.median(bend[near])) / np.sqrt(6), float(np.median(np.abs(np.diff(course))[near])))
    if size == 0:
        return Estimate(middle, 0.0, unit)
    away = (middle - course) / size
    below, density = stats.norm.cdf(away), stats.norm.pdf(away) / size
    sigma = float(np.sqrt((below * (1 - below)).sum()) / density.sum())
    return Estimate(middle, sigma, unit, freedom=float(near.size / 2))


def spread(values: Array, error2: Array | float = 0.0, unit: str = "1") -> Estimate:
    """Standard deviation of the crowd with the variance of each value's own error taken out.

    Args:
        values: Flat.
        error2: Variance of the error of a value, one for all or one each.
        unit: Of the values.
    """
    chosen = typical(values)
    crowd = values[chosen]
    if crowd.size < 3:
        return Estimate(float("nan"), float("inf"), unit)
    own = float(np.mean(np.broadcast_to(error2, values.shape)[chosen]))
    seen = float(crowd.var(ddof=1))
    fourth = float(np.mean((crowd - crowd.mean()) ** 4))
    # of a variance: of normal values 2 s^4 / nu; of those with longer tails what their fourth moment says
    error = np.sqrt(max(2 * seen**2 / (crowd.size - 1), (fourth - seen**2) / crowd.size))
    return root(seen - own, float(error), unit, float(crowd.size - 1))


def root(variance: float, error: float, unit: str = "1", freedom: float = np.inf) -> Estimate:
    """Square root of a measured variance, which may be below 0 where little but its error is left.

    The standard uncertainty is such that its interval holds the ends of the variance's, so that a spread of nothing is
    not told from 0.

    Args:
        variance: With its own errors taken out.
        error: Standard uncertainty of it.
        unit: Of the root.
        freedom: Degrees of freedom of the error.
    """
    value = float(np.sqrt(max(variance, 0.0)))
    high = float(np.sqrt(max(variance, 0.0) + CONFIDENT * error)) - value
    low = value - float(np.sqrt(max(variance - CONFIDENT * error, 0.0)))
    return Estimate(value, max(high, low) / CONFIDENT, unit, freedom=freedom)


def share(count: int, total: int) -> Estimate:
    """A share of cells or units and its uncertainty, binomial, with one more of either outcome (Laplace).

    None seen is not none there.
    """
    value = count / total
    return Estimate(value, float(np.sqrt((count + 1) * (total - count + 1) / (total + 2) ** 3)))
