"""Read noise against level and time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, ClassVar

import numpy as np
import xarray as xr
from pydantic import Field

from firmware_specs.codes import Capability
from firmware_specs.datasheet import Datasheet
from hil.measuring.characterize.figure import Figure
from hil.measuring.characterize.items.item import READS, Array, Settings, ladder
from hil.measuring.characterize.probe import Probe
from hil.measuring.characterize.steps import Step, Wait, Write
from hil.measuring.estimate import Estimate, line

FLOOR = 1e-7
"""Read noise below this share of the range is the arithmetic's, not the device's."""


class ReadNoise(Settings):
    """Reads cells of all levels again and again, at several ages.

    Attributes:
        reads: Readings at every age.
        waits_s: Time between one age and the next.
    """

    NAME: ClassVar[str] = "read_noise"
    NEEDS: ClassVar[tuple[Capability, ...]] = (Capability.WRITE, Capability.MEASURE)
    DIMS: ClassVar[Mapping[str, tuple[str, ...]]] = {"level": READS}
    UNITS: ClassVar[Mapping[str, str]] = {"level": "1", "age": "s"}

    reads: Annotated[int, Field(ge=4)] = 32
    waits_s: Annotated[tuple[float, ...], Field(min_length=1)] = (0.0,)

    def steps(self, probe: Probe) -> Sequence[Step]:
        """One write, then one row of readings an age."""
        rows, age = [], 0.0
        for number, wait_s in enumerate(self.waits_s):
            age += wait_s
            deeds = (*((Write(ladder(probe)),) if number == 0 else ()), *((Wait(wait_s),) if wait_s else ()))
            rows.append(Step(lambda p: {"level": p.read(self.reads)}, deeds, {"age": age}))
        return rows

    def conclude(self, data: xr.Dataset, sheet: Datasheet | None) -> list[Figure]:
        """Relative and additive sigma at the first age, and how sigma grows with the conductance."""
        level, sigma = by_cell(data, 0)
        offset = _offset(data)
        relative = _root_mean((sigma / (level + offset)) ** 2, self.reads)
        additive = _root_mean(sigma**2, self.reads)
        noise = None if sheet is None else sheet.read_noise
        figures = [
            Figure(f"{self.NAME}.relative", relative, noise.sigma if noise and noise.law == "relative" else None),
            Figure(f"{self.NAME}.additive", additive, noise.sigma if noise and noise.law == "additive" else None),
        ]
        if additive.value > FLOOR:
            figures.append(Figure(f"{self.NAME}.exponent", exponent(level + offset, sigma)))
        return figures


def by_cell(data: xr.Dataset, age: int) -> tuple[Array, Array]:
    """Mean level and standard deviation of every cell at one age, flat."""
    readings = data["level"].to_numpy()[age]
    flat = readings.reshape(len(readings), -1)
    return flat.mean(axis=0), flat.std(axis=0, ddof=1)


def exponent(conductance: Array, sigma: Array) -> Estimate:
    """`p` of `sigma ~ G^p`: 1 for relative noise, 0 for additive noise."""
    order = np.argsort(conductance)
    groups = np.array_split(order, 16)
    x = np.array([np.log(conductance[g].mean()) for g in groups])
    y = np.array([0.5 * np.log((sigma[g] ** 2).mean()) for g in groups])
    return line(x, y)["gain"]


def _offset(data: xr.Dataset) -> float:
    """`g_min / (g_max - g_min)`: conductances are `level + offset` spans."""
    low, high = float(data.attrs["g_min_s"]), float(data.attrs["g_max_s"])
    return low / (high - low)


def _root_mean(variance: Array, reads: int) -> Estimate:
    mean = float(variance.mean())
    return Estimate(float(np.sqrt(mean)), float(np.sqrt(mean / (2 * (reads - 1) * variance.size))))
