"""Couplings that settle fast: constant work done once when they are programmed, products in the fastest way.

Convolutions run channels-last, with their transpose as a convolution of its own; `emulator.formed` has their ways,
`emulator.ways` who chooses. Results equal `emulator.couplings` to rounding.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import Literal

import torch
import torch.nn.functional as F  # noqa: N812 - torch's own convention
from torch import Tensor

from emulator import couplings, formed
from emulator.couplings import ConvCoupling, Coupling, DenseCoupling, Rounding, Shared, pooled, unpooled
from emulator.running import ChangeSum, FollowedCoupling, Product, RunningCoupling, RunningSum, Sum
from emulator.ways import RULE, Ways
from emulator.winograd import Scratch
from firmware_specs.topology import Topology

Arithmetic = Literal["full", "mixed"]
"""`full`: every product in the dtype of the weights. `mixed`: sweeps with coarse products (see `Rounding`), the last
ones exact; it pays where bfloat16 products are several times faster, and needs float32 weights."""


def pack(
    topology: Topology,
    weights: Mapping[int, Tensor],
    biases: Mapping[int, Tensor | None],
    arithmetic: Arithmetic = "full",
    ways: Ways = RULE,
) -> list[Coupling]:
    """Couplings of a topology, ready to settle; they keep copies of the weights.

    Args:
        topology: The block.
        weights: By the number of their coupling.
        biases: Likewise.
        arithmetic: Of the products.
        ways: Who chooses how convolutions are formed.

    Raises:
        ValueError: mixed arithmetic is asked of weights that are not float32.
    """
    packed: list[Coupling] = []
    scratch, coarse_scratch = Scratch(), Scratch()
    for plain in couplings.build(topology, weights, biases):
        if arithmetic == "mixed" and plain.weight.dtype != torch.float32:
            raise ValueError(f"mixed arithmetic needs float32 weights, got {plain.weight.dtype}")
        coupling = _packed(plain, scratch, ways)
        if arithmetic == "mixed":
            coarse = _packed(replace(plain, weight=plain.weight.bfloat16(), bias=None), coarse_scratch, ways)
            coupling = replace(coupling, coarse=coarse.exact, dense=None)
        packed.append(coupling)
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
        change: `W x + current` with fewer multiplications and more rounding, for changes of the state; None where
            there is no such way.
        dense: The matrix it is, where it is one and arithmetic is full.
        plain: The coupling itself.
    """

    pool: bool
    exact: Products
    coarse: Products | None = None
    change: formed.Change | None = None
    dense: DenseCoupling | None = None
    plain: DenseCoupling | ConvCoupling | None = None

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
        """Itself, or what carries its sums through the phase."""
        if self.coarse is not None:
            # without pooling the upward sum itself may become a linear layer's state
            up = RunningSum(self.exact.up, self.coarse.up, rounding, in_place=self.pool)
            exact, coarse = self.exact.down, self.coarse.down
            down = RunningSum(lambda x: exact(x, None), lambda x: coarse(x, None), rounding, in_place=True)
            return RunningCoupling(self.pool, up, down)
        if self.change is not None:
            return FollowedCoupling(self, ChangeSum(self.exact.up, self.change.of, rounding.lead))
        return self


def _packed(plain: DenseCoupling | ConvCoupling, scratch: Scratch, ways: Ways) -> PackedCoupling:
    if isinstance(plain, DenseCoupling):
        return PackedCoupling(False, _dense(plain), dense=plain, plain=plain)
    products = Products(formed.up(plain, scratch, ways), formed.down(plain, scratch, ways))
    return PackedCoupling(plain.spec.pool, products, change=formed.change(plain, scratch, ways), plain=plain)


def _dense(plain: DenseCoupling) -> Products:
    """Matrix products, with the transposed matrix stored as `F.linear` likes it, once it is needed."""
    turned = cache(plain.weight.T.contiguous)
    return Products(
        lambda x: F.linear(x.flatten(1), plain.weight, plain.bias).unflatten(1, plain.post),
        lambda x, c: _added(F.linear(x.flatten(1), turned()).unflatten(1, plain.pre), c),
    )


def _added(fresh: Tensor, current: Tensor | None) -> Tensor:
    return fresh if current is None else fresh.add_(current)
