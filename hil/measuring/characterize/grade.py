"""How good a converter is: what its steps and its curve add to the uncertainty of what went through it.

The datasheet says how far a curve may bow (INL, largest) and how uneven steps are (DNL, root mean square); where there
is none, a converter is taken for one of half a step each. A bow within +-INL of which nothing else is known is
uniformly distributed (GUM 4.3.7): its standard uncertainty is INL / sqrt(3). It is taken to have three half-waves at
most, so that over a small share of the range it looks like an offset and a tilt, which no line fitted there can tell.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from firmware_specs.datasheet import Datasheet
from firmware_specs.datasheet.converters import Converter
from hil.measuring.calibrate import rounding

if TYPE_CHECKING:
    import xarray as xr

USUAL_LSB = 0.5
"""INL and DNL of a converter of which nobody says anything."""
WAVES = 3.8
"""Root mean square slope of a bow of three half-waves with a peak of 1, over the range."""
MOST = 2 / np.sqrt(3)
"""Largest standard uncertainty of the difference of a bow's ends."""


@dataclass(frozen=True)
class Grade:
    """A converter's steps and errors, in model units.

    Attributes:
        lsb: One step; 0: ideal.
        range: Of all codes.
        inl_lsb: Largest deviation of the curve, steps.
        dnl_lsb: Root mean square difference of neighbouring steps.
    """

    lsb: float
    range: float
    inl_lsb: float
    dnl_lsb: float

    @property
    def bow(self) -> float:
        """Standard uncertainty of the curve at one place."""
        return self.inl_lsb * self.lsb / float(np.sqrt(3))

    @property
    def code(self) -> float:
        """Standard uncertainty of a single code besides the curve: neighbours differ by DNL."""
        return self.dnl_lsb * self.lsb / float(np.sqrt(2))

    @property
    def rounding(self) -> float:
        """Standard uncertainty of one value rounded to a code."""
        return self.lsb / float(np.sqrt(12))

    def tilt(self, span: float) -> float:
        """Standard uncertainty of the curve's difference over a part of the range."""
        if not self.range:
            return 0.0
        return self.inl_lsb * self.lsb * min(WAVES * abs(span) / self.range, float(MOST))

    def of_change(self, readings: NDArray[np.float64]) -> float:
        """Standard uncertainty of a mean difference of two places, by single codes and rounding, besides the curve.

        All channels of a converter have one curve, so that units that are alike meet the same codes: what averages out
        is what their scatter spreads over.

        Args:
            readings: Differences of pairs of readings, of any shape, model units.
        """
        if not self.lsb:
            return 0.0
        scatter = float(np.std(readings)) / float(np.sqrt(2))
        codes = max(1.0, 2 * float(np.sqrt(np.pi)) * scatter / self.lsb)
        left = float(rounding.offset_of(scatter, self.lsb))
        return float(np.sqrt(2) * np.hypot(self.code / np.sqrt(codes), left))


def grade(data: xr.Dataset, which: str, sheet: Datasheet | None) -> Grade:
    """Of a converter of the device that a dataset was measured on.

    Args:
        data: With the converters in its attributes.
        which: Section of the datasheet: `drive_dac`, `nudge_dac`, `state_adc` or `output_adc`.
        sheet: What the device is supposed to be.
    """
    said = json.loads(str(data.attrs.get("converters", "{}"))).get(which)
    if said is None or not said["lsb"]:
        return Grade(0.0, 0.0, 0.0, 0.0)
    section: Converter | None = None if sheet is None else getattr(sheet, which)
    inl, dnl = (USUAL_LSB, USUAL_LSB) if section is None else (_of(section, "inl_lsb"), _of(section, "dnl_lsb"))
    return Grade(said["lsb"], said["high"] - said["low"], inl, dnl)


def _of(section: Converter, key: str) -> float:
    return float(getattr(section, key, 0.0))
