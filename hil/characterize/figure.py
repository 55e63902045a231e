"""What an item concludes: a number with its uncertainty, beside what the datasheet says."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from hil.estimate import Estimate

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
    """

    name: str
    measured: Estimate
    stated: float | None = None

    @property
    def verdict(self) -> Verdict:
        """Does the device do what its datasheet says?"""
        if self.stated is None:
            return "no figure"
        within = abs(self.measured.value - self.stated) <= 3 * self.measured.sigma + SLACK * abs(self.stated)
        return "agrees" if within else "differs"

    def to_json(self) -> dict[str, Any]:
        """JSON values only."""
        m = self.measured
        return {
            "name": self.name,
            "value": m.value,
            "sigma": m.sigma,
            "unit": m.unit,
            "stated": self.stated,
            "verdict": self.verdict,
        }

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Figure:
        """From `to_json`."""
        return cls(value["name"], Estimate(value["value"], value["sigma"], value["unit"]), value["stated"])
