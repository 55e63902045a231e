"""Parts: resistor, diode, capacitor, resistor with capacitor, and nothing at all."""

from __future__ import annotations

import math
from dataclasses import dataclass

from scipy.special import wrightomega

BOLTZMANN_V_PER_K = 8.617333262e-5
INSTANT_S = 1e-9
"""Within it a capacitor keeps its voltage."""


@dataclass
class Resistor:
    """Ohm's law."""

    ohm: float

    def amps(self, volts: float) -> float:
        """`V / R`."""
        return volts / self.ohm

    def slope(self, volts: float) -> float:
        """`1 / R`."""
        return 1 / self.ohm


@dataclass
class Open:
    """Nothing is connected."""

    def amps(self, volts: float) -> float:
        """None."""
        return 0.0

    def slope(self, volts: float) -> float:
        """None."""
        return 0.0


@dataclass
class Diode:
    """A junction with a series resistance, solved in closed form.

    `I = n Vt / Rs W(Is Rs / (n Vt) exp((V + Is Rs) / (n Vt))) - Is` with Lambert's W (Banwell and Jayakumar,
    Electronics Letters 36, 291 (2000)), with the Wright omega function `omega(z) = W(e^z)`, so that nothing overflows.

    Attributes:
        saturation_a: Saturation current `Is`.
        ideality: Emission coefficient `n`.
        series_ohm: `Rs`.
        temperature_k: For the thermal voltage `Vt`.
    """

    saturation_a: float = 1e-12
    ideality: float = 1.5
    series_ohm: float = 1.0
    temperature_k: float = 300.0

    def _omega(self, volts: float) -> tuple[float, float]:
        thermal = self.ideality * BOLTZMANN_V_PER_K * self.temperature_k
        drop = self.saturation_a * self.series_ohm
        return float(wrightomega(math.log(drop / thermal) + (volts + drop) / thermal).real), thermal

    def amps(self, volts: float) -> float:
        """Forward positive; `-Is` in reverse."""
        omega, thermal = self._omega(volts)
        return thermal / self.series_ohm * omega - self.saturation_a

    def slope(self, volts: float) -> float:
        """`omega / (1 + omega) / Rs`."""
        omega, _ = self._omega(volts)
        return omega / (1 + omega) / self.series_ohm


@dataclass
class Capacitor:
    """A charge; with `series_ohm` a resistor in series, with `leak_ohm` one beside it.

    Within a step of time `h` it is `C dV/dt` by the implicit Euler method: a voltage source of its last voltage behind
    `h / C`. The breadboard sets the step and refines it until two halves and the whole agree.

    Attributes:
        farad: Capacitance.
        series_ohm: In series.
        leak_ohm: Beside the capacitor.
        charged_v: Voltage across the capacitance now.
        step_s: Step of time that the next solution is for.
    """

    farad: float
    series_ohm: float = 0.0
    leak_ohm: float = math.inf
    charged_v: float = 0.0
    step_s: float = INSTANT_S

    def slope(self, volts: float) -> float:
        """Conductance of one step."""
        inner = self.farad / self.step_s + 1 / self.leak_ohm
        return inner / (1 + inner * self.series_ohm)

    def amps(self, volts: float) -> float:
        """Current at the end of the step."""
        held = self.farad / self.step_s
        return (held * (volts - self.charged_v) + volts / self.leak_ohm) / (
            1 + (held + 1 / self.leak_ohm) * self.series_ohm
        )

    def inner_volts(self, volts: float) -> float:
        """Voltage of the capacitance at the end of the step."""
        return volts - self.series_ohm * self.amps(volts)
