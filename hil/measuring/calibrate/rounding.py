"""What rounding to converter steps does to repeated readings of one value.

Readings `step * round((x + noise) / step)`, normal noise. Their mean is off by what no repeating takes away, a wave of
the value's place `x` between two steps, `sum_k (-1)^k sin(2 pi k x) exp(-2 (pi k sigma)^2) / (pi k)` steps, and their
scatter is not that of the noise either. Over all places the squares add up: scatter^2 + offset^2 = sigma^2 + 1/12
(Fourier series of the rounding error; Widrow and Kollar, Quantization Noise, 2008).
"""

from __future__ import annotations

import numpy as np

from hil.measuring.placed import Array

_HARMONICS = np.arange(1, 200)
_SIGMAS = np.linspace(0.0, 1.5, 301)
"""Noise in steps; above it rounding adds 1/12 to the variance and nothing else."""


def offset(sigma: Array | float) -> Array:
    """Root mean square over all places of what a mean of many readings is off, in steps.

    Args:
        sigma: Noise before rounding, in steps.
    """
    waves = np.exp(-((2 * np.pi * np.multiply.outer(sigma, _HARMONICS)) ** 2)) / (2 * np.pi**2 * _HARMONICS**2)
    return np.asarray(np.sqrt(waves.sum(axis=-1)))


_SCATTERS = np.sqrt(np.maximum(_SIGMAS**2 + 1 / 12 - offset(_SIGMAS) ** 2, 0.0))


def before(scatter: float) -> float:
    """Noise before rounding, in steps, of readings whose root mean square scatter over many places is `scatter`."""
    if scatter > _SCATTERS[-1]:
        return float(np.sqrt(scatter**2 - 1 / 12))
    return float(np.interp(scatter, _SCATTERS, _SIGMAS))


def offset_of(scatter: float, step: float) -> float:
    """`offset` in the unit of `step` for readings that scatter by `scatter` in the same unit; 0 without steps."""
    return float(offset(before(scatter / step))) * step if step else 0.0
