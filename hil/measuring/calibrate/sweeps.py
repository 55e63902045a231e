"""Sweeps of one layer's input while all else is at zero weight: by the drive, by cells, by the nudge.

Cells of the first pair are swept; of further pairs, which are at their low end, what they read is in the input.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from firmware_specs.codes import Capability, ConverterId
from firmware_specs.topology import Dense, Layer
from hil.measuring.placed import Array, PlacedBlock

REPEATS = 32
POINTS = 33
BIAS_POINTS = 19
READS = 16
HOLD = 0.8
"""Level of the bias cells that hold a neighbouring layer."""
LOOP = 0.5
"""Loop gain that a layer and its neighbour may have while one is swept by the other; rails hold a larger one."""
FULL = 0.98
"""Largest level that is asked for: cells are written with noise."""
RAILED = 1.5
"""Drive, in units of the upper rail, that keeps a clamped unit there."""
FEW = 3
"""Units of the first layer that are swept by its neighbour, at least where there are so many."""

Path = Literal["drive_dac", "nudge_dac", "cells"]


@dataclass(frozen=True)
class Sweep:
    """Input of a layer's units and what was read, model units.

    Attributes:
        through: What the input came through: a DAC, or cells whose weights were measured.
        inputs: (points, units), rising.
        readings: (points, repeats, units).
    """

    through: Path
    inputs: Array
    readings: Array


def by_drive(block: PlacedBlock) -> Sweep:
    """The first layer through the drive DAC."""
    first = block.topology.layers[0]
    levels = np.unique(block.on_codes(ConverterId.DRIVE_DAC, _inputs(first, POINTS)))
    block.program({})
    drive = np.repeat(np.repeat(levels, REPEATS)[:, None], first.units, axis=1)
    readings = block.states(drive, 0).reshape(len(levels), REPEATS, -1)
    return Sweep("drive_dac", np.repeat(levels[:, None], first.units, axis=1), readings)


def by_nudge(block: PlacedBlock) -> Sweep:
    """The last layer through the nudge DAC."""
    last = len(block.topology.layers) - 1
    reach = min(block.reach(ConverterId.NUDGE_DAC), 1.0)
    levels = np.unique(block.on_codes(ConverterId.NUDGE_DAC, np.linspace(-reach, reach, POINTS)))
    units = block.topology.layers[last].units
    block.program({})
    nudge = np.repeat(np.repeat(levels, REPEATS)[:, None], units, axis=1)
    settled = block.settle(block.driven(0.0, len(nudge)), [nudge], layers=[last])
    readings = (settled.states_v[0][1] / block.state_unit_v).reshape(len(levels), REPEATS, -1)
    return Sweep("nudge_dac", np.repeat(levels[:, None], units, axis=1), readings.astype(np.float64))


def by_bias(block: PlacedBlock, layer: int) -> Sweep | None:
    """A layer through its bias line; the weights are measured, so that errors of writing do not matter.

    Where the bias line alone does not reach the rails of the second layer, units of the first one that the drive holds
    at their upper rail help it.

    None where it has no bias line, or where cells cannot be read or have one sign only.
    """
    couplings = block.topology.couplings
    number = next((n for n, c in enumerate(couplings) if c.post == layer and _weighable(block, c)), None)
    if number is None:
        return None
    spec, (_, rows, _) = block.topology.layers[layer], block.cells(number)
    wanted = _inputs(spec, BIAS_POINTS)
    helpers, rest = 0, block.driven(0.0, REPEATS)
    if couplings[number].pre == 0 and spec.clamped and block.topology.layers[0].clamped:
        helpers = min(rows - 1, max(0, int(np.ceil(wanted[-1] / (FULL * block.weight_unit) - block.bias_line))))
        rest[:, rows - 1 - helpers : rows - 1] = RAILED / block.topology.layers[0].slope
    lines = np.array([1.0] * helpers + [block.bias_line])  # what the rows are driven with
    most = FULL * block.weight_unit * lines.sum()
    inputs, states = [], []
    for z in wanted[np.abs(wanted) <= most]:
        levels = np.zeros(block.cells(number))
        levels[int(z < 0), rows - 1 - helpers :] = abs(z) / block.weight_unit / lines.sum()
        block.program({number: levels})
        seen = block.row_levels(number, range(rows - 1 - helpers, rows), READS)
        inputs.append(lines @ block.differences(seen) * block.weight_unit)
        states.append(block.states(rest, layer, block.patient_s))
    return Sweep("cells", np.stack(inputs), np.stack(states))


def by_neighbour(block: PlacedBlock, corrected: Callable[[Array], Array]) -> Sweep | None:
    """A few units of the first layer through cells, from a neighbouring layer that its bias line holds.

    Past the drive DAC, so that the curve of the ADC alone is seen. The neighbour's states are measured.

    Args:
        block: The block.
        corrected: States of readings of the layer behind the first coupling.
    """
    if not block.topology.couplings or not _weighable(block, block.topology.couplings[0]):
        return None
    coupling = block.topology.couplings[0]
    first, post = block.topology.layers[0], block.topology.layers[coupling.post]
    if coupling.pre != 0 or not first.clamped:
        return None
    slope = post.slope if post.clamped else 1.0
    held = HOLD * block.weight_unit * slope * block.bias_line
    most = min(1.0 / first.slope / (post.units * held), 0.9 * block.weight_unit)  # weight at the largest input
    loop = first.slope * slope * post.units * most**2  # of one row
    if most * post.units * held * first.slope < 0.6 or (loop > LOOP and not post.clamped):
        return None
    rows = min(first.units, max(1, int(LOOP / loop)))
    starts = range(0, min(first.units - rows + 1, FEW), rows)
    groups = [_group(block, range(at, at + rows), most, corrected) for at in starts]
    inputs, states = (np.concatenate(parts, axis=-1) for parts in zip(*groups, strict=True))
    return Sweep("cells", inputs, states)


def _group(block: PlacedBlock, rows: range, most: float, corrected: Callable[[Array], Array]) -> tuple[Array, Array]:
    """Inputs and readings of some units of the first layer whose weights are swept up to `most`."""
    post = block.topology.couplings[0].post
    inputs, states = [], []
    for weight in np.linspace(0.05, 1.0, BIAS_POINTS) * most:
        levels = np.zeros(block.cells(0))
        levels[0, rows.start : rows.stop], levels[0, -1] = weight / block.weight_unit, HOLD
        block.program({0: levels})
        seen = block.row_levels(0, rows, READS)
        both = block.settle(block.driven(0.0, REPEATS), time_s=block.patient_s, layers=[0, post]).states_v
        near, far = (np.asarray(v[0] / block.state_unit_v, dtype=np.float64) for v in both)
        inputs.append(block.differences(seen) @ corrected(far.mean(axis=0)) * block.weight_unit)
        states.append(near[:, rows.start : rows.stop])
    return np.stack(inputs), np.stack(states)


def _inputs(layer: Layer, points: int) -> Array:
    """Inputs of a layer: of a clamped one a few beyond either rail, the others between them."""
    if not layer.clamped:
        return np.linspace(-0.8, 0.8, points)
    beyond = points // 8
    parts = (np.linspace(-0.4, -0.2, beyond), np.linspace(0.02, 0.98, points - 2 * beyond))
    return np.concatenate([*parts, np.linspace(1.2, 1.4, beyond)]) / layer.slope


def _weighable(block: PlacedBlock, coupling: object) -> bool:
    """Has it a bias line whose weights can have both signs and be measured?"""
    able = block.crossbar.planes >= 2 and block.can(Capability.READ)
    return able and isinstance(coupling, Dense) and coupling.bias
