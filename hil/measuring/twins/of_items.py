"""A characterization of ours in the form in which tables of others are taken: readings, cell by cell."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from hil.measuring.characterize import health
from hil.measuring.characterize.items.item import alive
from hil.measuring.characterize.run import Characterization
from hil.measuring.imports.readings import Readings
from hil.measuring.laws.flicker import AGES, Scatter

if TYPE_CHECKING:
    import xarray as xr

Array = NDArray[np.float64]


def readings_of(found: Characterization) -> dict[str, Readings]:
    """Readings by kind; cells that do not follow what is written are left out."""
    good = None
    if "programming" in found.data:
        good = np.flatnonzero(working(found.data["programming"]).ravel())
    readings = {}
    if "pulse_response" in found.data:
        readings["ramps"] = _ramps(found.data["pulse_response"], good)
    if "drift" in found.data:
        readings["retention"] = _retention(found.data["drift"], good)
    if "read_noise" in found.data:
        readings["reads"] = _reads(found.data["read_noise"])
    if "programming" in found.data:
        readings["writes"] = _writes(found.data["programming"], good)
    return readings


def working(data: xr.Dataset) -> NDArray[np.bool_]:
    """Cells that follow what is written, (planes, rows, columns): as the first look said, else by the writes."""
    return health.good(data) if health.looked(data) else alive(data["level"].to_numpy().mean(axis=1))


def _siemens(data: xr.Dataset, good: NDArray[np.int64] | None) -> Array:
    """Mean of the reads of every cell, (steps, cells)."""
    low, high = float(data.attrs["g_min_s"]), float(data.attrs["g_max_s"])
    flat = data["level"].to_numpy().mean(axis=1).reshape(data.sizes["step"], -1)
    flat = flat if good is None else flat[:, good]
    return np.asarray(low + flat * (high - low), dtype=np.float64)


def _ramps(data: xr.Dataset, good: NDArray[np.int64] | None) -> Readings:
    """Ways up and down; the last reading of a way is the first of the next."""
    siemens, direction, count = _siemens(data, good), data["direction"].to_numpy(), data["pulses"].to_numpy()
    cells, turns = siemens.shape[1], np.flatnonzero(np.diff(direction) != 0) + 1
    parts: dict[str, list[Array]] = {"conductance": [], "pulse": [], "polarity": [], "cycle": []}
    for number, way in enumerate(np.split(np.arange(len(direction)), turns)):
        if direction[way[0]] == 0:
            continue
        steps = np.concatenate([[way[0] - 1], way])
        taken = np.concatenate([[0.0], np.cumsum(count[way])])
        parts["conductance"].append(siemens[steps].ravel())
        parts["pulse"].append(np.repeat(taken, cells))
        parts["polarity"].append(np.full(len(steps) * cells, direction[way[0]]))
        parts["cycle"].append(np.full(len(steps) * cells, float(number)))
    columns = {name: np.concatenate(values) for name, values in parts.items()}
    for name in ("amplitude", "width"):
        columns[name] = np.full(len(columns["pulse"]), float(data[name][0]))
    cell = np.tile(np.arange(cells), len(columns["pulse"]) // cells)
    return Readings("ramps", cell, columns)


def _retention(data: xr.Dataset, good: NDArray[np.int64] | None) -> Readings:
    siemens, age = _siemens(data, good), data["age"].to_numpy()
    cell = np.tile(np.arange(siemens.shape[1]), len(age))
    return Readings("retention", cell, {"time": np.repeat(age, siemens.shape[1]), "conductance": siemens.ravel()})


TIMED = 20
"""Ages of the read noise from which on a cell's readings, one an age, are a series in time."""


def timed(data: xr.Dataset) -> bool:
    """Are the readings of the read noise a series whose times are known?"""
    return int(data.sizes["step"]) >= TIMED


def _reads(data: xr.Dataset) -> Readings:
    """The first reading of every age where there are many ages; else those of the first age, by their number."""
    low, high = float(data.attrs["g_min_s"]), float(data.attrs["g_max_s"])
    level = data["level"].to_numpy()
    level = (level[:, 0] if timed(data) else level[0])[:, health.good(data)]
    time = data["age"].to_numpy() if timed(data) else np.arange(len(level), dtype=np.float64)
    cells = level.shape[1]
    columns = {"time": np.repeat(time, cells), "conductance": (low + level * (high - low)).ravel()}
    return Readings("reads", np.tile(np.arange(cells), len(level)), columns)


def scatter_of(found: Characterization) -> Scatter | None:
    """How readings scatter at several ages since a write: of the drift, else of the read noise; None: too few ages."""
    for name in ("drift", "read_noise"):
        if name not in found.data:
            continue
        data = found.data[name]
        age, good = data["age"].to_numpy(), health.good(data)
        later = age > 0
        if later.sum() < AGES:
            continue
        low, high = float(data.attrs["g_min_s"]), float(data.attrs["g_max_s"])
        siemens = low + data["level"].to_numpy()[later][:, :, good] * (high - low)
        mean, variance = siemens.mean(axis=1), siemens.var(axis=1, ddof=1)
        return Scatter(mean.T, variance.T, age[later], siemens.shape[1] - 1)
    return None


def _writes(data: xr.Dataset, good: NDArray[np.int64] | None) -> Readings:
    siemens = _siemens(data, good)
    low, high = float(data.attrs["g_min_s"]), float(data.attrs["g_max_s"])
    target = np.repeat(low + data["target"].to_numpy() * (high - low), siemens.shape[1])
    cell = np.tile(np.arange(siemens.shape[1]), len(siemens))
    return Readings("writes", cell, {"target": target, "conductance": siemens.ravel()})
