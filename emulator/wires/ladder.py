"""Fast approximation of wire resistance for training.

A crossbar of resistors is linear and reciprocal, so what its wires do is to change its conductance matrix, once, when
it is programmed; a settle costs what it costs without wires. The matrix is approximated line by line: with
`alpha_ij` the voltage at cell j of row i for 1 V at the row's driver while all columns are at 0 V, and `beta_ij` the
voltage at cell i of column j for 1 V at the column's end while all rows are at 0 V,

    G_eff = alpha * G * beta

which is exact where only rows or only columns have resistance (the ladder is solved exactly, and by reciprocity
`beta` is the share of a cell's current that reaches the column's end). Neglected is that a row's current lifts the
columns it flows into.
"""

from __future__ import annotations

import torch
from torch import Tensor

from firmware_specs.datasheet.wires import Wires

SWEEPS = 2
"""Fixed-point sweeps of the ladder: each refines the current a line carries by the voltages of the last."""


def transfer(conductance_s: Tensor, wires: Wires) -> Tensor:
    """Effective conductances, (..., rows, columns), siemens; see `emulator.wires.nodal.transfer` for the exact ones."""
    alpha = _attenuation(conductance_s, wires.row_ohm, wires.terminal_ohm)
    flipped = conductance_s.transpose(-1, -2).contiguous().flip(-1)  # sums run along contiguous lines
    beta = _attenuation(flipped, wires.column_ohm, wires.terminal_ohm).transpose(-1, -2).flip(-2)
    return alpha * conductance_s * beta


def _attenuation(shunt_s: Tensor, ohm: float, terminal_ohm: float) -> Tensor:
    """Voltages along lines, (..., lines, cells), for 1 V at the port before the first cell, shunts to ground.

    With `S_k` the conductance from cell k on, seen from its segment, `v_k = v_(k-1) / (1 + r_k S_k)` and
    `S_k = sum_(m >= k) G_m v_m / v_k`.
    """
    if ohm == 0 and terminal_ohm == 0:
        return torch.ones_like(shunt_s)
    resistance = torch.full((shunt_s.shape[-1],), ohm, dtype=shunt_s.dtype, device=shunt_s.device)
    resistance[0] += terminal_ohm
    voltage: Tensor | None = None
    for _ in range(SWEEPS):
        drawn = shunt_s if voltage is None else shunt_s * voltage
        current = (drawn.sum(-1, keepdim=True) - drawn.cumsum(-1)).add_(drawn)
        seen = current if voltage is None else current.div_(voltage)
        voltage = seen.mul_(resistance).add_(1).reciprocal_().cumprod(-1)
    assert voltage is not None  # noqa: S101 - there is at least one sweep
    return voltage
