"""Drift of conductances after they were written, and how fast its clock runs."""

from __future__ import annotations

import math

from torch import Tensor

from firmware_specs.datasheet.cells import Cells
from firmware_specs.datasheet.drift import Drift

BOLTZMANN_EV = 8.617333262e-5
"""Electronvolts per kelvin."""


def ageing(drift: Drift, cells: Cells, temperature_k: float) -> float:
    """How fast time runs for drift at a temperature: `exp(Ea/k (1/T_ref - 1/T))` (Arrhenius)."""
    return math.exp(drift.activation_ev / BOLTZMANN_EV * (1 / cells.reference_k - 1 / temperature_k))


def drifted(
    drift: Drift, cells: Cells, written_s: Tensor, elapsed_s: Tensor, xi: Tensor, walk_s: Tensor | None = None
) -> Tensor:
    """Conductances some time after they were written, by the datasheet's law (`drift_laws`).

    Args:
        drift: The law.
        cells: The range.
        written_s: Conductances right after the write, siemens.
        elapsed_s: Seconds since, of the reference temperature, float64.
        xi: Standard normals: one a device for life, for `relaxation` one a write.
        walk_s: Of the law `walk`, where each cell's walk has come, siemens; see `wandering`.

    Returns:
        Siemens, at least 0, in the dtype of `written_s`.
    """
    found: Tensor = drift.rule(drift, cells, written_s, elapsed_s, xi, walk_s, **drift.figures)
    return found.clamp(min=0) if drift.own else found
