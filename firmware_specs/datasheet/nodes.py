"""Nodes of a resistive network: their diodes, their leak, and what measures the sources."""

from __future__ import annotations

from firmware_specs.datasheet.converters import Ammeter
from firmware_specs.datasheet.section import NonNegative, Positive, Section

BOLTZMANN_OVER_CHARGE = 8.617333262e-5
"""Thermal voltage per kelvin, V/K (CODATA 2018, exact)."""


class Diodes(Section):
    """Diodes between the hidden nodes and ground, `i = I_s (exp(u / (n V_T)) - 1)` (Shockley).

    Attributes:
        saturation_a: `I_s`, amperes; 0 is an ideal diode: the node voltage stops at 0 V.
        ideality: Emission coefficient `n`.
        temperature_k: Junction temperature, sets `V_T = k T / q`.
    """

    saturation_a: NonNegative = 0.0
    ideality: Positive = 1.0
    temperature_k: Positive = 300.0

    @property
    def thermal_v(self) -> float:
        """`n V_T`, volts."""
        return self.ideality * BOLTZMANN_OVER_CHARGE * self.temperature_k


class Nodes(Section):
    """What a resistive network has where a Hopfield array has neuron circuits.

    Attributes:
        leak_s: Conductance from every node to ground, siemens (input of the voltmeter, substrate).
        diodes: Diodes of the hidden nodes.
        ammeter: Measures the current every source delivers; without one the host computes it from the voltages.
    """

    leak_s: NonNegative = 0.0
    diodes: Diodes = Diodes()
    ammeter: Ammeter | None = None
