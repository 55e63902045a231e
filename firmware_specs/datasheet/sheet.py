"""The datasheet as a whole, and what its sections must say of each other."""

from __future__ import annotations

from typing import Self

from pydantic import model_validator

from firmware_specs.datasheet.cells import Cells
from firmware_specs.datasheet.converters import Adc, Dac
from firmware_specs.datasheet.fabric import Fabric, Identity, Limits
from firmware_specs.datasheet.neurons import Neurons, Settle
from firmware_specs.datasheet.section import Section


class Datasheet(Section):
    """Everything the host must know of a device, and the emulator's parameters.

    Attributes:
        state_adc: Reads clamped layers.
        output_adc: Reads linear layers, whose rails are wider.
    """

    identity: Identity
    fabric: Fabric
    cells: Cells
    neurons: Neurons
    drive_dac: Dac
    nudge_dac: Dac
    state_adc: Adc
    output_adc: Adc
    settle: Settle
    limits: Limits

    @model_validator(mode="after")
    def _sections_agree(self) -> Self:
        neurons, limits = self.neurons, self.limits
        _covers("state_adc", self.state_adc, 0.0, neurons.state_unit_v, "the state rails")
        _covers("output_adc", self.output_adc, neurons.linear_low_v, neurons.linear_high_v, "the linear rails")
        for name, dac in (("drive_dac", self.drive_dac), ("nudge_dac", self.nudge_dac)):
            reach = max(-dac.low_a, dac.high_a)
            if reach > limits.max_drive_a * (1 + 1e-12):
                raise ValueError(f"{name}: reaches {reach} A, above limits.max_drive_a = {limits.max_drive_a} A")
        return self


def _covers(name: str, adc: Adc, low_v: float, high_v: float, what: str) -> None:
    if adc.low_v > low_v or adc.high_v < high_v:
        raise ValueError(
            f"{name}: range {adc.low_v} .. {adc.high_v} V is narrower than {what}, {low_v} .. {high_v} V: "
            "states beyond it could not be seen"
        )
