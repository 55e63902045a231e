"""What the height of a pulse does, as a table: it need not be monotone."""

from __future__ import annotations

import math
from typing import Self

from pydantic import model_validator

from firmware_specs.datasheet.section import Section
from firmware_specs.datasheet.table import interpolate, refuse_bad


class Heights(Section):
    """Factor on a step by the height of the pulse, linear between the heights.

    Attributes:
        volts: Heights, rising.
        up: Factor on up steps at each, 1 at the nominal height.
        down: Factor on down steps; empty: as `up`.
    """

    volts: tuple[float, ...]
    up: tuple[float, ...]
    down: tuple[float, ...] = ()

    def factor(self, amplitude_v: float, up: bool) -> float:
        """Factor on a step at a height; 0 below the lowest height that was measured, above the highest as there."""
        if amplitude_v < self.volts[0]:
            return 0.0
        return interpolate(amplitude_v, self.volts, self.up if up or not self.down else self.down)

    @model_validator(mode="after")
    def _complete(self) -> Self:
        refuse_bad("volts", self.volts, {"up": self.up, "down": self.down})
        return self


class Reset(Section):
    """Where a down pulse takes a cell whatever it was before, by the height of the pulse (partial reset of a PCM).

    Attributes:
        volts: Heights, rising; between them `ln G` is linear. Below the lowest a pulse does nothing, above the highest
            what the highest does.
        g_s: Median conductance after one pulse of each height, siemens.
        spread: Standard deviation of `ln G` from pulse to pulse at each height; empty: none.
    """

    volts: tuple[float, ...]
    g_s: tuple[float, ...]
    spread: tuple[float, ...] = ()

    def at(self, amplitude_v: float) -> tuple[float, float] | None:
        """Median conductance after a pulse, siemens, and the spread of its logarithm; None: it does nothing."""
        if amplitude_v < self.volts[0]:
            return None
        middle = interpolate(amplitude_v, self.volts, [math.log(g) for g in self.g_s])
        return math.exp(middle), interpolate(amplitude_v, self.volts, self.spread) if self.spread else 0.0

    @model_validator(mode="after")
    def _complete(self) -> Self:
        refuse_bad("volts", self.volts, {"g_s": self.g_s, "spread": self.spread})
        if min(self.g_s) <= 0:
            raise ValueError("g_s: conductances above 0 are needed, ln G is interpolated")
        return self
