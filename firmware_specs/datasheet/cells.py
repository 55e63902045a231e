"""Cells: the conductances at the crosspoints, how well they are written, and how current follows voltage."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from firmware_specs.datasheet.section import NonNegative, Positive, Section
from firmware_specs.pairs import LEAST_SIGNIFICANCE, MOST_PAIRS


class Cells(Section):
    """Conductance cells of the crossbar.

    Attributes:
        g_min_s: Lowest programmable conductance, siemens.
        g_max_s: Highest programmable conductance, siemens.
        bits: Resolution of the write circuit over that range; 0 is analog.
        mapping: `differential`: a weight is a pair, `w ~ G+ - G-`, one of the two at `g_min_s`.
            `single`: one positive conductance a weight (resistive networks).
        pairs: Pairs of cells that share the lines of a weight: planes 2n and 2n + 1 are G+ and G- of pair n.
        significance: What a pair's current counts against that of the pair before it, by the gain of a mirror:
            `w ~ sum over n of significance^n (G+ - G-)`.
        programming_noise: Standard deviation of a written conductance, as a fraction of `g_max_s - g_min_s`; a law
            that depends on the conductance belongs in `[programming]`.
        temperature_coefficient_per_k: `G(T) = G (1 + alpha (T - reference_k))`.
        reference_k: Temperature at which every figure of the datasheet holds.
        quadratic_per_v: `a` of the cell's current `I = G (V + a V |V| + b V^3)`.
        cubic_per_v2: `b` of it.
        nonreciprocity: Relative spread, between cells and for life, of what a cell conducts from its column to its row
            over what it conducts from its row to its column, which is what is written and read one by one.
        backward_gain: Mean of that ratio: of a pair of amplifiers, one a direction, their gains'.
    """

    g_min_s: NonNegative
    g_max_s: Positive
    bits: Annotated[int, Field(ge=0, le=32)] = 0
    mapping: Literal["differential", "single"] = "differential"
    pairs: Annotated[int, Field(ge=1, le=MOST_PAIRS)] = 1
    significance: Annotated[float, Field(ge=LEAST_SIGNIFICANCE, le=1)] = 1.0
    programming_noise: NonNegative = 0.0
    temperature_coefficient_per_k: float = 0.0
    reference_k: Positive = 300.0
    quadratic_per_v: float = 0.0
    cubic_per_v2: float = 0.0
    nonreciprocity: NonNegative = 0.0
    backward_gain: Positive = 1.0

    @model_validator(mode="after")
    def _range(self) -> Cells:
        if not self.g_min_s < self.g_max_s:
            raise ValueError(f"g_min_s < g_max_s is needed, got {self.g_min_s} .. {self.g_max_s}")
        return self

    @model_validator(mode="after")
    def _pairs(self) -> Cells:
        if self.pairs > 1 and self.mapping == "single":
            raise ValueError("pairs: a weight of mapping 'single' is one cell")
        return self

    @property
    def planes(self) -> int:
        """Cells of a weight."""
        return 1 if self.mapping == "single" else 2 * self.pairs

    @property
    def significances(self) -> tuple[float, ...]:
        """What the current of every pair counts in a weight, the first 1."""
        return tuple(self.significance**n for n in range(self.pairs))

    def joined(self, planes: Any) -> Any:
        """What the pairs of a weight conduct together.

        Args:
            planes: Conductances, (planes, ...), a tensor or an array.

        Returns:
            `sum over n of significance^n (G+ - G-)`, (...), a new one.
        """
        total = planes[0] - planes[1]
        for n, factor in enumerate(self.significances[1:], 1):
            total = total + factor * (planes[2 * n] - planes[2 * n + 1])
        return total

    def joined_variance(self, variances: Any) -> Any:
        """Variance of `joined`, (...), from that of every cell, (planes, ...); of single cells the cell's."""
        if self.mapping == "single":
            return variances[0]
        total = variances[0] + variances[1]
        for n, factor in enumerate(self.significances[1:], 1):
            total = total + factor**2 * (variances[2 * n] + variances[2 * n + 1])
        return total

    @property
    def reciprocal(self) -> bool:
        """Whether a cell conducts alike both ways."""
        return self.nonreciprocity == 0 and self.backward_gain == 1

    @property
    def span_s(self) -> float:
        """Usable conductance swing, siemens."""
        return self.g_max_s - self.g_min_s

    @property
    def max_code(self) -> int:
        """Largest conductance code (of the 32-bit stand-in for an analog write circuit)."""
        return int(2 ** (self.bits or 32) - 1)

    @property
    def linear(self) -> bool:
        """True where a cell obeys Ohm's law."""
        return self.quadratic_per_v == 0 and self.cubic_per_v2 == 0
