"""3x3 convolutions with padding 1 by fewer multiplications (Winograd; Lavin and Gray, arXiv 1509.09308).

A tile of a map is changed linearly into a few numbers a channel, each of them is multiplied by its own matrix between
the channels, and the results are changed back. A 4x4 tile takes 36 such products where the definition takes 144, a
whole 2x2 map 9 instead of 16. Points of interpolation are 0, +-sqrt(1/2), +-sqrt(2) and infinity: in float32 they have
2.7 times the rounding of a direct convolution (with the usual +-1, +-2 it is 5 times), and since the set is its own
inverse, the transposed convolution has the same products.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from math import ceil

import torch
from torch import Tensor

TILE, HALO = 4, 6
TILES = 128
"""Tiles transformed at a time: few enough to stay in the cache, enough to use every matrix often."""


@dataclass(frozen=True)
class Scheme:
    """`convolution(x) = after [ (kernel w) * (before x) ]` on one tile.

    Attributes:
        before: (products, cells of the tile, with its halo where tiles overlap).
        kernel: (products, 9).
        after: (cells of the tile, products).
    """

    before: Tensor
    kernel: Tensor
    after: Tensor


def suits(height: int, width: int) -> bool:
    """Whether there are schemes for maps of this size."""
    return _is_tile(height, width) or (height % TILE == 0 and width % TILE == 0)


def _is_tile(height: int, width: int) -> bool:
    return height == width and height in (1, 2, TILE)


def schemes(height: int, width: int) -> tuple[Scheme, Scheme]:
    """Of the convolution on maps of this size and of its transpose, float64; both have one `kernel`.

    Maps of 1, 2 and 4 are a tile of their own: no halo, and the transpose is the scheme read backwards.
    """
    if not _is_tile(height, width):
        before, kernel, after = _interpolated()
        turned, factor = _turned(kernel)
        return _squared(before, kernel, after), _squared(before[turned], kernel, after[:, turned] * factor)
    whole = _squared(*_whole(height))
    return whole, replace(whole, before=whole.after.T.contiguous(), after=whole.before.T.contiguous())


def _whole(edge: int) -> tuple[Tensor, Tensor, Tensor]:
    if edge == 1:
        return torch.ones(1, 1), torch.tensor([[0.0, 1.0, 0.0]]), torch.ones(1, 1)
    if edge == 2:
        before = torch.tensor([[1.0, 1.0], [0.0, 1.0], [1.0, 0.0]])
        kernel = torch.tensor([[0.0, 1.0, 0.0], [0.0, -1.0, 1.0], [1.0, -1.0, 0.0]])
        return before, kernel, torch.tensor([[1.0, 1.0, 0.0], [1.0, 0.0, 1.0]])
    before, kernel, after = _interpolated()
    return before[:, 1:-1], kernel, after


def _interpolated() -> tuple[Tensor, Tensor, Tensor]:
    """Four outputs of a 3-tap filter from six inputs (Toom-Cook, transposed), rows of `before` scaled to at most 1."""
    points = torch.tensor([0, 0.5**0.5, -(0.5**0.5), 2**0.5, -(2**0.5)], dtype=torch.float64)
    powers = points[:, None] ** torch.arange(HALO)
    infinity = torch.eye(HALO, dtype=torch.float64)
    values, kernel, after = (torch.cat([powers[:, :n], infinity[n - 1 : n, :n]]) for n in (HALO, 3, TILE))
    before = torch.linalg.inv(values).T
    size = before.abs().amax(1, keepdim=True)
    return before / size, kernel * size, after.T


def _turned(kernel: Tensor) -> tuple[Tensor, Tensor]:
    """Which product serves the filter turned round, and by which factor.

    At a point `a` it is `a^2` times the filter at `1 / a`.
    """
    inverse = torch.tensor([5, 3, 4, 1, 2, 0])
    factor = (kernel.flip(1) * kernel[inverse]).sum(1) / kernel[inverse].square().sum(1)
    return inverse, factor[inverse]


def _squared(before: Tensor, kernel: Tensor, after: Tensor) -> Scheme:
    """From one dimension to two."""
    return Scheme(*(torch.kron(m.double(), m.double()) for m in (before, kernel, after)))


class Scratch:
    """Working memory the products of a block share: fresh memory for every one would cost as much as they do."""

    def __init__(self) -> None:
        self._buffers: dict[str, Tensor] = {}

    def lend_framed(self, like: Tensor, batch: int, *shape: int) -> Tensor:
        """Maps (batch, height, width, channels) whose outermost rows and columns are 0, and must stay so."""
        name = f"framed {shape}"
        if name not in self._buffers or len(self._buffers[name]) < batch:
            self._buffers[name] = like.new_zeros(batch, *shape)
        return self._buffers[name][:batch]

    def lend(self, name: str, like: Tensor, *shape: int) -> Tensor:
        """A tensor that holds until the next loan of that name; what it contains is left over."""
        count = torch.Size(shape).numel()
        if name not in self._buffers or self._buffers[name].numel() < count:
            self._buffers[name] = like.new_empty(count)
        return self._buffers[name][:count].view(shape)


@dataclass(frozen=True)
class Winograd:
    """A prepared convolution of (batch, channels, height, width) maps; channels-last in, channels-last out.

    Attributes:
        scheme: For the maps' edge, in the weights' dtype.
        matrices: (products, in_channels, out_channels).
        bias: (out_channels,) or None; a current takes its place.
        scratch: Working memory.
    """

    scheme: Scheme
    matrices: Tensor
    bias: Tensor | None
    scratch: Scratch = field(repr=False)

    def __call__(self, x: Tensor, current: Tensor | None = None) -> Tensor:
        """The convolution, plus a current of its shape where one is given."""
        batch, _, height, width = x.shape
        tile = round(len(self.scheme.after) ** 0.5)
        down, across, channels = height // tile, width // tile, self.matrices.shape[2]
        maps = x.permute(0, 2, 3, 1)
        out = x.new_empty(batch, down, tile, across, tile, channels)
        step = ceil(TILES / (down * across))
        for first in range(0, batch, step):
            part = maps[first : first + step]
            before = self._tiles(part, down, across)
            products = self.scratch.lend("products", x, len(before), before.shape[1], channels)
            torch.bmm(before, self.matrices, out=products)
            after = self.scratch.lend("after", x, tile**2, before.shape[1] * channels)
            torch.mm(self.scheme.after, products.view(len(products), -1), out=after)
            placed = after.view(tile, tile, len(part), down, across, channels).permute(2, 3, 0, 4, 1, 5)
            if current is None:
                self._write(placed, self.bias, out[first : first + step])
            else:
                more = current[first : first + step].permute(0, 2, 3, 1)
                self._write(
                    placed, more.unflatten(2, (across, tile)).unflatten(1, (down, tile)), out[first : first + step]
                )
        return out.view(batch, height, width, channels).permute(0, 3, 1, 2)

    def _tiles(self, maps: Tensor, down: int, across: int) -> Tensor:
        """Transformed tiles, (products, tiles, channels)."""
        before, (batch, height, width, channels) = self.scheme.before, maps.shape
        if down * across == 1:
            whole = self.scratch.lend("before", maps, batch, len(before), channels)
            return torch.matmul(before, maps.reshape(batch, height * width, channels), out=whole).transpose(0, 1)
        padded = self.scratch.lend_framed(maps, batch, height + 2, width + 2, channels)
        padded[:, 1:-1, 1:-1] = maps
        image, row, column, _ = padded.stride()
        tiles = self.scratch.lend("tiles", maps, HALO, HALO, batch, down, across, channels)
        tiles.copy_(padded.as_strided(tiles.shape, (row, column, image, TILE * row, TILE * column, 1)))
        transformed = self.scratch.lend("before", maps, len(before), batch * down * across, channels)
        torch.mm(before, tiles.view(HALO**2, -1), out=transformed.view(len(before), -1))
        return transformed

    def _write(self, placed: Tensor, offset: Tensor | None, out: Tensor) -> None:
        if offset is None:
            out.copy_(placed)
        else:
            torch.add(placed, offset, out=out)


def prepare(weight: Tensor, bias: Tensor | None, size: tuple[int, int], scratch: Scratch) -> tuple[Winograd, Winograd]:
    """The convolution `w * x + b` and its transpose `w^T * y`.

    Args:
        weight: (out_channels, in_channels, 3, 3).
        bias: (out_channels,) or None.
        size: Height and width of the maps.
        scratch: Working memory.
    """
    forth, back = (Scheme(s.before.to(weight), s.kernel.to(weight), s.after.to(weight)) for s in schemes(*size))
    inward, outward = weight.permute(2, 3, 1, 0).reshape(9, -1), weight.permute(2, 3, 0, 1).reshape(9, -1)
    # twice, since products with a transposed matrix take an eighth longer
    up, down = (
        (forth.kernel @ columns).view(-1, *shape)
        for columns, shape in ((inward, weight.shape[1::-1]), (outward, weight.shape[:2]))
    )
    return Winograd(forth, up, bias, scratch), Winograd(back, down, None, scratch)
