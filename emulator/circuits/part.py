"""What a part of a circuit must be: a current for a voltage. Everything else has a default."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

STEP_V = 1e-6


@runtime_checkable
class Part(Protocol):
    """A two-terminal part. The least a part of one's own needs is `amps`.

    It may also have `slope(volts)`, siemens (otherwise taken by differences), and `pass_time(volts, seconds)`, called
    when a voltage has been across it for a time. Current must not fall when the voltage rises.
    """

    def amps(self, volts: float) -> float:
        """Current through it, from its first to its second terminal, for the voltage between them."""
        ...


def slope(part: Part, volts: float) -> float:
    """`dI/dV`, by the part itself or by differences; at least 0."""
    own = getattr(part, "slope", None)
    if own is not None:
        return float(own(volts))
    return max(0.0, (part.amps(volts + STEP_V) - part.amps(volts - STEP_V)) / (2 * STEP_V))
