"""What an item concludes: a number with its uncertainty, beside what the datasheet says."""

from __future__ import annotations

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

    def to_json(self) -> dict[str, Any]:
        """JSON values only."""
        return {
            "name": self.name,
            **self.measured.to_json(),
            "stated": self.stated,
            "verdict": self.verdict,
            "note": self.note,
        }

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Figure:
        """From `to_json`."""
        return cls(value["name"], Estimate.from_json(value), value["stated"], value.get("note", ""))
