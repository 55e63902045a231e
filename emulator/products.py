"""Products on tiles: a coupling cut into crossbars of one size, every line converted where its tile ends.

Cells, wires and read noise are the chip's; they act tile by tile. The host adds the tiles' readings and subtracts the
planes, after conversion.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F  # noqa: N812 - torch's own convention
from torch import Tensor

from emulator import converters
from emulator.cells import reading
from emulator.converters import Channels
from emulator.placed import PlacedArray
from firmware_specs.datasheet import Datasheet
from firmware_specs.datasheet.product import Product


@dataclass(frozen=True)
class Multiplied:
    """Products and what limited them.

    Attributes:
        amps: (batch, columns), or (batch, rows) where transposed.
        clipped: Line voltages beyond the DAC's range, (batch,).
        rails: Readings at the first or last code, (batch,).
    """

    amps: Tensor
    clipped: Tensor
    rails: Tensor


class TiledCoupling:
    """One coupling on its tiles, as the lines see it at present.

    Args:
        placed: The array, brought up to the clock.
        coupling: Which coupling.
        key: Seeds the converters' static errors.
    """

    def __init__(self, placed: PlacedArray, coupling: int, *key: object) -> None:
        sheet = placed.sheet
        assert sheet.product is not None  # noqa: S101 - the caller has a product device
        self.sheet, self.product = sheet, sheet.product
        present = placed.conductances_s[coupling]
        self.rows, self.columns = present.shape[1:]
        tiles = _tiles(present, self.product)
        self._matrix = placed.wiring.effective(tiles.flatten(0, 2)).view(tiles.shape)
        sigma = placed.cell_noise_s(coupling)
        self._variance = None if sigma is None else _tiles(sigma**2, self.product)
        self._lines = {
            transposed: Channels.draw(
                self.product.line_adc,
                self._shape(transposed),
                present.device,
                present.dtype,
                *key,
                coupling,
                transposed,
            )
            for transposed in (False, True)
        }

    def multiply(self, volts: Tensor, transposed: bool, generator: torch.Generator) -> Multiplied:
        """Currents of the read lines for voltages at the others, (batch, rows), or (batch, columns) transposed.

        The host adds the tiles and takes plane 1 from plane 0.
        """
        planes, clipped, rails = self.planes(volts, transposed, generator, self.product.reads)
        return Multiplied(planes[0] if len(planes) == 1 else planes[0] - planes[1], clipped, rails)

    def planes(
        self, volts: Tensor, transposed: bool, generator: torch.Generator, reads: int
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Mean readings of both planes, tiles added, (planes, batch, lines); values clipped and readings at rails."""
        sent, clipped = converters.convert_drive(self.product.line_dac, volts)
        line_v = reading.bent(self.sheet.cells, sent)
        amps = self._through(self._matrix, line_v, transposed)
        if self._variance is not None:
            spread = self._through(self._variance, line_v**2, transposed).clamp_(min=0).sqrt_()
            amps = amps + spread * _normal(amps, generator)
        adc, total, rails = self.product.line_adc, torch.zeros_like(amps), torch.zeros_like(clipped)
        for _ in range(reads):
            noisy = amps + adc.noise_sigma_a * _normal(amps, generator) if adc.noise_sigma_a else amps
            # the batch is the last but one axis here; the converter counts rails over what follows the first
            seen, at_rail = converters.convert_state(adc, noisy.movedim(2, 0), self._lines[transposed])
            total, rails = total + seen.movedim(0, 2), rails + at_rail
        used = self.rows if transposed else self.columns
        return (total / reads).sum(1)[..., :used], clipped, rails

    def _through(self, matrix: Tensor, volts: Tensor, transposed: bool) -> Tensor:
        """(planes, tiles to add, batch, read lines) of every tile; tiles are (planes, down, across, rows, columns)."""
        if transposed:
            matrix = matrix.permute(0, 2, 1, 4, 3)
        planes, add, keep, driven, read = matrix.shape
        joined = matrix.permute(0, 1, 3, 2, 4).reshape(planes, add, driven, keep * read)
        padded = F.pad(volts, (0, add * driven - volts.shape[1])).view(len(volts), add, driven)
        return torch.einsum("bad,padr->pabr", padded, joined)

    def _shape(self, transposed: bool) -> tuple[int, ...]:
        planes, down, across, rows, columns = self._matrix.shape
        return (planes, across, down * rows) if transposed else (planes, down, across * columns)


def noise_floor_a(sheet: Datasheet, tiles: int) -> float:
    """Standard deviation of a product's error from conversion alone, amperes: both planes, the tiles that are added."""
    assert sheet.product is not None  # noqa: S101 - the caller has a product device
    adc, reads = sheet.product.line_adc, sheet.product.reads
    step = 0.0 if adc.ideal else adc.lsb
    return float((2 * tiles * (step**2 / 12 + adc.noise_sigma_a**2 / reads)) ** 0.5)


def _tiles(values: Tensor, product: Product) -> Tensor:
    """(planes, rows, columns) as (planes, down, across, tile rows, tile columns), padded with zeros."""
    planes, rows, columns = values.shape
    down, across = product.cut(rows, columns)
    height, width = product.tile_rows, product.tile_columns
    padded = F.pad(values, (0, across * width - columns, 0, down * height - rows))
    return padded.view(planes, down, height, across, width).permute(0, 1, 3, 2, 4)


def _normal(like: Tensor, generator: torch.Generator) -> Tensor:
    return torch.randn(like.shape, generator=generator, dtype=like.dtype, device=like.device)
