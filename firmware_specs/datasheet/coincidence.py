"""Lines of an array that can be pulsed together, so that cells move where pulses meet (PROTOCOL.md 7.11, COINCIDE)."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from firmware_specs.datasheet.section import Section


class Coincidence(Section):
    """Row and column drivers that pulse any of their lines at a time.

    Attributes:
        half_select: Share of the amplitude that a cell sees of which one line alone is pulsed: 0.5 where rows and
            columns carry half of it each, 0 where one line opens a transistor or selector and the other one pulses.
            What a half-selected cell sees must not be above the threshold of `pulses`.
    """

    half_select: Annotated[float, Field(ge=0, lt=1)] = 0.5
