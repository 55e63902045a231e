"""What an item concludes: a number with its uncertainty, beside what the datasheet says."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

from hil.measuring.estimate import Estimate

Verdict = Literal["agrees", "differs", "no figure"]
SLACK = 0.1
"""A measured figure agrees with a stated one within 3 standard uncertainties plus this share of it."""


@dataclass(frozen=True)
class Figure:
    """A figure of a device.

    Attributes:
        name: `item.figure`.
        measured: What was found.
        stated: What the datasheet says; None where it says nothing.
        resolution: Difference that nobody minds: the floor of the arithmetic, and what the datasheet itself leaves
            open, as the bow of a converter.
    """

    name: str
    measured: Estimate
    stated: float | None = None
    resolution: float = 0.0

    @property
    def verdict(self) -> Verdict:
        """Does the device do what its datasheet says?"""
        if self.stated is None:
            return "no figure"
        allowed = 3 * self.measured.sigma + SLACK * abs(self.stated) + self.resolution
        return "agrees" if abs(self.measured.value - self.stated) <= allowed else "differs"

    @property
    def finite(self) -> bool:
        """Is it a number at all? Readings that never change give none of some figures."""
        return math.isfinite(self.measured.value) and math.isfinite(self.measured.sigma)

    def to_json(self) -> dict[str, Any]:
        """JSON values only."""
        m = self.measured
        return {
            "name": self.name,
            "value": m.value,
            "sigma": m.sigma,
            "unit": m.unit,
            "stated": self.stated,
            "resolution": self.resolution,
            "verdict": self.verdict,
        }
