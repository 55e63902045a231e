"""What products dissipate in the cells, from the conductances that were written and the voltages that were sent.

A cell of a driven line has the line's voltage across it while its plane's product is read, `G V^2` (with the curve of a
nonlinear cell `G V bent(V)`), for the datasheet's time of a product. The other lines are at virtual ground.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from emulator.cells import quantize
from emulator.cells.reading import bent
from firmware_specs.datasheet import Datasheet
from firmware_specs.deeds import Deeds
from hil.counterparts.heat import expected


class ProductHeat:
    """Joules that the products of one block dissipated.

    Args:
        sheet: The device.
        shapes: Rows and columns of each coupling.
    """

    def __init__(self, sheet: Datasheet, shapes: Sequence[tuple[int, int]]) -> None:
        assert sheet.product is not None  # noqa: S101 - only products heat so
        self._sheet, self._product = sheet, sheet.product
        self._cells: list[Tensor] | None = None
        self._squares = [(torch.zeros(rows, dtype=torch.float64), torch.zeros(columns, dtype=torch.float64))
                         for rows, columns in shapes]  # fmt: skip
        self._joules = 0.0

    def written(self, conductances_s: Sequence[Tensor]) -> None:
        """The cells hold these now, (planes, rows, columns) a coupling."""
        self._fold()
        sheet = self._sheet
        codes = [quantize(sheet.cells, cells.detach().cpu().double()) for cells in conductances_s]
        self._cells = [expected(sheet, cells).sum(0) for cells in codes]

    def multiplied(self, coupling: int, volts: Tensor, transposed: bool) -> None:
        """Samples were multiplied with a coupling.

        Args:
            coupling: Which one.
            volts: Wanted line voltages, (batch, rows), or (batch, columns) where transposed.
            transposed: Columns were driven.
        """
        self._squares[coupling][transposed].add_(self._across(volts))

    def read(self, coupling: int, volts: Tensor, columns: int) -> None:
        """The same of the cells at the first lines alone, of one tile."""
        if self._cells is not None:
            cells = self._cells[coupling][: volts.shape[1], :columns]
            self._joules += self._product.read_time_s * float(self._across(volts) @ cells.sum(1))

    def take(self) -> Deeds:
        """Joules since the last call."""
        self._fold()
        joules, self._joules = self._joules, 0.0
        return Deeds(array_j=joules)

    def _across(self, volts: Tensor) -> Tensor:
        """Squares of the voltages by line, summed over the batch."""
        sent = volts.detach().clamp(self._product.line_dac.low, self._product.line_dac.high)
        return (sent * bent(self._sheet.cells, sent)).sum(0).cpu()

    def _fold(self) -> None:
        for number, squares in enumerate(self._squares):
            for axis, lines in enumerate(squares):
                if self._cells is not None:
                    watts = float(lines @ self._cells[number].sum(1 - axis))
                    self._joules += self._product.read_time_s * watts
                lines.zero_()
