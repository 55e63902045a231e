"""The watchdog in force, as a device says it: believed only where it can be true and keeps the promise."""

from __future__ import annotations

import math

from drivers.errors import OutOfRange, ProtocolViolation

SHORTEST_S, LONGEST_S = 0.01, 60.0
"""What PROTOCOL.md 7.4 allows."""
ROUNDING = 1e-6
"""How much more than was asked may come back of a number that was printed."""


def checked(seconds: float, device: str) -> float:
    """A watchdog to ask for.

    Raises:
        OutOfRange: not within 0.01 .. 60 s.
    """
    if not SHORTEST_S <= seconds <= LONGEST_S:
        raise OutOfRange(f"watchdog_s = {seconds}: {SHORTEST_S:g} .. {LONGEST_S:g} s is needed", device=device)
    return float(seconds)


def in_force(asked_s: float, said_s: float, device: str, rounding: float = ROUNDING) -> float:
    """What the device says is in force, for a watchdog that was asked for; `rounding` is that of printed numbers.

    Raises:
        ProtocolViolation: not a number, none, or longer than was asked: outputs shall not go on.
    """
    longest_s = asked_s * (1 + rounding)
    if not (math.isfinite(said_s) and SHORTEST_S * (1 - rounding) <= said_s <= longest_s):
        raise ProtocolViolation(
            f"a watchdog of {asked_s:g} s was asked for, the device says {said_s:g} s is in force",
            device=device,
            todo=f"Outputs stay off: {SHORTEST_S:g} s or more and no more than was asked is right; mend the firmware",
        )
    return said_s
