"""What the circuits around the cells need; a datasheet that knows no figure leaves it out, and the ledger says so."""

from __future__ import annotations

from typing import Self

from pydantic import model_validator

from firmware_specs.datasheet.section import NonNegative, Section


class Energy(Section):
    """Energy figures; what cells dissipate and what writing takes is known without them.

    Attributes:
        dac_j: One value converted by a DAC.
        adc_j: One value converted by an ADC.
        circuits_w: All other circuits together while the device works: neurons, references, logic.
        source: Where the figures are from: a publication with its table, or who measured them and how; without figures,
            that there are none.
    """

    dac_j: NonNegative | None = None
    adc_j: NonNegative | None = None
    circuits_w: NonNegative | None = None
    source: str = ""

    @model_validator(mode="after")
    def _says_where_from(self) -> Self:
        if not self.source and any(value is not None for value in (self.dac_j, self.adc_j, self.circuits_w)):
            raise ValueError("energy.source: figures without a source are not believed: say where they are from")
        return self
