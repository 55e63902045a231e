"""What surrounds cells that were measured alone: the circuits of a shipped datasheet, scaled to their conductances."""

from __future__ import annotations

from typing import Any

from firmware_specs.datasheet import Datasheet
from firmware_specs.datasheet.fabric import Limits
from firmware_specs.datasheet.pulses import Pulses
from hil.measuring.laws.samples import Range

PHYSICS = ("programming", "read_noise", "telegraph", "drift", "pulses", "faults", "specimen", "endurance")
"""Sections that say what cells do: they come from the measurement and not from the other datasheet."""

CURRENTS = ("low_a", "high_a", "noise_sigma_a")
MORE_PULSES = 100
"""A limit of pulses a cell leaves room for this many ways across the range."""


def around(like: Datasheet, within: Range) -> dict[str, dict[str, Any]]:
    """Sections of a datasheet with other cells: states and weights are as large as before, currents follow the cells.

    Args:
        like: Whose circuits.
        within: The cells' range.
    """
    plain: dict[str, dict[str, Any]] = like.model_dump(mode="json", exclude_unset=True)
    scale = within.span_s / like.cells.span_s
    for section in PHYSICS:
        plain.pop(section, None)
    plain["cells"] = {"g_min_s": within.low_s, "g_max_s": within.high_s, "mapping": like.cells.mapping}
    neurons = plain["neurons"]
    neurons["transimpedance_ohm"] = like.neurons.transimpedance_ohm / scale
    if "node_capacitance_f" in neurons:
        neurons["node_capacitance_f"] *= scale
    for section in ("drive_dac", "nudge_dac"):
        for key in CURRENTS:
            if key in plain[section]:
                plain[section][key] *= scale
    plain["limits"]["max_drive_a"] = like.limits.max_drive_a * scale
    return plain


def make_room(document: dict[str, dict[str, Any]]) -> None:
    """Widens limits of pulses to what the pulse law needs."""
    pulses, limits = document.get("pulses"), document["limits"]
    if not pulses:
        return
    for key, limit in (("amplitude_v", "max_pulse_v"), ("width_s", "max_pulse_s")):
        nominal = pulses.get(key, Pulses.model_fields[key].default)
        limits[limit] = max(limits.get(limit, Limits.model_fields[limit].default), nominal)
    if "reset" in pulses:
        limits["max_pulse_v"] = max(limits["max_pulse_v"], *pulses["reset"]["volts"])
    if pulses.get("step"):
        room = limits.get("max_pulses_per_cell", Limits.model_fields["max_pulses_per_cell"].default)
        limits["max_pulses_per_cell"] = max(room, int(MORE_PULSES / pulses["step"]))
