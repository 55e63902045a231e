"""Programming: the spread of written conductances, and write-verify."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from firmware_specs.datasheet.section import Fraction, NonNegative, Section


class Programming(Section):
    """How a conductance is written.

    Attributes:
        sigma_coefficients_s: `c` of the spread `sigma(g) = c_0 + c_1 g + c_2 g^2 + ...`, siemens, `g = G / g_max_s`;
            empty: `cells.programming_noise` holds instead.
        verify_rounds: Most rewrites of a cell whose read-back misses its target; 0 writes once.
        verify_tolerance: What counts as a hit, as a fraction of `g_max_s - g_min_s`.
        write_time_s: Time to write one cell once.
        write_energy_j: Energy of writing one cell once.
    """

    sigma_coefficients_s: tuple[float, ...] = ()
    verify_rounds: Annotated[int, Field(ge=0, le=10_000)] = 0
    verify_tolerance: Fraction = 0.01
    write_time_s: NonNegative = 0.0
    write_energy_j: NonNegative = 0.0

    @property
    def usual_time_s(self) -> float:
        """Longest time to write one cell as the device usually does, with all its rewrites."""
        return self.write_time_s * (1 + self.verify_rounds)

    def sigma_s(self, g: float) -> float:
        """Spread at a relative conductance `g = G / g_max_s`, siemens."""
        return sum(c * g**k for k, c in enumerate(self.sigma_coefficients_s))
