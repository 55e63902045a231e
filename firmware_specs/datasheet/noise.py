"""Noise of cells: of a reading, and of traps that come and go."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from firmware_specs.datasheet.own_law import check
from firmware_specs.datasheet.section import Fraction, NonNegative, Positive, Section
from firmware_specs.registry import find


class Telegraph(Section):
    """Random telegraph noise: single traps switch cells between two conductances, as time goes by.

    Attributes:
        amplitude: Distance of the two levels, as a share of the conductance, median of the cells; 0: none.
        amplitude_d2d: Standard deviation of its natural logarithm between cells, for life.
        up_s: Mean time in the upper level, median of the cells.
        down_s: Mean time in the lower level, median of the cells.
        dwell_d2d: Standard deviation of the natural logarithm of either time between cells, for life.
        share: Share of the cells that have a trap; with several `traps`, the share of them that are there.
        amplitude_exponent: The amplitude holds at `g_max_s` and is `(G / g_max_s)^-amplitude_exponent` times that
            elsewhere: a trap beside a thin filament matters more.
        traps: Places for a trap in each cell, independent of each other.
    """

    amplitude: Annotated[float, Field(ge=0, lt=2)] = 0.0
    amplitude_d2d: NonNegative = 0.0
    up_s: Positive | None = None
    down_s: Positive | None = None
    dwell_d2d: NonNegative = 0.0
    share: Fraction = 1.0
    amplitude_exponent: Annotated[float, Field(ge=0, le=4)] = 0.0
    traps: Annotated[int, Field(ge=1, le=8)] = 1

    @property
    def time_s(self) -> float:
        """Time after which a median cell has forgotten its state, `1 / (1 / up_s + 1 / down_s)`."""
        return 1 / (1 / self.up_s + 1 / self.down_s) if self.up_s and self.down_s else 0.0

    @model_validator(mode="after")
    def _complete(self) -> Telegraph:
        if self.amplitude and (self.up_s is None or self.down_s is None):
            raise ValueError("amplitude above 0 needs up_s and down_s, the mean times in the two levels")
        return self


class ReadNoise(Section):
    """Spread of a cell's conductance between readings.

    Attributes:
        law: `none`; `relative`: `sigma G`; `additive`: `sigma (g_max_s - g_min_s)`; `flicker`: 1/f noise that has
            accumulated since the cell was written, `G Q(g) sqrt(ln((t + t_read_s) / (2 t_read_s)))` with
            `Q(g) = min(ceiling, scale / max(g^exponent, 1e-3))`, `g = G / g_max_s`.
            Or one of the registry's kind `noises` (`hil list noises`), or `module:attribute`.
        figures: Of a law of one's own, by name.
        sigma: Of the `relative` and `additive` laws.
        scale: Of the `flicker` law.
        exponent: Of the `flicker` law; 0: the same relative noise at every conductance.
        ceiling: Of the `flicker` law.
        t_read_s: Duration of one reading, the upper end of the 1/f band.
        correlation: `transaction`: a settle meets one realization, so that it is the same in its free and nudged
            phases (1/f noise is slow beside a settle); `phase`: every phase meets its own.
    """

    law: str = "none"
    figures: dict[str, float] = Field(default_factory=dict)
    sigma: NonNegative = 0.0
    scale: NonNegative = 0.0
    exponent: NonNegative = 0.0
    ceiling: Fraction = 1.0
    t_read_s: Positive | None = None
    correlation: Literal["transaction", "phase"] = "transaction"

    @cached_property
    def rule(self) -> Callable[..., Any]:
        """The law itself, `f(noise, cells, conductance_s, age_s)` of `emulator.cells.noise_laws`."""
        found: Callable[..., Any] = find("noises", self.law)
        return found

    @property
    def aged(self) -> bool:
        """True where it depends on how long ago a cell was written."""
        return self.law not in ("none", "relative", "additive")

    @model_validator(mode="after")
    def _complete(self) -> ReadNoise:
        check("noises", self.law, self.figures)
        if self.law in ("relative", "additive") and self.sigma == 0:
            raise ValueError(f"law {self.law!r} needs sigma above 0 (law = 'none' switches read noise off)")
        if self.law == "flicker" and self.sigma:
            raise ValueError("sigma belongs to the laws 'relative' and 'additive'; law 'flicker' has scale")
        if self.law == "flicker" and (self.scale == 0 or self.t_read_s is None):
            raise ValueError("law 'flicker' needs scale above 0 and t_read_s, the upper end of its band")
        return self
