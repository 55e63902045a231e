"""Stuck cells, open lines, worn cells: fixed for a specimen's life, drawn from its seed."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from emulator.streams import static_normal, static_uniform
from firmware_specs.datasheet import Datasheet


@dataclass(frozen=True)
class Defects:
    """Where an array of cells, (planes, rows, columns), does not work; None where all of it does.

    Attributes:
        stuck: True where a cell cannot be written.
        stuck_s: Its conductance there, siemens.
        open_lines: True where a broken row or column leaves a cell without current.
    """

    stuck: Tensor | None
    stuck_s: Tensor | None
    open_lines: Tensor | None

    def apply(self, conductance_s: Tensor) -> Tensor:
        """Conductances as they appear with the defects."""
        if self.stuck is not None and self.stuck_s is not None:
            conductance_s = torch.where(self.stuck, self.stuck_s.to(conductance_s.dtype), conductance_s)
        if self.open_lines is not None:
            conductance_s = conductance_s.masked_fill(self.open_lines, 0.0)
        return conductance_s


def draw(sheet: Datasheet, shape: tuple[int, int, int], device: torch.device, *key: object) -> Defects:
    """Defects of one array of cells.

    A share `stuck_on` is at the highest, `stuck_off` at the lowest, `corrupt` at some conductance of its range.
    """
    faults, cells = sheet.faults, sheet.cells
    stuck = stuck_s = open_lines = None
    if faults.stuck_on or faults.stuck_off or faults.corrupt:
        place = static_uniform(shape, device, *key, "stuck")
        stuck = place < faults.stuck_on + faults.stuck_off
        stuck_s = (place < faults.stuck_on).double() * cells.span_s + cells.g_min_s
        if faults.corrupt:
            assert faults.corrupt_low_s is not None and faults.corrupt_high_s is not None  # noqa: S101 - checked
            corrupt = (place < faults.stuck_on + faults.stuck_off + faults.corrupt) & ~stuck
            width_s = faults.corrupt_high_s - faults.corrupt_low_s
            somewhere = static_uniform(shape, device, *key, "corrupt") * width_s + faults.corrupt_low_s
            stuck, stuck_s = stuck | corrupt, torch.where(corrupt, somewhere, stuck_s)
    if faults.open_rows or faults.open_columns:
        planes, rows, columns = shape
        open_lines = (static_uniform((planes, rows, 1), device, *key, "open rows") < faults.open_rows) | (
            static_uniform((planes, 1, columns), device, *key, "open columns") < faults.open_columns
        )
    return Defects(stuck, stuck_s, open_lines)


def known(sheet: Datasheet, drawn: Defects, shape: tuple[int, int, int], device: torch.device) -> Defects:
    """Defects with the stuck cells of one very chip in the place of those drawn."""
    of = sheet.specimen
    cells = [cell for cell in of.stuck if all(n < size for n, size in zip(cell[:3], shape, strict=True))]
    stuck = torch.zeros(shape, dtype=torch.bool, device=device)
    stuck_s = torch.zeros(shape, dtype=torch.float64, device=device)
    for plane, row, column, value_s in cells:
        stuck[plane, row, column], stuck_s[plane, row, column] = True, value_s
    if drawn.stuck is not None and drawn.stuck_s is not None:
        stuck_s = torch.where(stuck, stuck_s, drawn.stuck_s)
        elsewhere = drawn.stuck.clone()
        elsewhere[:, : of.rows, : of.columns] = False
        stuck |= elsewhere
    return Defects(stuck, stuck_s, drawn.open_lines)


def lifetimes(sheet: Datasheet, shape: tuple[int, int, int], device: torch.device, *key: object) -> Tensor | None:
    """Writes and pulses each cell survives, `cycles exp(spread xi)`; None where they last for ever."""
    if sheet.endurance.cycles is None:
        return None
    xi = static_normal(shape, device, *key, "endurance")
    return sheet.endurance.cycles * torch.exp(sheet.endurance.spread * xi)
