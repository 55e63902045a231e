"""Settle time: the wait is shortened until states move."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import Field

from firmware_specs.codes import Capability
from firmware_specs.datasheet import Datasheet
from hil.measuring import settle_time
from hil.measuring.characterize.figure import Figure
from hil.measuring.characterize.items.item import Settings
from hil.measuring.characterize.probe import Probe
from hil.measuring.characterize.steps import Record, Step, Write

if TYPE_CHECKING:
    import xarray as xr


class SettleTime(Settings):
    """Shortens the wait until states move.

    Attributes:
        shares: Waits as shares of the device's usual one, falling.
        drive: Drive of every unit.
        repeats: Samples of a settle.
    """

    NAME: ClassVar[str] = "settle_time"
    NEEDS: ClassVar[tuple[Capability, ...]] = (Capability.SETTLE, Capability.WRITE, Capability.SETTLE_TIME)
    DIMS: ClassVar[Mapping[str, tuple[str, ...]]] = {"state": ("sample", "unit")}
    UNITS: ClassVar[Mapping[str, str]] = {"state": "1", "time": "s"}

    shares: Annotated[tuple[float, ...], Field(min_length=5)] = settle_time.SHARES
    drive: Annotated[float, Field(gt=0, lt=1)] = settle_time.DRIVE
    repeats: Annotated[int, Field(ge=2)] = settle_time.REPEATS

    def steps(self, probe: Probe) -> Sequence[Step]:
        """One settle a wait."""

        def look_after(seconds: float, p: Probe) -> Record:
            return {"state": settle_time.after(p, seconds, self.drive, self.repeats)}

        first = (Write(probe.resting_level),)
        return [
            Step(lambda p, t=float(wait): look_after(t, p), first if i == 0 else (), {"time": float(wait)})  # type: ignore[misc]
            for i, wait in enumerate(settle_time.usual_waits_s(probe, self.shares))
        ]

    def conclude(self, data: xr.Dataset, sheet: Datasheet | None) -> list[Figure]:
        """Time constant, and the wait that leaves less than half a step of an 8-bit reading."""
        found = settle_time.conclude(data["time"].to_numpy(), data["state"].to_numpy())
        return [
            Figure(f"{self.NAME}.tau", found.tau_s),
            Figure(f"{self.NAME}.needed", found.needed_s(2**-9)),
        ]
