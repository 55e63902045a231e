"""3x3 convolutions with padding 1 by fewer multiplications (Winograd; Lavin and Gray, arXiv 1509.09308).

A tile of a map is changed linearly into a few numbers a channel, each of them is multiplied by its own matrix between
the channels, and the results are changed back. A 4x4 tile takes 36 such products where the definition takes 144, a
whole 2x2 map 9 instead of 16. Points of interpolation are 0, +-sqrt(1/2), +-sqrt(2) and infinity: in float32 they have
2.7 times the rounding of a direct convolution (with the usual +-1, +-2 it is 5 times), and since the set is its own
inverse, the transposed convolution has the same products.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from math import ceil

import torch
from torch import Tensor

TILE, HALO = 4, 6
TILES, FEWEST_TILES = 128, 32
"""Tiles a thread transforms at a time, at most and at least: few enough to stay in its cache, enough to use every
matrix often."""


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


class Scratch(threading.local):
    """Working memory the products of a block share: fresh memory for every one would cost as much as they do.

    Every thread has its own.
    """

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


Multiply = Callable[[Tensor, Tensor], None]
"""Writes (products, tiles, in_channels) times every product's matrix into (products, tiles, out_channels)."""


def batched(matrices: Tensor) -> Multiply:
    """All products in one call, by torch's batched product; matrices are (products, in_channels, out_channels)."""

    def multiply(before: Tensor, out: Tensor) -> None:
        torch.bmm(before, matrices, out=out)

    return multiply


def packed(matrices: Tensor) -> Multiply:
    """One call a product, by oneDNN, with matrices in the order it likes: it knows more processors than MKL does."""
    ordered = [torch.ops.mkldnn._reorder_linear_weight(m.T.contiguous(), None) for m in matrices]

    def multiply(before: Tensor, out: Tensor) -> None:
        for tiles, matrix, into in zip(before, ordered, out, strict=True):
            into.copy_(torch.ops.mkldnn._linear_pointwise(tiles, matrix, None, "none", [], ""))

    return multiply


