"""Spread of written conductances against their target."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hil.measuring.laws.choice import Chosen, halves, rank
from hil.measuring.laws.samples import OUTLIER, Range, Writes, robust_spread

Array = NDArray[np.float64]
DEGREES = {"constant": 0, "quadratic": 2, "quartic": 4}


def choose(data: Writes, within: Range, seed: int = 0) -> Chosen:
    """The programming noise: constant, or a polynomial of the target, judged by the other half of the cells."""
    error, g = (data.siemens - data.target_s) / within.span_s, data.target_s / within.high_s
    error = error - np.median(error)
    wild = np.abs(error) > OUTLIER * float(robust_spread(error))
    error, g, cell = error[~wild], g[~wild], data.cell[~wild]
    cells = np.unique(cell)
    train, held = (np.isin(cell, cells[half]) for half in halves(len(cells), seed))
    levels = len(np.unique(g))
    likelihoods: dict[str, tuple[int, Array]] = {}
    for name, degree in DEGREES.items():
        if degree >= levels:
            continue
        sigma = _sigma(_fit(g[train], error[train], degree), g[held])
        ll = -0.5 * (error[held] / sigma) ** 2 - np.log(sigma) - 0.5 * np.log(2 * np.pi)
        likelihoods[name] = (
            degree + 1,
            np.bincount(np.unique(cell[held], return_inverse=True)[1], weights=ll).astype(float),
        )
    name, scores = rank(likelihoods, int(held.sum()))
    law = _fit(g, error, DEGREES[name])
    count = f"{len(cells[halves(len(cells), seed)[0]]):,} and {len(cells[halves(len(cells), seed)[1]]):,} cells"
    notes = [f"{wild.mean():.2%} of the writes left out"]
    if name == "constant":
        spread, freedom = float(law[0]), len(error)
        return Chosen(name, {"cells": {"programming_noise": spread}},
                      {"cells.programming_noise": spread / np.sqrt(2 * freedom)}, scores, count, notes)  # fmt: skip
    reach = np.linspace(within.low_s / within.high_s, 1.0, 51)
    law[0] -= min(float(np.polynomial.Polynomial(law)(reach).min()), 0.0)
    return Chosen(
        name, {"programming": {"sigma_coefficients_s": (law * within.span_s).tolist()}}, {}, scores, count, notes
    )


def _fit(g: Array, error: Array, degree: int) -> Array:
    """Coefficients of the spread over `g`, from the mean of absolute errors of a normal."""
    size = np.abs(error) * np.sqrt(np.pi / 2)
    return np.asarray(
        np.polynomial.Polynomial.fit(g, size, degree).convert().coef if degree else [np.sqrt((error**2).mean())]
    )


def _sigma(law: Array, g: Array) -> Array:
    return np.maximum(np.polynomial.Polynomial(law)(g), 1e-6)
