"""Densities of what a conductance does between two readings: the laws of `firmware_specs.datasheet.drift`."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
GRID = 2048
REACH = 24.0
"""Half width of the grid of a density, standard deviations."""


def normal(x: Array, mean: Array | float, variance: Array | float) -> Array:
    """Logarithm of a normal density."""
    return np.asarray(-0.5 * (np.log(2 * np.pi * variance) + (x - mean) ** 2 / variance))


@dataclass(frozen=True)
class Walk:
    """A walk by jumps and the noise of the two readings it is seen by: variance-gamma increments, normal noise.

    Attributes:
        slope: Variance of an e-fold of its own time.
        jumps: e-folds a jump.
        lean: Mean displacement of the jumps an e-fold.
        noise2: Variance of the noise.
    """

    slope: float
    jumps: float
    lean: float
    noise2: float

    def beside(self, moved: float) -> Walk:
        """In units of what a cell moves by: that cell's noise is as much less as it moves more."""
        return replace(self, noise2=self.noise2 / moved**2)


def density(walk: Walk, folds: float) -> tuple[Array, Array]:
    """Grid of increments about the mean and their density, by Fourier inversion.

    The characteristic function is `(1 - i u m n + s^2 n u^2 / 2)^(-L / n) exp(-i u m L) exp(-u^2 noise2 / 2)` with
    `n = jumps`, `m = lean`, `s^2 = slope - m^2 n`, `L = folds` (Madan, Carr and Chang, European
    Finance Review 2, 79, 1998).
    """
    scale = float(np.sqrt(walk.slope * folds + walk.noise2))
    dx = 2 * REACH * scale / GRID
    # noise far below the grid's step cannot be seen on it
    smooth = max(walk.noise2, (2.5 * dx) ** 2)
    u = 2 * np.pi * np.fft.rfftfreq(GRID, dx)  # the density is real: the other half follows
    single = walk.slope - walk.lean**2 * walk.jumps
    real, leaning, count = 1 + 0.5 * single * walk.jumps * u**2, u * walk.lean * walk.jumps, folds / walk.jumps
    # size and angle: logarithms and exponentials of complex numbers take NumPy half as long again
    size = np.exp(-0.5 * (count * np.log(real**2 + leaning**2) + smooth * u**2))
    phi = size * np.exp(1j * count * (np.arctan2(leaning, real) - leaning))
    p = np.fft.hfft(phi, GRID) / (GRID * dx)  # from 0 on; what lies below 0 follows
    return np.asarray(dx * (np.arange(GRID) - GRID // 2)), np.roll(p, GRID // 2)


def jumping(x: Array, walk: Walk, folds: float) -> Array:
    """Logarithm of the density of increments about their mean after so many e-folds of the walk's own time."""
    grid, p = density(walk, folds)
    dx, scale = float(grid[1] - grid[0]), float(np.sqrt(walk.slope * folds + walk.noise2))
    place = x / dx + GRID // 2
    left = np.clip(place, 0, GRID - 2).astype(np.int64)
    within = p[left] + (place - left) * (p[left + 1] - p[left])
    return np.log(np.maximum(np.where((place >= 0) & (place <= GRID - 1), within, 0.0), 1e-12 / scale))


def correlated(off: Array, covariance: Array) -> Array:
    """Logarithms (..., cells) of normal densities about 0 of rows (..., cells, n), with one covariance (..., n, n)."""
    count = covariance.shape[-1]
    size = np.trace(covariance, axis1=-2, axis2=-1)[..., None, None]
    root = np.linalg.cholesky(covariance + np.eye(count) * 1e-12 * size)
    white = np.linalg.solve(root, np.swapaxes(off, -1, -2))
    own = np.log(np.diagonal(root, axis1=-2, axis2=-1)).sum(axis=-1) + 0.5 * count * np.log(2 * np.pi)
    return np.asarray(-0.5 * (white**2).sum(axis=-2) - own[..., None])
