"""What is known of single cells and units: a map of one very chip, where a twin is to be a copy of it."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, model_validator

from firmware_specs.datasheet.section import Section

Place = Annotated[int, Field(ge=0, le=65535)]
StuckCell = tuple[Place, Place, Place, Annotated[float, Field(ge=0)]]


class Specimen(Section):
    """Cells and units that were looked at one by one; what is drawn at random is drawn for the others only.

    Attributes:
        array: Which array they belong to.
        coupling: Which coupling of its topology.
        rows: Rows that were looked at, from the first; in them no cell is stuck but those named.
        columns: Columns that were looked at.
        stuck: Cells that cannot be written: plane, row, column, and the conductance they have, siemens.
        gain: Relative gain error of every unit of the coupling's first layer, in order; empty: drawn.
        offset_v: Offset of each, volts, as many as `gain`; empty: drawn.
    """

    array: Annotated[int, Field(ge=0)] = 0
    coupling: Annotated[int, Field(ge=0)] = 0
    rows: Place = 0
    columns: Place = 0
    stuck: tuple[StuckCell, ...] = ()
    gain: tuple[float, ...] = ()
    offset_v: tuple[float, ...] = ()

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if len({cell[:3] for cell in self.stuck}) < len(self.stuck):
            raise ValueError("stuck: a cell is named twice")
        if self.gain and self.offset_v and len(self.gain) != len(self.offset_v):
            raise ValueError(f"offset_v: {len(self.offset_v)} units, gain has {len(self.gain)}")
        return self

    def at(self, array: int, coupling: int) -> bool:
        """Does it speak of this coupling?"""
        return (array, coupling) == (self.array, self.coupling)
