"""Read noise of cells."""

from __future__ import annotations

from typing import Literal

from pydantic import model_validator

from firmware_specs.datasheet.section import Fraction, NonNegative, Positive, Section


class ReadNoise(Section):
    """Spread of a cell's conductance between readings.

    Attributes:
        law: `none`; `relative`: `sigma G`; `additive`: `sigma (g_max_s - g_min_s)`; `flicker`: 1/f noise that has
            accumulated since the cell was written, `G Q(g) sqrt(ln((t + t_read_s) / (2 t_read_s)))` with
            `Q(g) = min(ceiling, scale / max(g^exponent, 1e-3))`, `g = G / g_max_s`.
        sigma: Of the `relative` and `additive` laws.
        scale: Of the `flicker` law.
        exponent: Of the `flicker` law; 0: the same relative noise at every conductance.
        ceiling: Of the `flicker` law.
        t_read_s: Duration of one reading, the upper end of the 1/f band.
        correlation: `transaction`: a settle meets one realization, so that it is the same in its free and nudged
            phases (1/f noise is slow beside a settle); `phase`: every phase meets its own.
    """

    law: Literal["none", "relative", "additive", "flicker"] = "none"
    sigma: NonNegative = 0.0
    scale: NonNegative = 0.0
    exponent: NonNegative = 0.0
    ceiling: Fraction = 1.0
    t_read_s: Positive | None = None
    correlation: Literal["transaction", "phase"] = "transaction"

    @model_validator(mode="after")
    def _complete(self) -> ReadNoise:
        if self.law in ("relative", "additive") and self.sigma == 0:
            raise ValueError(f"law {self.law!r} needs sigma above 0 (law = 'none' switches read noise off)")
        if self.law == "flicker" and (self.scale == 0 or self.t_read_s is None):
            raise ValueError("law 'flicker' needs scale above 0 and t_read_s, the upper end of its band")
        return self
