"""Products on tiles: crossbars side by side, every line converted where its tile ends.

Cells, wires, converters and noise act tile by tile; every plane of every tile is a transaction with noise of its own,
as on a wire. All tiles of a grid are computed at once, in float64: sums in another order must not tip a code. The host
adds the tiles' readings and subtracts the planes, after conversion.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F  # noqa: N812 - torch's own convention
from torch import Tensor

from emulator import converters
from emulator.cells import reading
from emulator.channels import Channels
from emulator.placed import PlacedArray
from firmware_specs.datasheet.cells import Cells
from firmware_specs.datasheet.product import Product

BOTH = (0, 1)
"""Planes: G+ and G-."""
EVERY = slice(None)
Noise = Sequence[Sequence[torch.Generator]]


@dataclass(frozen=True)
class Multiplied:
    """Products and what limited them.

    Attributes:
        amps: Of G+ minus G-, (batch, columns), or (batch, rows) where transposed, float64.
        clipped: Line voltages beyond the DAC's range, (batch,).
        rails: Readings at the first or last code, (batch,).
    """

    amps: Tensor
    clipped: Tensor
    rails: Tensor


@dataclass(frozen=True)
class TileGrid:
    """Tiles that hold one matrix, as the lines of one direction see them at present.

    Tiles in a row of the grid are added: their read lines are the same lines of the matrix.

    Attributes:
        product: The device's converters.
        cells: Its cells' nonlinearity.
        matrix: Conductances, (planes, outputs, tiles to add, driven lines, read lines), float64, padded with zeros.
        variance: Of reading them, likewise, or None.
        driven: Driven lines of the tiles to add.
        sizes: Read lines of every output's tiles.
        dacs: Errors of the driven lines' converters, (outputs, tiles to add).
        adcs: The same of the read lines', which both planes have.
    """

    product: Product
    cells: Cells
    matrix: Tensor
    variance: Tensor | None
    driven: tuple[int, ...]
    sizes: tuple[int, ...]
    dacs: Sequence[Sequence[Channels]]
    adcs: Sequence[Sequence[Channels]]

    @classmethod
    def of(cls, tiles: Sequence[Sequence[PlacedArray]], transposed: bool) -> TileGrid:
        """The grid of tiles (outputs, tiles to add), brought up to the clock; smaller ones last.

        Args:
            tiles: Arrays of one coupling each.
            transposed: Their columns are driven, their rows read.
        """
        sheet = tiles[0][0].sheet
        assert sheet.product is not None  # noqa: S101 - the caller has a product device
        seen = [[_turned(t.wiring.seen(0, t.conductances_s[0], transposed), transposed) for t in row] for row in tiles]
        sigmas = [[s for t in row if (s := t.cell_noise_s(0)) is not None] for row in tiles]
        noisy = bool(sigmas[0])
        return cls(
            sheet.product,
            sheet.cells,
            _joined(seen),
            _joined([[_turned(s**2, transposed) for s in row] for row in sigmas]) if noisy else None,
            tuple(tile.shape[1] for tile in seen[0]),
            tuple(row[0].shape[2] for row in seen),
            [[t.line_dacs[transposed] for t in row] for row in tiles],
            [[t.line_adcs[transposed] for t in row] for row in tiles],
        )

    def multiply(self, volts: Tensor, noise: Noise, portion: int | None = None) -> Multiplied:
        """Currents of the read lines for voltages at the others, (batch, driven lines).

        Args:
            volts: Wanted line voltages.
            noise: Generators of every plane and tile, (planes, outputs, tiles to add) flat, one a portion of the batch.
            portion: Samples of a portion; all of them when omitted.
        """
        readings, rails, clipped = self.readings(volts, noise, self.product.reads, portion=portion)
        amps = readings.new_zeros(readings.shape[2:])
        # one by one, as a host adds them: to the last bit
        for positive, negative in zip(*readings, strict=True):
            amps += positive
            amps -= negative
        return Multiplied(amps, clipped, rails)

    def readings(
        self, volts: Tensor, noise: Noise, reads: int, planes: slice = EVERY, portion: int | None = None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Mean readings of every tile's lines, (planes, tiles to add, batch, lines), float64.

        And of each sample the readings at a rail and the voltages clipped, (batch,).
        """
        adc, matrix = self.product.line_adc, self.matrix[planes]
        line_v, clipped = self._line_volts(volts.double())
        amps = line_v @ matrix
        draws = (self.variance is not None) + reads * (adc.noise_sigma_a > 0)
        drawn = self._drawn(noise, (len(matrix), draws, len(volts)), portion or len(volts))
        if self.variance is not None:
            amps.addcmul_((line_v**2 @ self.variance[planes]).clamp_(min=0).sqrt_(), drawn[0])
        total = torch.zeros_like(amps)
        for number in range(reads):
            noisy = amps.add(drawn[number - reads], alpha=adc.noise_sigma_a) if adc.noise_sigma_a else amps
            total += self._converted(noisy, planes)
        # (planes, outputs, add, batch, lines): outputs side by side, without the padding
        joined = total.permute(0, 2, 3, 1, 4).flatten(3)[..., : sum(self.sizes)]
        if adc.ideal:
            return joined / reads, torch.zeros_like(clipped), clipped
        rails = ((joined == 0) | (joined == adc.max_code * reads)).sum((0, 1, 3))
        return (joined / reads).mul_(adc.lsb).add_(adc.low), rails, clipped

    def _line_volts(self, volts: Tensor) -> tuple[Tensor, Tensor]:
        """What every tile's driven lines get, (outputs or 1, tiles to add, batch, driven lines); clipped values."""
        dac, (_, outputs, add, driven, _) = self.product.line_dac, self.matrix.shape
        cut = F.pad(volts, (0, add * driven - volts.shape[1])).view(len(volts), add, driven)
        sent, clipped = converters.convert_drive(dac, cut)
        each = sent.transpose(0, 1).unsqueeze(0)
        if not self.dacs[0][0].exact:
            each = each.repeat(outputs, 1, 1, 1)
            for output, tile, channels in _numbered(self.dacs):
                wanted = cut[:, tile, : self.driven[tile]]
                each[output, tile, :, : self.driven[tile]] = converters.convert_drive(dac, wanted, channels)[0]
        return reading.bent(self.cells, each), clipped

    def _converted(self, amps: Tensor, planes: slice) -> Tensor:
        """Codes of currents, (planes, outputs, tiles to add, batch, read lines); the currents where there are none."""
        adc = self.product.line_adc
        convert = (lambda *a: converters.convert_state(*a)[0]) if adc.ideal else converters.read_codes
        if self.adcs[0][0].exact:
            return convert(adc, amps)
        seen = torch.empty_like(amps)
        for output, tile, channels in _numbered(self.adcs):
            here = (slice(None), output, tile, slice(None), slice(self.sizes[output]))
            seen[here] = convert(adc, amps[here], channels.among(planes))
        return seen

    def _drawn(self, noise: Noise, shape: tuple[int, int, int], portion: int) -> Tensor:
        """Standard normals, (draws, planes, outputs, tiles to add, batch, read lines): each tile's and plane's own."""
        _, outputs, add, _, read = self.matrix.shape
        planes, draws, batch = shape
        where = self.matrix.device
        drawn = torch.zeros(draws, planes * outputs * add, batch, read, dtype=torch.float64, device=where)
        if draws:
            sizes = [size for _ in range(planes) for size in self.sizes for _ in range(add)]
            starts = range(0, batch, portion)
            for number, (size, generators) in enumerate(zip(sizes, noise, strict=True)):
                for start, generator in zip(starts, generators, strict=True):
                    part = drawn[:, number, start : start + portion, :size]
                    part.copy_(torch.randn(part.shape, generator=generator, device=where))
        return drawn.view(draws, planes, outputs, add, batch, read)