@dataclass(frozen=True)
class Winograd:
    """A prepared convolution of (batch, channels, height, width) maps; channels-last in, channels-last out.

    Threads share the transforms by samples: MKL gives one product of so few rows to one of them. What they work on at
    a time grows with their number, so that each of them keeps to its own cache.

    Attributes:
        scheme: For the maps' edge, in the weights' dtype.
        multiply: The products.
        channels: Out of it.
        bias: (out_channels,) or None; a current takes its place.
        scratch: Working memory.
    """

    scheme: Scheme
    multiply: Multiply
    channels: int
    bias: Tensor | None
    scratch: Scratch = field(repr=False)

    def __call__(self, x: Tensor, current: Tensor | None = None) -> Tensor:
        """The convolution, plus a current of its shape where one is given."""
        batch, _, height, width = x.shape
        maps = x.permute(0, 2, 3, 1)
        offset = self.bias if current is None else current.permute(0, 2, 3, 1)
        if _is_tile(height, width):
            out = self._whole(maps)
            if offset is not None:
                out.add_(offset)
        else:
            out = x.new_empty(batch, height, width, self.channels)
            for part, parts in _portions(batch, height * width // TILE**2, torch.get_num_threads()):
                own = offset if offset is None or offset.dim() == 1 else offset[part]
                self._tiled(maps[part], parts, own, out[part])
        return out.permute(0, 3, 1, 2)

    def _whole(self, maps: Tensor) -> Tensor:
        """Of maps that are one tile."""
        before, after, (batch, height, width, channels) = self.scheme.before, self.scheme.after, maps.shape
        out = maps.new_empty(batch, height * width, self.channels)
        for first in range(0, batch, TILES):
            cells = maps[first : first + TILES].reshape(-1, height * width, channels)
            tiles = self.scratch.lend("before", maps, len(cells), len(before), channels)
            torch.matmul(before, cells, out=tiles)
            products = self.scratch.lend("products", maps, len(before), len(cells), self.channels)
            self.multiply(tiles.transpose(0, 1), products)
            back = after.expand(len(cells), *after.shape)
            torch.bmm(back, products.transpose(0, 1), out=out[first : first + TILES])
        return out.view(batch, height, width, self.channels)

    def _tiled(self, maps: Tensor, parts: int, offset: Tensor | None, out: Tensor) -> None:
        """Of some samples, cut into parts of equal size."""
        before, after, (batch, height, width, channels) = self.scheme.before, self.scheme.after, maps.shape
        samples, down, across = batch // parts, height // TILE, width // TILE
        padded = self.scratch.lend_framed(maps, batch, height + 2, width + 2, channels)
        padded[:, 1:-1, 1:-1] = maps
        image, row, column, _ = padded.stride()
        tiles = self.scratch.lend("tiles", maps, parts, HALO, HALO, samples, down, across, channels)
        steps = (samples * image, row, column, image, TILE * row, TILE * column, 1)
        tiles.copy_(padded.as_strided(tiles.shape, steps))
        transformed = self.scratch.lend("before", maps, parts, len(before), samples * down * across, channels)
        _same_for_all(before, tiles.view(parts, HALO**2, -1), transformed.view(parts, len(before), -1))
        products = self.scratch.lend("products", maps, *transformed.shape[:3], self.channels)
        for each, into in zip(transformed, products, strict=True):
            self.multiply(each, into)
        results = self.scratch.lend("after", maps, parts, TILE**2, products[0, 0].numel())
        _same_for_all(after, products.view(parts, len(before), -1), results)
        placed = results.view(parts, TILE, TILE, samples, down, across, self.channels).permute(0, 3, 4, 1, 5, 2, 6)
        into = out.view(placed.shape)
        if offset is None:
            into.copy_(placed)
        else:
            torch.add(placed, offset if offset.dim() == 1 else offset.reshape(placed.shape), out=into)


def _portions(batch: int, tiles: int, threads: int) -> Iterator[tuple[slice, int]]:
    """Samples to work on at a time, and the parts they are cut into: one a thread where they suffice."""
    first = 0
    while first < batch:
        left = batch - first
        samples = min(ceil(TILES / tiles), max(ceil(FEWEST_TILES / tiles), left // threads), left)
        parts = min(threads, left // samples)
        yield slice(first, first + parts * samples), parts
        first += parts * samples


def _same_for_all(matrix: Tensor, parts: Tensor, out: Tensor) -> None:
    """One matrix times every part."""
    if len(parts) == 1:
        torch.mm(matrix, parts[0], out=out[0])
    else:
        torch.bmm(matrix.expand(len(parts), *matrix.shape), parts, out=out)


def prepare(
    weight: Tensor,
    bias: Tensor | None,
    size: tuple[int, int],
    scratch: Scratch,
    *,
    back: bool = False,
    products: Callable[[Tensor], Multiply] = batched,
) -> Winograd:
    """The convolution `w * x + b`, or its transpose `w^T * y + b`.

    Args:
        weight: (out_channels, in_channels, 3, 3) of the convolution.
        bias: (out_channels,), (in_channels,) of the transpose, or None.
        size: Height and width of the maps.
        scratch: Working memory.
        back: Whether it is the transpose.
        products: Who multiplies, `batched` or `packed`.
    """
    own = schemes(*size)[back]
    scheme = Scheme(own.before.to(weight), own.kernel.to(weight), own.after.to(weight))
    into, out = (0, 1) if back else (1, 0)
    columns = weight.permute(2, 3, into, out).reshape(9, -1)
    # a set of its own for each direction, since products with a transposed matrix take an eighth longer
    matrices = (scheme.kernel @ columns).view(-1, weight.shape[into], weight.shape[out])
    return Winograd(scheme, products(matrices), weight.shape[out], bias, scratch)
