"""What an item concludes: a number with its uncertainty, beside what the datasheet says."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from hil.measuring.estimate import Estimate
from hil.measuring.verdict import Verdict, against


@dataclass(frozen=True)
class Figure:
    """A figure of a device.

    Attributes:
        name: `item.figure`.
        measured: What was found, with its total uncertainty.
        stated: What the datasheet says; None where it says nothing.
        note: What was left out of it, or why it is what it is.
    """

    name: str
    measured: Estimate
    stated: float | None = None
    note: str = ""

    @property
    def verdict(self) -> Verdict:
        """Does the device do what its datasheet says?"""
        return against(self.measured, self.stated)

    @property
    def finite(self) -> bool:
        """Is it a number at all? Readings that never change give none of some figures."""
        return math.isfinite(self.measured.value) and math.isfinite(self.measured.sigma)

    def to_json(self) -> dict[str, Any]:
        """JSON values only."""
        return {
            "name": self.name,
            **self.measured.to_json(),
            "stated": self.stated,
            "verdict": self.verdict,
            "note": self.note,
        }
