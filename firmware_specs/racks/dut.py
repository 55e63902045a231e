"""The crossbar behind a virtual rack."""

from __future__ import annotations

from typing import Literal

from firmware_specs.datasheet.section import Fraction, NonNegative, Positive, Section


class Dut(Section):
    """The crossbar behind a virtual rack: what the bench is there to find out.

    Attributes:
        seed: Which specimen.
        initial: Start of the cells: all at the lowest conductance, or spread at random over the range.
        wire_ohm: Resistance of a line from cell to cell.
        contact_ohm: Resistance of a closed relay.
        stuck: Fraction of cells stuck at a random conductance.
        open: Fraction of cells that conduct nothing.
        threshold_v: Voltage below which a cell keeps its conductance.
        pulse_step: Fraction of the remaining range a pulse of 1 V over threshold and 100 us moves.
        pulse_noise: Cycle-to-cycle spread of that step, relative.
        temperature_coefficient_per_k: `G(T) = G (1 + alpha (T - 296.15 K))` of the cells.
        diode_knee_v: Forward voltage of the diodes.
        diode_ohm: Series resistance of the diodes.
    """

    seed: int = 0
    initial: Literal["low", "spread"] = "low"
    wire_ohm: NonNegative = 0.0
    contact_ohm: Positive = 0.1
    stuck: Fraction = 0.0
    open: Fraction = 0.0
    threshold_v: Positive = 1.05
    pulse_step: Positive = 0.2
    pulse_noise: NonNegative = 0.05
    temperature_coefficient_per_k: float = 0.0
    diode_knee_v: NonNegative = 0.0
    diode_ohm: Positive = 1.0
