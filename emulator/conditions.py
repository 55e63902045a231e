"""Time and temperature of a chip, and how far it has aged at them."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from emulator.cells import drifting
from firmware_specs.datasheet import Datasheet


class Conditions:
    """What a chip has been through.

    Args:
        datasheet: Of the chip; it begins at its reference temperature.

    Attributes:
        clock_s: The chip's own time.
        aged_s: The same as drift counts it: heat makes it run faster.
        temperature_k: Now.
    """

    def __init__(self, datasheet: Datasheet) -> None:
        self._drift, self._cells = datasheet.drift, datasheet.cells
        self.clock_s = self.aged_s = 0.0
        self.temperature_k = datasheet.cells.reference_k

    def run(self, seconds: float) -> None:
        """Lets time pass at the present temperature."""
        self.clock_s += seconds
        self.aged_s += seconds * drifting.ageing(self._drift, self._cells, self.temperature_k)

    def set_temperature(self, kelvin: float) -> None:
        """Sets the temperature: conductances, thermal noise and the speed of drift follow.

        Raises:
            ValueError: it is not positive and finite.
        """
        if not 0 < kelvin < math.inf:
            raise ValueError(f"temperature: more than 0 K expected, got {kelvin}")
        self.temperature_k = kelvin

    def state(self) -> Tensor:
        """For a checkpoint: clock, age, temperature, float64."""
        return torch.tensor([self.clock_s, self.aged_s, self.temperature_k], dtype=torch.float64)

    def restore(self, state: Tensor) -> None:
        """Takes `state` back."""
        self.clock_s, self.aged_s, self.temperature_k = (float(v) for v in state)
