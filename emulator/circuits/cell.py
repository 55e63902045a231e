"""One memristive cell of a datasheet, behind instruments: what its `[cells]`, `[pulses]` and `[read_noise]` say."""

from __future__ import annotations

import math

import numpy as np
import torch

from emulator.cells.reading import noise_sigma_s
from firmware_specs.datasheet import Datasheet, load

MAX_STEPS = 2000


class Cell:
    """A cell whose conductance voltages above its threshold move: up where positive, down where negative.

    A voltage that stays is a train of nominal pulses end to end, so that a pulse of the datasheet's height and width
    moves it by exactly one step of the datasheet's law. At and below half the nominal height nothing moves, where the
    datasheet names no higher threshold: half-selected cells keep their state, and so does one that is read.

    Args:
        sheet: Its datasheet.
        seed: Which specimen.
        start: Relative conductance at first, 0 .. 1.

    Raises:
        ValueError: the datasheet has cells that cannot be pulsed.
    """

    def __init__(self, sheet: Datasheet, seed: int = 0, start: float = 0.0) -> None:
        if sheet.pulses.law == "none":
            raise ValueError(f"cells of {sheet.identity.model} cannot be pulsed: their [pulses] law is none")
        self.cells, self.pulses, self.noise = sheet.cells, sheet.pulses, sheet.read_noise
        self.x = start
        self._draw = np.random.default_rng([seed, 77])
        self._factor = max(0.0, 1 + self.pulses.step_d2d * float(self._draw.standard_normal()))
        self._shown = 1.0

    @property
    def siemens(self) -> float:
        """Conductance, without read noise."""
        return self.cells.g_min_s + self.x * self.cells.span_s

    def amps(self, volts: float) -> float:
        """`G (V + a V |V| + b V^3)`."""
        bent = volts * (1 + self.cells.quadratic_per_v * abs(volts) + self.cells.cubic_per_v2 * volts**2)
        return self.siemens * self._shown * bent

    def slope(self, volts: float) -> float:
        """Its derivative."""
        return (
            self.siemens
            * self._shown
            * (1 + 2 * self.cells.quadratic_per_v * abs(volts) + 3 * self.cells.cubic_per_v2 * volts**2)
        )

    def pass_time(self, volts: float, seconds: float) -> None:
        """A voltage stays for a time; the next reading has noise of its own."""
        self._shown = self._reading_noise()
        if abs(volts) <= self.pulses.amplitude_v / 2:
            return
        left = self.pulses.effort(abs(volts), seconds)
        up = volts > 0
        sign = 1 if up else -1
        for _ in range(MAX_STEPS):
            if left <= 0:
                return
            part = min(left, max(1.0, left / 200))
            noise = 1 + self.pulses.c2c / math.sqrt(part) * float(self._draw.standard_normal())
            step = self.pulses.step * (1 + sign * self.pulses.asymmetry) * max(self.pulses.response(self.x, up), 0.0)
            self.x = min(max(self.x + sign * step * self._factor * part * noise, 0.0), 1.0)
            left -= part

    def _reading_noise(self) -> float:
        sigma = noise_sigma_s(self.noise, self.cells, torch.tensor(self.siemens, dtype=torch.float64), None)
        if sigma is None or not float(sigma) or not self.siemens:
            return 1.0
        return max(0.0, 1 + float(sigma) / self.siemens * float(self._draw.standard_normal()))


def cell(datasheet: str, seed: int = 0, start: float = 0.0) -> Cell:
    """A memristive cell of a datasheet, shipped or a file: its conductances, pulses and read noise."""
    return Cell(load(datasheet), seed, start)
