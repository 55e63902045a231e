"""Couplings that settle fast: constant work done once when they are programmed, products chosen by map size.

Convolutions run channels-last, with their transpose as a convolution of its own; on maps of at most 2x2, where a
padded convolution is mostly zeros, they run as one matrix product. Results equal `emulator.couplings` to rounding.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

import torch
import torch.nn.functional as F  # noqa: N812 - torch's own convention
from torch import Tensor

from emulator import couplings, winograd
from emulator.couplings import ConvCoupling, Coupling, DenseCoupling, Rounding, Shared, pooled, repeated, unpooled
from emulator.winograd import Scratch
from firmware_specs.topology import Topology

Arithmetic = Literal["full", "mixed"]
"""`full`: every product in the dtype of the weights. `mixed`: sweeps with coarse products (see `Rounding`), the last
ones exact; it pays where bfloat16 products are several times faster, and needs float32 weights."""

Product = Callable[[Tensor], Tensor]
Sum = Callable[[Tensor, Tensor | None], Tensor]
FEWEST_CHANNELS = 32
"""Below, changing tiles costs more than it saves."""


def pack(
    topology: Topology,
    weights: Mapping[int, Tensor],
    biases: Mapping[int, Tensor | None],
    arithmetic: Arithmetic = "full",
) -> list[Coupling]:
    """Couplings of a topology, ready to settle; they keep copies of the weights.

    Raises:
        ValueError: mixed arithmetic is asked of weights that are not float32.
    """
    packed: list[Coupling] = []
    scratch, coarse_scratch = Scratch(), Scratch()
    for plain in couplings.build(topology, weights, biases):
        if arithmetic == "mixed" and plain.weight.dtype != torch.float32:
            raise ValueError(f"mixed arithmetic needs float32 weights, got {plain.weight.dtype}")
        coarse = replace(plain, weight=plain.weight.bfloat16(), bias=None) if arithmetic == "mixed" else None
        pool = isinstance(plain, ConvCoupling) and plain.spec.pool
        packed.append(
            PackedCoupling(
                pool, _products(plain, scratch), None if coarse is None else _products(coarse, coarse_scratch)
            )
        )
    return packed


@dataclass(frozen=True)
class Products:
    """The two linear maps of a coupling: `up(x) = W x + b` and `down(x, current) = W^T x (+ current)`."""

    up: Product
    down: Sum


@dataclass(frozen=True)
class PackedCoupling(Coupling):
    """A coupling with its products prepared.

    Attributes:
        pool: Whether 2x2 max-pooling follows the upward product.
        exact: Products in the weights' dtype.
        coarse: The same without bias in bfloat16; None where arithmetic is full.
    """

    pool: bool
    exact: Products
    coarse: Products | None = None

    def up(self, state: Tensor) -> tuple[Tensor, Shared]:
        """Current into the later layer, (batch, *post)."""
        z = self.exact.up(state)
        return pooled(z) if self.pool else (z, None)

    def down(self, state: Tensor, shared: Shared) -> Tensor:
        """Current into the earlier layer, (batch, *pre)."""
        return self.exact.down(state if shared is None else unpooled(state, shared), None)

    def add_down(self, current: Tensor, state: Tensor, shared: Shared) -> Tensor:
        """`current + down(...)`."""
        return self.exact.down(state if shared is None else unpooled(state, shared), current)

    def begin(self, rounding: Rounding) -> Coupling:
        """Itself, or its running sums where arithmetic is mixed."""
        if self.coarse is None:
            return self
        # without pooling the upward sum itself may become a linear layer's state
        up = RunningSum(self.exact.up, self.coarse.up, rounding, in_place=self.pool)
        exact, coarse = self.exact.down, self.coarse.down
        down = RunningSum(lambda x: exact(x, None), lambda x: coarse(x, None), rounding, in_place=True)
        return RunningCoupling(self.pool, up, down)


@dataclass
class RunningSum:
    """A linear map followed along a phase: exactly, or by coarse products of what changed.

    Attributes:
        exact: The map.
        coarse: Its linear part, bfloat16 to bfloat16.
        rounding: Says which one to use.
        in_place: Results need not outlive the next one.
        given: The last argument.
        total: The map of the last argument, as well as it is known.
    """

    exact: Product
    coarse: Product
    rounding: Rounding
    in_place: bool
    given: Tensor = field(default_factory=lambda: torch.empty(0))
    total: Tensor = field(default_factory=lambda: torch.empty(0))

    def start(self, value: Tensor, copies: int) -> Tensor:
        """The exact map of a batch, repeated."""
        self.given, self.total = repeated(value, copies), repeated(self.exact(value), copies)
        return self.total

    def __call__(self, value: Tensor) -> Tensor:
        """The map of `value`."""
        if self.rounding.coarse:
            change = self.coarse((value - self.given).bfloat16())
            self.total = self.total.add_(change) if self.in_place else self.total + change
        else:
            self.total = self.exact(value)
        self.given = value
        return self.total


@dataclass(frozen=True)
class RunningCoupling(Coupling):
    """A coupling during one phase of mixed arithmetic."""

    pool: bool
    sum_up: RunningSum
    sum_down: RunningSum

    def up(self, state: Tensor) -> tuple[Tensor, Shared]:
        """Current into the later layer."""
        z = self.sum_up(state)
        return pooled(z) if self.pool else (z, None)

    def down(self, state: Tensor, shared: Shared) -> Tensor:
        """Current into the earlier layer."""
        return self.sum_down(state if shared is None else unpooled(state, shared))

    def resume(self, pre: Tensor, post: Tensor, copies: int) -> tuple[Tensor, Shared]:
        """Starts both sums at given states."""
        z = self.sum_up.start(pre, copies)
        current, shared = pooled(z) if self.pool else (z, None)
        once = None if shared is None else (shared[0][: len(pre)], shared[1][: len(pre)])
        self.sum_down.start(post if once is None else unpooled(post, once), copies)
        return current, shared


def _products(plain: DenseCoupling | ConvCoupling, scratch: Scratch) -> Products:
    if isinstance(plain, DenseCoupling):
        return _dense(plain)
    weight, size = plain.weight, plain.pre[1:]
    usual = (plain.spec.kernel, plain.spec.stride, plain.spec.padding) == (3, 1, 1)
    # differences of rounded numbers: bfloat16 bears them where direct convolutions are slowest only
    bearable = weight.dtype != torch.bfloat16 or max(size) <= 2
    if weight.is_cuda or not (usual and bearable and winograd.suits(*size)) or min(weight.shape[:2]) < FEWEST_CHANNELS:
        return _conv(plain)
    return Products(*winograd.prepare(weight, plain.bias, (size[0], size[1]), scratch))


def _conv(plain: ConvCoupling) -> Products:
    stride, padding, kernel = plain.spec.stride, plain.spec.padding, plain.spec.kernel
    weight, bias = plain.weight.contiguous(memory_format=torch.channels_last), plain.bias
    if stride > 1 or padding >= kernel:
        layout = replace(plain, weight=weight)
        return Products(
            lambda x: F.conv2d(x, weight, bias, stride, padding), lambda x, c: _added(layout.down(x, None), c)
        )
    turned = weight.flip(2, 3).transpose(0, 1).contiguous(memory_format=torch.channels_last)
    return Products(
        lambda x: F.conv2d(x, weight, bias, 1, padding),
        lambda x, c: _added(F.conv2d(x, turned, None, 1, kernel - 1 - padding), c),
    )


def _dense(plain: DenseCoupling) -> Products:
    """Matrix products, with the transposed matrix stored as `F.linear` likes it."""
    turned = plain.weight.T.contiguous()
    return Products(
        lambda x: F.linear(x.flatten(1), plain.weight, plain.bias).unflatten(1, plain.post),
        lambda x, c: _added(F.linear(x.flatten(1), turned).unflatten(1, plain.pre), c),
    )


def _added(fresh: Tensor, current: Tensor | None) -> Tensor:
    return fresh if current is None else fresh.add_(current)
