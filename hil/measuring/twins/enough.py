"""How many readings a law needs at least: with fewer there is nothing to fit one half to and to judge by the other."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hil.measuring.imports.readings import Readings

MOST = {"conductance": (1e6, "S"), "time": (1e15, "s")}
"""No cell conducts as much or is watched as long."""


@dataclass(frozen=True)
class Need:
    """Of a kind of readings: what is counted, how, and how many there must be."""

    least: int
    what: str
    count: Callable[[Readings], int]


def _each(readings: Readings, *names: str) -> NDArray[np.int64]:
    """How many readings are alike in these columns."""
    keys = [np.zeros(len(readings)) if (c := readings.columns.get(n)) is None else c for n in names]
    alike = keys if names == ("amplitude",) else [readings.cell.astype(np.float64), *keys]
    return np.unique(np.stack(alike), axis=1, return_counts=True)[1]


NEEDS: Mapping[str, Need] = {
    "ramps": Need(2, "changes after pulses", lambda r: len(r) - len(_each(r, "cycle", "polarity"))),
    "retention": Need(3, "cells read at two ages", lambda r: int((_each(r) > 1).sum())),
    "reads": Need(2, "readings of the cell with the fewest", lambda r: int(_each(r).min())),
    "writes": Need(2, "writes", len),
    "resets": Need(2, "repeats of the height with the fewest", lambda r: int(_each(r, "amplitude").min())),
}


def lacking(readings: Readings) -> str | None:
    """What keeps these readings from telling any law, one sentence; None if nothing does."""
    for name, (most, unit) in MOST.items():
        top = float(np.max(readings.columns.get(name, 0.0)))
        if not top < most:
            return f"{name} {top:.3g} {unit}: less than {most:g} {unit} is expected, see the units of the mapping"
    need = NEEDS[readings.kind]
    count = need.count(readings)
    if count >= need.least:
        return None
    return f"{need.what}: {count}; {need.least} are needed to fit a law and to judge it"
