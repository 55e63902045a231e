"""Random telegraph noise: a trap that fills and empties switches a cell between two conductances."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from emulator.streams import static_normal, static_uniform
from firmware_specs.datasheet.noise import Telegraph

SMALLEST_G = 1e-3
"""Relative conductance at and below which the exponent of the amplitude is evaluated."""

FULL_SWING = 2.0
"""Amplitude at which the lower level is no conductance at all; no device of a spread has more."""


@dataclass(frozen=True)
class Traps:
    """The traps of an array of cells, fixed for life.

    Attributes:
        amplitude: Distance of a cell's two levels, as a share of its conductance; 0 where there is no trap.
        up_s: Mean dwell time in the upper level, float64.
        down_s: The same of the lower level.
    """

    amplitude: Tensor
    up_s: Tensor
    down_s: Tensor

    @property
    def occupancy(self) -> Tensor:
        """Probability of the upper level, `up_s / (up_s + down_s)`."""
        return self.up_s / (self.up_s + self.down_s)


def draw(law: Telegraph, shape: tuple[int, ...], device: torch.device, *key: object) -> Traps:
    """Traps of one array of cells: log-normal amplitudes and dwell times, in a share of the cells.

    Where cells have places for several traps, those are the first dimension.
    """
    if law.traps > 1:
        every = [draw(law.model_copy(update={"traps": 1}), shape, device, *key, n) for n in range(law.traps)]
        parts = ("amplitude", "up_s", "down_s")
        return Traps(*(torch.stack([getattr(traps, part) for traps in every]) for part in parts))

    def for_life(middle: float | None, spread: float, what: str) -> Tensor:
        assert middle is not None  # noqa: S101 - the datasheet was checked
        return middle * torch.exp(spread * static_normal(shape, device, *key, what))

    there = static_uniform(shape, device, *key, "trap") < law.share
    amplitude = for_life(law.amplitude, law.amplitude_d2d, "trap amplitude").clamp(max=FULL_SWING)
    up_s, down_s = (for_life(t, law.dwell_d2d, what) for t, what in ((law.up_s, "trap up"), (law.down_s, "trap down")))
    return Traps(amplitude * there, up_s, down_s)


def first(traps: Traps, *key: object) -> Tensor:
    """States of a new specimen, bool, True in the upper level: drawn from the stationary distribution."""
    return static_uniform(tuple(traps.up_s.shape), traps.up_s.device, *key, "trap state") < traps.occupancy


def later(traps: Traps, up: Tensor, elapsed_s: float, generator: torch.Generator) -> Tensor:
    """States some time after `up`, exact for any time: `P(up) = p + (up - p) exp(-rate t)`.

    The two-state Markov process of Machlup, J. Appl. Phys. 25, 341 (1954): a cell conducts `G (1 + a/2)` for a time
    that is exponentially distributed with mean `up_s`, then `G (1 - a/2)` for one of mean `down_s`. With
    `p = up_s / (up_s + down_s)` and `rate = 1 / up_s + 1 / down_s` its mean is `G (1 + a (p - 1/2))`, its standard
    deviation `G a sqrt(p (1 - p))`, its autocorrelation `exp(-rate t)`: a Lorentzian of corner `rate / (2 pi)`.

    Args:
        traps: Of the cells.
        up: True where a cell is in its upper level.
        elapsed_s: Time since.
        generator: Source of the switching.
    """
    kept = torch.exp(-elapsed_s * (1 / traps.up_s + 1 / traps.down_s))
    chance = torch.lerp(traps.occupancy, up.to(kept), kept)
    return torch.rand(up.shape, generator=generator, dtype=kept.dtype, device=up.device) < chance


def conductance(law: Telegraph, traps: Traps, mean_s: Tensor, up: Tensor, g_max_s: float) -> Tensor:
    """`G (1 + a/2)` in the upper level, `G (1 - a/2)` in the lower one, for each trap; siemens."""
    amplitude = traps.amplitude
    if law.amplitude_exponent:
        g = (mean_s / g_max_s).clamp(min=SMALLEST_G).to(amplitude)
        amplitude = (amplitude * g**-law.amplitude_exponent).clamp(max=FULL_SWING)
    factor = 1 + amplitude * (up.to(amplitude) - 0.5)
    return mean_s * (factor if law.traps == 1 else factor.prod(0)).to(mean_s.dtype)
