"""Linearity of the nudge: contrast of the outputs against its size."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, ClassVar

import numpy as np
import xarray as xr
from pydantic import Field

from firmware_specs.codes import Capability, ConverterId
from firmware_specs.datasheet import Datasheet
from hil.measuring.characterize.figure import Figure
from hil.measuring.characterize.items.item import Settings
from hil.measuring.characterize.probe import Probe
from hil.measuring.characterize.steps import Record, Step, Write
from hil.measuring.estimate import Estimate


class NudgeLinearity(Settings):
    """Nudges the outputs with growing strength, up and down.

    Attributes:
        shares: Nudges as shares of the nudge range, rising.
        strength: Loop gain of the block, `w sqrt(rows columns)`; a resistive network's cells are at mid-range.
        repeats: Samples at each strength.
    """

    NAME: ClassVar[str] = "nudge"
    NEEDS: ClassVar[tuple[Capability, ...]] = (Capability.SETTLE, Capability.WRITE)
    DIMS: ClassVar[Mapping[str, tuple[str, ...]]] = {"contrast": ("sample", "unit")}
    UNITS: ClassVar[Mapping[str, str]] = {"contrast": "1", "nudge": "1"}

    shares: Annotated[tuple[float, ...], Field(min_length=4)] = (0.02, 0.05, 0.1, 0.2, 0.4, 0.7, 1.0)
    strength: Annotated[float, Field(gt=0, lt=1)] = 0.5
    repeats: Annotated[int, Field(ge=8)] = 64

    def steps(self, probe: Probe) -> Sequence[Step]:
        """One settle a strength: free, up and down."""
        levels = np.full(probe.shape, probe.resting_level)
        if not probe.resistive:
            levels[0] = min(0.9, self.strength / np.sqrt(probe.rows * probe.columns) / probe.weight_unit)

        def look(size: float, p: Probe) -> Record:
            drive = p.driven(0.4, self.repeats)
            nudge = np.full((self.repeats, p.topology.layers[-1].units), size)
            up, down = p.settle(drive, [nudge, -nudge]).states_v[-1][1:]
            return {"contrast": (up - down) / p.state_unit_v}

        sizes = [share * min(probe.reach(ConverterId.NUDGE_DAC), 1.0) for share in self.shares]
        return [
            Step(lambda p, s=size: look(s, p), (Write(levels),) if i == 0 else (), {"nudge": size})  # type: ignore[misc]
            for i, size in enumerate(sizes)
        ]

    def conclude(self, data: xr.Dataset, sheet: Datasheet | None) -> list[Figure]:
        """Contrast per nudge at the smallest deviation, the largest linear nudge, and readings worth averaging."""
        best, reads = recommend(data)
        nudge, contrast = data["nudge"].to_numpy(), data["contrast"].to_numpy()
        slope = contrast.mean(axis=(1, 2)) / (2 * nudge)
        error = contrast.mean(axis=2).std(axis=1, ddof=1) / np.sqrt(contrast.shape[1]) / (2 * nudge)
        weight = 1 / np.maximum(error, 1e-12) ** 2 * (nudge <= best)
        response = Estimate(float((slope * weight).sum() / weight.sum()), float(weight.sum() ** -0.5))
        return [
            Figure(f"{self.NAME}.response", response),
            Figure(f"{self.NAME}.recommended", Estimate(best, 0.0)),
            Figure(f"{self.NAME}.reads", Estimate(float(reads), 0.0)),
        ]


def recommend(data: xr.Dataset, bend: float = 0.05, precision: float = 0.1) -> tuple[float, int]:
    """The largest nudge that is linear within `bend`, and the readings that bring a contrast's noise to `precision`.

    Args:
        data: Of `NudgeLinearity`.
        bend: Share by which the contrast per nudge may differ from that of all smaller nudges.
        precision: Relative noise of one unit's contrast that is good enough.
    """
    nudge, contrast = data["nudge"].to_numpy(), data["contrast"].to_numpy()
    slope = contrast.mean(axis=(1, 2)) / nudge
    random = contrast.mean(axis=2).std(axis=1, ddof=1) / np.sqrt(contrast.shape[1])
    # a contrast below the converters' steps is rounded, another way in every unit
    rounded = np.sqrt((2 * float(data.attrs["output_lsb"]) ** 2 + 4 * float(data.attrs["nudge_lsb"]) ** 2) / 12)
    error = np.hypot(random, rounded / np.sqrt(contrast.shape[2])) / nudge
    best = nudge[0]
    for k in range(1, len(nudge)):
        weight = 1 / np.maximum(error[:k], 1e-12) ** 2
        small = float((slope[:k] * weight).sum() / weight.sum())
        if abs(slope[k] - small) > bend * abs(small) + 3 * float(np.hypot(error[k], weight.sum() ** -0.5)):
            break
        best = nudge[k]
    chosen = contrast[int(np.argmin(np.abs(nudge - best)))]
    noise = float(chosen.std(axis=0, ddof=1).mean() / max(abs(float(chosen.mean())), 1e-12))
    return float(best), max(1, int(np.ceil((noise / precision) ** 2)))
