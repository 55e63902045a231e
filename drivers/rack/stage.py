"""Temperature of a rack's crossbar: its stage is told, and waited for on the bench's own clock."""

from __future__ import annotations

from drivers.errors import NotSettled, OutOfRange
from drivers.rack.rig import Rig

NEAR_K = 0.2
STEP_S = 1.0
LONGEST_S = 3600.0


def temperature_k(rig: Rig) -> float | None:
    """What the stage says, kelvin; None where the rack has none."""
    stage = rig.rack.roles.stage
    return float(rig.boxes[stage].temperature()) if stage else None


def bring_to(rig: Rig, kelvin: float, near_k: float = NEAR_K, longest_s: float = LONGEST_S) -> float:
    """Sets the stage and waits until two looks in a row are near; the heater stays on.

    Args:
        rig: The rack; its sources may be on.
        kelvin: Set-point.
        near_k: How near is there.
        longest_s: How long it is waited for.

    Returns:
        The temperature it came to, kelvin.

    Raises:
        OutOfRange: no stage, or the rack's or the stage's limits. NotSettled: it did not come there in time.
    """
    rack = rig.rack
    if not rack.roles.stage:
        raise OutOfRange("the rack has no temperature stage", device=rack.name, todo="Name one as roles.stage")
    low, high = rack.limits.coldest_k, rack.limits.hottest_k
    if (own := rack.instruments[rack.roles.stage].facts.kelvin) is not None:
        low, high = max(low, own[0]), min(high, own[1])
    if not low <= kelvin <= high:
        raise OutOfRange(f"{kelvin:g} K is outside of {low:g} .. {high:g} K", device=rack.name)
    box, end_s, there = rig.boxes[rack.roles.stage], rig.clock.now_s() + longest_s, 0
    box.set_temperature(kelvin)
    while there < 2:
        rig.wait(STEP_S)
        now_k = float(box.temperature())
        there = there + 1 if abs(now_k - kelvin) <= near_k else 0
        if not there and rig.clock.now_s() > end_s:
            raise NotSettled(
                f"the stage is at {now_k:.2f} K after {longest_s:g} s, {kelvin:g} K was set",
                device=rack.name,
                todo="Look at its heater range, and whether it can cool",
            )
    return now_k