class TileGrids:
    """Grids of a chip's tiles, joined anew when conductances were brought up to date."""

    def __init__(self) -> None:
        self._made: dict[tuple[object, ...], tuple[tuple[tuple[int, int], ...], TileGrid]] = {}

    def of(self, tiles: Sequence[Sequence[PlacedArray]], transposed: bool) -> TileGrid:
        """The grid of tiles that were brought up to the clock; arguments as for `TileGrid.of`.

        Raises:
            ValueError: the datasheet describes no product path.
        """
        sheet = tiles[0][0].sheet
        if sheet.product is None:
            raise ValueError(f"{sheet.identity.model}: its datasheet has no [product] section")
        key = (tuple(tuple(tile.array for tile in row) for row in tiles), transposed)
        now = tuple((id(tile), tile.generation) for row in tiles for tile in row)
        if key not in self._made or self._made[key][0] != now:
            self._made[key] = (now, TileGrid.of(tiles, transposed))
        return self._made[key][1]


def _numbered(channels: Sequence[Sequence[Channels]]) -> Iterator[tuple[int, int, Channels]]:
    for output, row in enumerate(channels):
        for tile, one in enumerate(row):
            yield output, tile, one


def _turned(planes: Tensor, transposed: bool) -> Tensor:
    return planes.transpose(1, 2) if transposed else planes


def _joined(tiles: Sequence[Sequence[Tensor]]) -> Tensor:
    """Tiles (planes, driven, read) as one tensor (planes, outputs, tiles to add, driven, read), padded with zeros."""
    first = tiles[0][0]
    joined = torch.zeros(len(tiles), len(tiles[0]), *first.shape, dtype=torch.float64, device=first.device)
    for row, places in zip(tiles, joined, strict=True):
        for tile, place in zip(row, places, strict=True):
            place[:, : tile.shape[1], : tile.shape[2]] = tile
    return joined.movedim(2, 0).contiguous()
