"""What every measurement has in common."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray
from pydantic import ConfigDict

from firmware_specs.codes import Capability
from firmware_specs.datasheet import Datasheet
from firmware_specs.datasheet.section import Plain
from hil.measuring.characterize.figure import Figure
from hil.measuring.characterize.probe import Probe
from hil.measuring.characterize.steps import Step

if TYPE_CHECKING:
    import xarray as xr

Array = NDArray[np.float64]
CELLS = ("plane", "row", "column")
READS = ("read", *CELLS)
ARITHMETIC = 1e-6
"""Relative error of single-precision arithmetic in a device, and of its conductance codes."""


class Settings(Plain):
    """Settings of a measurement, as a plan gives them: unknown keys refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    def refusal(self, probe: Probe) -> str:
        """Nothing stands against it."""
        return ""


class Item(Protocol):
    """A measurement.

    Attributes:
        NAME: In plans, files and figures.
        NEEDS: Capabilities without which it is skipped.
        DIMS: Dimensions of every variable of a step's record.
        UNITS: Unit of every variable and coordinate.
    """

    NAME: ClassVar[str]
    NEEDS: ClassVar[tuple[Capability, ...]]
    DIMS: ClassVar[Mapping[str, tuple[str, ...]]]
    UNITS: ClassVar[Mapping[str, str]]

    def steps(self, probe: Probe) -> Sequence[Step]:
        """The row of steps; the same every time for the same settings and device."""

    def refusal(self, probe: Probe) -> str:
        """Why it cannot be measured although the device could; empty where it can."""

    def conclude(self, data: xr.Dataset, sheet: Datasheet | None) -> list[Figure]:
        """Figures from the complete measurement, beside what a datasheet says."""


def ladder(probe: Probe, low: float = 0.1, high: float = 0.9) -> Array:
    """Levels that run through the range from cell to cell, so that one write meets all of it; (planes, rows, columns).

    Consecutive cells are far apart, so that no region of the array has one level.
    """
    return ladder_of(probe.shape, low, high)


def ladder_of(shape: tuple[int, ...], low: float = 0.1, high: float = 0.9) -> Array:
    """The levels of `ladder` for cells of a shape."""
    order = (np.arange(int(np.prod(shape))) * 0.6180339887498949) % 1.0
    return np.asarray(low + (high - low) * order, dtype=np.float64).reshape(shape)


def conductances(data: xr.Dataset, readings: Array | None = None) -> Array:
    """Conductances in spans of the range, `level + g_min / (g_max - g_min)`; means over the readings of every step.

    Args:
        data: Of a measurement whose variable is `level`.
        readings: Levels of any shape instead.
    """
    low, high = float(data.attrs["g_min_s"]), float(data.attrs["g_max_s"])
    level = data["level"].to_numpy().mean(axis=1) if readings is None else readings
    return np.asarray(level + low / (high - low))


def alive(levels: Array) -> NDArray[np.bool_]:
    """Cells that follow what is written: (writes, ...) levels whose spread over writes is not that of a stuck cell.

    Args:
        levels: Mean level of every cell after each of several writes that differ widely.
    """
    moved = np.ptp(levels, axis=0)
    return np.asarray(moved > 0.3 * np.median(moved))
