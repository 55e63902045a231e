"""The circuits with which a device moves its own cells by the contrast of two phases (PROTOCOL.md 7.10)."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, PositiveInt

from firmware_specs.datasheet.section import NonNegative, Positive, Section


class Update(Section):
    """The circuit at every cell: `q = clip(dead((1 + gain) c + bias)) +- injection`, `dx = +- rate_per_s window q`.

    `c` is the cell's contrast in state units, `x` its conductance as a share of the range. What lies ahead of the
    polarity switch (bias, dead zone, limit) turns with it, what lies behind it (injection) does not. Measured values
    have not been found published for any chip; that the offset is what spoils learning is (arXiv 2505.22887).

    Attributes:
        rate_per_s: Share of the range that a contrast of 1 moves a cell in a second.
        window_s: Longest window of a sample.
        batch: Most samples of a request; their changes add up and the cells move once.
        limit: Contrast at which a circuit saturates, either way; None: it does not.
        dead_zone: Contrast below which a circuit gives nothing; above it, what exceeds it.
        gain: Relative error of the gain that all circuits have.
        gain_spread: Relative spread of the gain between the circuits, for life.
        bias: Contrast that every circuit adds, ahead of the polarity switch.
        bias_spread: Spread of it between the circuits, for life.
        injection: Contrast that every circuit adds behind the polarity switch, whatever the polarity.
        injection_spread: Spread of it between the circuits, for life.
    """

    rate_per_s: Positive
    window_s: Positive
    batch: PositiveInt = 1
    limit: Positive | None = None
    dead_zone: NonNegative = 0.0
    gain: Annotated[float, Field(gt=-1, le=10)] = 0.0
    gain_spread: NonNegative = 0.0
    bias: Annotated[float, Field(ge=-10, le=10)] = 0.0
    bias_spread: NonNegative = 0.0
    injection: Annotated[float, Field(ge=-10, le=10)] = 0.0
    injection_spread: NonNegative = 0.0

    @property
    def linear(self) -> bool:
        """Whether the circuits neither saturate nor have a dead zone."""
        return self.limit is None and self.dead_zone == 0
