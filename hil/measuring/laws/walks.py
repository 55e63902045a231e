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
    u = 2 * np.pi * np.fft.fftfreq(GRID, dx)
    single = variance - lean**2 * jumps
    phi = (1 - 1j * u * lean * jumps + 0.5 * single * jumps * u**2) ** (-folds / jumps)
    phi = phi * np.exp(-1j * u * lean * folds - 0.5 * smooth * u**2)
    density = np.fft.fftshift(np.fft.fft(phi)).real / (GRID * dx)
    at = (np.arange(GRID) - GRID // 2) * dx
    far = 1e-12 / scale
    return np.log(np.maximum(np.interp(x, at, density, left=far, right=far), far))


def correlated(off: Array, covariance: Array) -> Array:
    """Logarithm of a multivariate normal density of rows about 0, (cells, n), of one covariance (n, n)."""
    count = off.shape[1]
    root = np.linalg.cholesky(covariance + np.eye(count) * 1e-12 * np.trace(covariance))
    white = np.linalg.solve(root, off.T)
    return np.asarray(-0.5 * (white**2).sum(axis=0) - np.log(np.diag(root)).sum() - 0.5 * count * np.log(2 * np.pi))
