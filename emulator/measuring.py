"""Measurements beside settling: cells one by one, and products of one crossbar."""

from __future__ import annotations

import torch
from torch import Tensor

from emulator.cells import reading
from emulator.crossbar import Where
from emulator.placed import PlacedArray
from emulator.wires import nodal


def currents(
    placed: PlacedArray,
    coupling: int,
    where: Where,
    volts: Tensor,
    reads: int,
    now_s: float,
    generator: torch.Generator,
) -> Tensor:
    """Currents of cells at voltages, amperes, (volts, reads, *region): `G bent(V)`, every reading with its own noise.

    In a passive array (`wires.unselected` other than `isolated`) each cell's current is what arrives at its column's
    end, from the exact nodal solve, plus the cell's own noise and nonlinearity.
    """
    crossbar, sheet = placed.crossbars[coupling], placed.sheet
    present = placed.conductances_s[coupling]
    sigma = crossbar.noise_sigma_s(present, now_s)
    seen = present[where] if sheet.wires.unselected == "isolated" else _with_sneak(placed, coupling, where)
    volts = volts.to(present)
    bent = reading.bent(sheet.cells, volts).view(-1, *[1] * (1 + seen.dim()))
    measured = seen.expand(len(volts), reads, *seen.shape)
    if sigma is not None:
        noise = torch.randn(measured.shape, generator=generator, dtype=seen.dtype, device=seen.device)
        measured = measured + noise * sigma[where]
    return measured * bent


def product(
    placed: PlacedArray, coupling: int, volts: Tensor, transposed: bool, plane: int | None, generator: torch.Generator
) -> Tensor:
    """Line currents of one crossbar, amperes: `V @ G_eff` and read noise of variance `V^2 @ sigma^2`.

    Args:
        placed: The array, brought up to the clock.
        coupling: Which crossbar.
        volts: (batch, rows), or (batch, columns) where transposed.
        transposed: Columns driven, rows read.
        plane: One plane; their difference when None (plane 0 where there is one only).
        generator: Source of the noise.
    """
    matrix, variance = placed.product_matrices(coupling, plane, transposed)
    line_v = reading.bent(placed.sheet.cells, volts)
    current = line_v @ (matrix.T if transposed else matrix)
    if variance is None:
        return current
    spread = (line_v**2) @ (variance.T if transposed else variance)
    noise = torch.randn(current.shape, generator=generator, dtype=current.dtype, device=current.device)
    return torch.addcmul(current, noise, spread.sqrt_())


def _with_sneak(placed: PlacedArray, coupling: int, where: Where) -> Tensor:
    """Apparent conductances of cells of a passive array, of the region's shape, siemens."""
    present, wires = placed.conductances_s[coupling], placed.sheet.wires
    _, rows, columns = present.shape
    cells = torch.arange(present.numel()).view(present.shape)[where]
    seen = torch.empty(cells.shape, dtype=present.dtype)
    admittances = {}
    for position, cell in enumerate(cells.flatten().tolist()):
        plane, row, column = cell // (rows * columns), cell // columns % rows, cell % columns
        if plane not in admittances:
            admittances[plane] = nodal.port_admittance(present[plane].double().cpu().numpy(), wires)
        seen.view(-1)[position] = nodal.cell_current(admittances[plane], rows, row, column, 1.0, wires.unselected)
    return seen.to(present.device)
