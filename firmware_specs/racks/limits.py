"""What nothing on a bench may exceed, how long its readings take, and the model units of a network on it."""

from __future__ import annotations

from typing import Literal

from pydantic import PositiveInt, model_validator

from firmware_specs.datasheet.section import Fraction, NonNegative, Positive, Section


class RackLimits(Section):
    """What nothing on this bench may exceed; the cells are the delicate part.

    Attributes:
        read_v: Largest voltage across a cell while reading.
        drive_v: Largest voltage of a source node of a resistive network.
        pulse_v: Largest programming pulse.
        pulse_s: Longest programming pulse.
        current_a: Compliance of every source.
        nudge_a: Largest nudge current.
        nudge_v: Voltage compliance of a nudge.
        pulses_per_cell: Lifetime budget of one cell.
        energy_per_cell_j: Lifetime budget of one cell in joules, half-selected pulses included; none where not given.
        switch_v: Largest voltage across a relay that may close.
        coldest_k: Lowest set-point of a temperature stage.
        hottest_k: Highest one.
        g_min_s: Lowest conductance to program.
        g_max_s: Highest conductance to program.
    """

    read_v: Positive = 0.2
    drive_v: Positive = 1.0
    pulse_v: Positive = 2.0
    pulse_s: Positive = 1.0e-3
    current_a: Positive = 1.0e-3
    nudge_a: Positive = 1.0e-4
    nudge_v: Positive = 2.0
    pulses_per_cell: PositiveInt = 1_000_000
    energy_per_cell_j: Positive | None = None
    switch_v: Positive = 0.01
    coldest_k: Positive = 273.15
    hottest_k: Positive = 358.15
    g_min_s: Positive = 1.0e-5
    g_max_s: Positive = 1.0e-3

    @model_validator(mode="after")
    def _ordered(self) -> RackLimits:
        if not self.g_min_s < self.g_max_s:
            raise ValueError(f"g_min_s < g_max_s is needed, got {self.g_min_s} .. {self.g_max_s}")
        return self


class Timing(Section):
    """How long a reading integrates.

    Attributes:
        line_frequency_hz: Of the mains.
        nplc: Integration of SMU readings, power line cycles.
        meter_nplc: Integration of the voltmeter, power line cycles.
        line_settle_s: Wait after a set-point changed: at least 5 R C of cables and cells.
        wire_ohm: Resistance of a line from cell to cell, for the correction; 0: not corrected.
        contact_ohm: Resistance of a relay path, for the correction.
    """

    line_frequency_hz: Literal[50, 60] = 50
    nplc: Positive = 0.1
    meter_nplc: Positive = 0.2
    line_settle_s: NonNegative = 1.0e-3
    wire_ohm: NonNegative = 0.0
    contact_ohm: NonNegative = 0.0


class Units(Section):
    """Model units of a network on this crossbar.

    Attributes:
        state_v: Voltage of a state or source of 1.0.
        weight_s: Conductance of a weight of 1.0.
        tolerance: Accepted error of a written cell, as a fraction of the conductance range; a cell whose target moved
            by less is left alone.
        rewritten: Share of the cells an update is expected to move beyond the tolerance, for the plan.
        pulses_per_write: Pulses a moved cell is expected to take, for the plan.
    """

    state_v: Positive = 0.1
    weight_s: Positive = 1.0e-4
    tolerance: Fraction = 0.02
    rewritten: Fraction = 0.3
    pulses_per_write: Positive = 2.0

    @property
    def current_a(self) -> float:
        """Current of 1.0."""
        return self.state_v * self.weight_s
