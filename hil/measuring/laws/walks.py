"""Densities of what a conductance does between two readings: the laws of `firmware_specs.datasheet.drift`."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
GRID = 2048
REACH = 24.0
"""Half width of the grid of a density, standard deviations."""


def normal(x: Array, mean: Array | float, variance: Array | float) -> Array:
    """Logarithm of a normal density."""
    return np.asarray(-0.5 * (np.log(2 * np.pi * variance) + (x - mean) ** 2 / variance))


def jumping(x: Array, folds: float, variance: float, jumps: float, lean: float, noise2: float) -> Array:
    """Logarithm of the density of a variance-gamma increment with normal noise, by Fourier inversion.

    The characteristic function is `(1 - i u m n + s^2 n u^2 / 2)^(-L / n) exp(-i u m L) exp(-u^2 noise2 / 2)` with
    `n = jumps`, `m = lean`, `s^2 = variance - m^2 n` (Madan, Carr and Chang, European Finance Review 2, 79, 1998).

    Args:
        x: Increments about their mean.
        folds: `L`, e-folds of time.
        variance: An e-fold's.
        jumps: e-folds a jump.
        lean: Mean displacement of the jumps an e-fold.
        noise2: Variance of the noise.
    """
    scale = float(np.sqrt(variance * folds + noise2))
    # noise far below the grid's step cannot be seen on it
    smooth = max(noise2, (2.5 * REACH * scale / GRID) ** 2)
    dx = 2 * REACH * scale / GRID
    u = 2 * np.pi * np.fft.rfftfreq(GRID, dx)  # the density is real: the other half follows
    single = variance - lean**2 * jumps
    jumped = np.log(1 - 1j * u * lean * jumps + 0.5 * single * jumps * u**2)
    phi = np.exp(-folds / jumps * jumped - 1j * u * lean * folds - 0.5 * smooth * u**2)
    density = np.fft.hfft(phi, GRID) / (GRID * dx)  # from 0 on; what lies below 0 follows
    place = x / dx + GRID // 2
    left = np.clip(place, 0, GRID - 2).astype(np.int64)
    at, beyond = (density.take(number + GRID // 2, mode="wrap") for number in (left, left + 1))
    within = at + (place - left) * (beyond - at)
    return np.log(np.maximum(np.where((place >= 0) & (place <= GRID - 1), within, 0.0), 1e-12 / scale))


def correlated(off: Array, covariance: Array) -> Array:
    """Logarithms (..., cells) of normal densities about 0 of rows (..., cells, n), with one covariance (..., n, n)."""
    count = covariance.shape[-1]
    size = np.trace(covariance, axis1=-2, axis2=-1)[..., None, None]
    root = np.linalg.cholesky(covariance + np.eye(count) * 1e-12 * size)
    white = np.linalg.solve(root, np.swapaxes(off, -1, -2))
    own = np.log(np.diagonal(root, axis1=-2, axis2=-1)).sum(axis=-1) + 0.5 * count * np.log(2 * np.pi)
    return np.asarray(-0.5 * (white**2).sum(axis=-2) - own[..., None])
