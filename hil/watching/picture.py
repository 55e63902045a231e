"""What a page shows of the last batch and of the cells: small pictures, replaced every few seconds."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from firmware_specs import platform

if TYPE_CHECKING:
    from torch import Tensor

    from hil.counterparts.counted import CellMaps
    from hil.counterparts.seam import Settled

NAME = "picture.json"
SIDE = 48
"""Rows and columns of a picture, at most."""
SAMPLES = 32


def of_settled(settled: Settled) -> dict[str, Any]:
    """States of a batch's first samples by layer, and how far the nudges moved each layer."""
    layers: list[dict[str, Any]] = []
    for number, free in enumerate(settled.free):
        shown = free[:SAMPLES].detach().flatten(1).float()
        entry: dict[str, Any] = {"states": smaller(shown.cpu().numpy(), np.mean)}
        if settled.nudged:
            entry["contrast"] = float(_contrast(settled, number))
        layers.append(entry)
    return {"layers": layers}


def _contrast(settled: Settled, layer: int) -> Tensor:
    """Mean distance of the nudged phases, or of the one from the free phase."""
    other = settled.nudged[1][layer] if len(settled.nudged) > 1 else settled.free[layer]
    moved: Tensor = (settled.nudged[0][layer] - other).detach().flatten(1).norm(dim=1).mean()
    return moved


def of_cells(maps: CellMaps) -> dict[str, Any]:
    """Conductances held, pulses and joules of a coupling's cells, planes one below the other."""
    return {
        "rows": int(np.prod(maps.held_s.shape[:2])),
        "columns": int(maps.held_s.shape[2]),
        "held_s": smaller(_flat(maps.held_s), np.mean),
        "pulses": smaller(_flat(maps.pulses), np.max),
        "energy_j": smaller(_flat(maps.energy_j), np.max),
    }


def smaller(values: NDArray[Any], how: Any) -> list[list[float | None]]:
    """A matrix with at most `SIDE` rows and columns: what lies in a field becomes one number; NaN becomes null."""
    for axis in (0, 1):
        edges = np.unique(np.linspace(0, values.shape[axis], min(SIDE, values.shape[axis]) + 1).astype(int))
        parts = [how(np.take(values, range(a, b), axis), axis=axis) for a, b in pairwise(edges)]
        values = np.stack(parts, axis=axis)
    return [[float(f"{v:.4g}") if np.isfinite(v) else None for v in row] for row in values.tolist()]


def write(folder: Path, content: Mapping[str, Any]) -> None:
    """Replaces the picture of a run; it is worth nothing after a power cut, so nobody waits for the disk."""
    scratch = folder / f".{NAME}.{os.getpid()}"
    scratch.write_text(json.dumps(content, separators=(",", ":"), allow_nan=False), "utf-8")
    platform.replace(scratch, folder / NAME)


def _flat(values: NDArray[Any]) -> NDArray[Any]:
    return values.reshape(-1, values.shape[-1]).astype(np.float64)
