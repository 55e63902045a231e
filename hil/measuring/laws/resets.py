"""Where reset pulses of each height take a cell."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from hil.measuring.laws.choice import Chosen, halves, rank
from hil.measuring.laws.samples import OUTLIER, Resets, robust_spread

Array = NDArray[np.float64]
MOST_HEIGHTS = 64


def choose(data: Resets, seed: int = 0) -> Chosen:
    """The law of `ln G` over the height of the pulse: a constant, a line, a cubic, or a table.

    Repeats are the independent units: one half fits, the other judges. The spread of every height is that of its own
    residuals, the same for all laws but the constant.
    """
    y, volts = np.log(data.siemens), data.volts
    spread = robust_spread(y, axis=0)
    wild = np.abs(y - np.median(y, axis=0)) > OUTLIER * np.maximum(spread, 1e-12)
    y = np.where(wild, np.nan, y)
    train, held = halves(len(y), seed)
    u = (volts - volts.mean()) / max(float(np.ptp(volts)), 1e-12)

    def polynomial(degree: int) -> Callable[[Array], Array]:
        return lambda rows: np.asarray(np.polyval(np.polyfit(u, np.nanmedian(rows, axis=0), degree), u), np.float64)

    laws = {"constant": (1, polynomial(0)), "line": (2, polynomial(1)), "cubic": (4, polynomial(3)),
            "table": (len(volts), lambda rows: np.nanmean(rows, axis=0))}  # fmt: skip
    likelihoods = {}
    for name, (size, law) in laws.items():
        if name != "table" and size >= len(volts):
            continue
        middle = law(y[train])
        sigma = np.sqrt(np.nanmean((y[train] - middle) ** 2, axis=0))
        ll = -0.5 * ((y[held] - middle) / sigma) ** 2 - np.log(sigma) - 0.5 * np.log(2 * np.pi)
        likelihoods[name] = (size + len(volts), np.nansum(ll, axis=1))
    name, scores = rank(likelihoods, int(np.isfinite(y[held]).sum()))
    middle = laws[name][1](y)
    sigma = np.sqrt(np.nanmean((y - middle) ** 2, axis=0))
    keep = np.unique(np.linspace(0, len(volts) - 1, min(len(volts), MOST_HEIGHTS)).astype(int))
    reset = {"volts": volts[keep].tolist(), "g_s": np.exp(middle[keep]).tolist(), "spread": sigma[keep].tolist()}
    error = float((sigma / np.sqrt(np.isfinite(y).sum(axis=0))).mean())
    rising = np.diff(middle)
    notes = [
        f"{wild.mean():.2%} of the readings left out",
        f"standard uncertainty of each ln G: {error:.2g} on average",
    ]
    if (rising > 2 * error).any() and (rising < -2 * error).any():
        notes.append("not monotone in the height")
    return Chosen(name, {"pulses": {"reset": reset, "one_sided": True}}, {}, scores,
                  f"{len(train)} and {len(held)} repeats of each of {len(volts)} heights", notes)  # fmt: skip
