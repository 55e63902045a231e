"""A rack without instruments: what a run would send can be planned, and nothing can be sent."""

from __future__ import annotations

from drivers.chip_ledger import ChipLedger
from drivers.instruments.clocks import HostClock
from drivers.lease import Lease
from drivers.rack.spent import Spent
from firmware_specs.racks import Rack


class PaperRig:
    """What planning needs of a rig.

    Args:
        rack: The rack file.
        ledger: What the cells have had.
    """

    def __init__(self, rack: Rack, ledger: ChipLedger) -> None:
        self.rack, self.limits = rack, rack.limits
        self.spent = Spent(rack, ledger)
        self.clock = HostClock()
        self.lease = Lease(device=rack.name)
        self.boxes: dict[str, object] = {}
        self.left_on: list[str] = []
        self.tripped = "planned, not opened"

    def setpoints(self) -> list[str]:
        """Every voltage, current and width that may go out, in lines for people."""
        limits, rack = self.limits, self.rack
        chosen = {"pulse_v", "pulse_s"} <= limits.model_fields_set
        pulses = f"{limits.pulse_v:g} V either way, {limits.pulse_s / 1000:g} .. {limits.pulse_s:g} s, one at a time"
        return [
            f"source nodes   up to {limits.drive_v:g} V either way, {rack.units.state_v:g} V a state",
            f"nudges         up to {limits.nudge_a:g} A either way, compliance {limits.nudge_v:g} V",
            f"reads cells    at {limits.read_v:g} V, compliance {limits.current_a:g} A",
            f"pulses         {pulses if chosen else 'none: limits.pulse_v and limits.pulse_s are not given'}",
            f"pulses had     {int(self.spent.pulses.max())} by the busiest cell in earlier runs, of the "
            f"{limits.pulses_per_cell} it may have",
            f"energy had     {self.spent.joules.max():.3g} J by the busiest cell, at most, of "
            + ("no budget" if limits.energy_per_cell_j is None else f"the {limits.energy_per_cell_j:g} J it may have"),
        ]
