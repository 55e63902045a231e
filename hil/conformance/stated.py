"""Parameters that a device under test states of itself: no check works with one that is not there or cannot be."""

from __future__ import annotations

from typing import TypeVar

from drivers.stated import RANGES, WHOLE
from firmware_specs.codes import Parameter
from hil.conformance.conversation import Failed

D = TypeVar("D")


class Stated(dict[int, float]):
    """Values by `Parameter`.

    Asking for one that is missing, or that cannot be what it says, fails the check that asks, in words: half a bit, or
    a million pairs of cells, would end in a wrong code or in all of the host's memory.
    """

    def __getitem__(self, number: int) -> float:
        if number not in self:
            raise Failed(f"PARAMETERS does not state {_name(number)}, without which this cannot be asked")
        value = super().__getitem__(number)
        lowest, highest = RANGES.get(Parameter(number), (-float("inf"), float("inf")))
        whole = Parameter(number) in WHOLE
        if not lowest <= value <= highest or (whole and value != int(value)):
            kind = "whole, " if whole else ""
            raise Failed(f"PARAMETERS states {_name(number)} as {value:g}; {kind}{lowest:g} .. {highest:g} can be")
        return value

    def get(self, number: int, default: D = None) -> float | D:  # type: ignore[assignment]
        """As stated, or the default; a stated one that cannot be fails the check."""
        return self[number] if number in self else default  # noqa: SIM401


def _name(number: int) -> str:
    return f"{Parameter(number).name.lower()} ({int(number)})"
