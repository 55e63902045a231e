"""Read noise against level and time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, ClassVar

import numpy as np
from pydantic import Field

from firmware_specs.codes import Capability
from firmware_specs.datasheet import Datasheet
from hil.measuring import robust
from hil.measuring.characterize import health
from hil.measuring.characterize.figure import Figure
from hil.measuring.characterize.items.item import ARITHMETIC, READS, Array, Settings, conductances, ladder
from hil.measuring.characterize.probe import Probe
from hil.measuring.characterize.steps import Step, Wait, Write
from hil.measuring.estimate import Estimate, line

if TYPE_CHECKING:
    import xarray as xr

FLOOR = 1e-7
"""Read noise below this share of the range is the arithmetic's, not the device's."""
GROUPS = 16


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
        conductance, reads = conductances(data, level), data.sizes["read"]
        # of noise without a memory, a mean's own error makes the square of a mean too large
        square = np.maximum(conductance**2 - sigma**2 / reads, 1e-12)
        relative = _root_mean(sigma**2 / square, reads)
        additive = _root_mean(sigma**2, reads)
        law, out = None if sheet is None else sheet.read_noise, health.left_out(data)
        stated = {} if law is None else {"none": {"relative": 0.0, "additive": 0.0}}.get(law.law, {law.law: law.sigma})
        figures = [
            Figure(f"{self.NAME}.relative", relative, stated.get("relative"), out),
            Figure(f"{self.NAME}.additive", additive, stated.get("additive"), out),
        ]
        if additive.value > FLOOR and conductance.size >= GROUPS:
            figures.append(Figure(f"{self.NAME}.exponent", exponent(conductance, sigma), None, out))
        return figures


def by_cell(data: xr.Dataset, age: int) -> tuple[Array, Array]:
    """Mean level and standard deviation of every cell that works at one age, flat."""
    flat = data["level"].to_numpy()[age][:, health.good(data)]
    return flat.mean(axis=0), flat.std(axis=0, ddof=1)


def exponent(conductance: Array, sigma: Array) -> Estimate:
    """`p` of `sigma ~ G^p`: 1 for relative noise, 0 for additive noise.

    A group of cells of like conductance stands at the mean of `G^(2p)`, as its mean variance does.
    """
    groups = np.array_split(np.argsort(conductance), GROUPS)
    y = np.array([0.5 * np.log((sigma[g] ** 2).mean()) for g in groups])
    positive = np.maximum(conductance, 1e-9)
    gain = Estimate(1.0, 0.0)
    for _ in range(3):
        power = 2 * max(abs(gain.value), 0.05)
        x = np.array([np.log((positive[g] ** power).mean()) / power for g in groups])
        gain = line(x, y)["gain"]
    return Estimate(gain.value, gain.sigma, freedom=float(GROUPS - 2))


def _root_mean(variance: Array, reads: int) -> Estimate:
    """Root of the mean variance of cells, each known from so many readings."""
    mean = float(variance.mean())
    # of one cell, 2 v^2 / nu, and v^2 is seen too large by (1 + 2 / nu)
    error = float(np.sqrt((variance**2).sum() * 2 / (reads + 1)) / variance.size)
    return robust.root(mean, error).widened(arithmetic=ARITHMETIC)
