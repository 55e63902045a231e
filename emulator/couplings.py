"""Couplings as two linear maps that share their constant work.

`up` carries states of the earlier layer towards the later one and returns, beside the current, what `down` needs of
it (the pooling indices). The odd/even update order always allows one `up` per coupling and sweep to serve both.

The couplings here are plain and differentiable. `emulator.packed` has the ones that settle fast.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

import torch
import torch.nn.functional as F  # noqa: N812 - torch's own convention
from torch import Tensor

from firmware_specs import topology as spec

Shared = tuple[Tensor, Tensor] | None
"""Pooling indices and the map before pooling; None where there is no pooling."""


@dataclass
class Rounding:
    """Whether the products of the present sweep may be coarse; a phase's couplings look it up, its loop decides.

    A coarse product is one in bfloat16 of what *changed* since the last one, added to a float32 sum: its rounding is
    relative to the change, and shrinks with it. An exact sweep forms every sum anew.

    Attributes:
        coarse: True during a coarse sweep.
        lead: Exact sweeps to begin with. From rest three are needed: in the first ones pooling windows choose their
            maxima, nearly tied, and a choice made by rounding settles to another minimum.
        scale: Largest state change in the first sweep since the last exact one.
    """

    coarse: bool = False
    lead: int = 0
    scale: float | None = None

    def after(self, change: float, tolerance: float, sweeps: int = 1) -> None:
        """Decides about the next sweeps, given the largest state change in this one, so many after the last decision.

        Coarse sweeps reduce the error to their own rounding, 2^-8 of what changed since the last exact sweep; beyond
        that they settle to the wrong point.
        """
        self.lead -= sweeps
        if self.lead > 0:
            return
        if self.coarse and self.scale is not None and change <= max(tolerance, self.scale / 64):
            self.coarse, self.scale = False, None
        elif self.coarse or self.scale is None:
            self.coarse, self.scale = True, change if self.scale is None else self.scale


class Coupling(Protocol):
    """One crossbar between two layers."""

    def up(self, state: Tensor) -> tuple[Tensor, Shared]:
        """Current into the later layer, `P(w * s + b)`, and what `down` can reuse."""
        ...

    def down(self, state: Tensor, shared: Shared) -> Tensor:
        """Current into the earlier layer, the exact transpose of `up` without its bias."""
        ...

    def add_down(self, current: Tensor, state: Tensor, shared: Shared) -> Tensor:
        """`current + down(...)`; a coupling that can does it in one pass."""
        return current + self.down(state, shared)

    def begin(self, rounding: Rounding) -> Coupling:
        """The coupling one phase works with: itself, or one that carries running sums through the phase."""
        return self

    def resume(self, pre: Tensor, post: Tensor, copies: int) -> tuple[Tensor, Shared]:
        """`up` of given states of both layers, repeated along the batch: one product serves every copy."""
        current, shared = self.up(pre)
        if shared is None:
            return repeated(current, copies), None
        return repeated(current, copies), (repeated(shared[0], copies), repeated(shared[1], copies))


@dataclass(frozen=True)
class DenseCoupling(Coupling):
    """`z = W s + b` between flat layers.

    Attributes:
        weight: (units_post, units_pre).
        bias: (units_post,) or None.
        pre: Shape of the earlier layer.
        post: Shape of the later layer.
    """

    weight: Tensor
    bias: Tensor | None
    pre: tuple[int, ...]
    post: tuple[int, ...]

    def up(self, state: Tensor) -> tuple[Tensor, Shared]:
        """Current into the later layer; state is (batch, *pre)."""
        return F.linear(state.flatten(1), self.weight, self.bias).unflatten(1, self.post), None

    def down(self, state: Tensor, shared: Shared) -> Tensor:
        """Current into the earlier layer; state is (batch, *post)."""
        return (state.flatten(1) @ self.weight).unflatten(1, self.pre)

    def by_parameters(self, pre: Tensor, post: Tensor, windows: Tensor | None = None) -> tuple[Tensor, Tensor | None]:
        """Gradient of `<up(pre), post>`, summed over the batch, by weight and bias."""
        rows = post.flatten(1)
        return rows.T @ pre.flatten(1), None if self.bias is None else rows.sum(0)


@dataclass(frozen=True)
class ConvCoupling(Coupling):
    """`z = P(w * s + b)`: convolution, then 2x2 max-pooling with stride 2 where `pool` is set.

    `down` routes the later layer's states to the maxima of the *present* `w * s + b`, then convolves transposed:
    the gradient of `<P(w * s + b), s'>` by `s` (ff-EBM paper, section 2).

    Attributes:
        weight: (out_channels, in_channels, kernel, kernel).
        bias: (out_channels,) or None.
        spec: Stride, padding, pooling.
        pre: (channels, height, width) of the earlier layer.
    """

    weight: Tensor
    bias: Tensor | None
    spec: spec.Conv
    pre: tuple[int, ...]

    def up(self, state: Tensor) -> tuple[Tensor, Shared]:
        """Current into the later layer; state is (batch, channels, height, width)."""
        z = F.conv2d(state, self.weight, self.bias, stride=self.spec.stride, padding=self.spec.padding)
        return pooled(z) if self.spec.pool else (z, None)

    def down(self, state: Tensor, shared: Shared) -> Tensor:
        """Current into the earlier layer; state is (batch, *post)."""
        routed = state if shared is None else unpooled(state, shared)
        stride, padding, kernel = self.spec.stride, self.spec.padding, self.spec.kernel
        # sizes that the stride does not divide: the transposed convolution must be told which input it belongs to
        surplus = [
            n - ((m - 1) * stride - 2 * padding + kernel) for n, m in zip(self.pre[1:], routed.shape[2:], strict=True)
        ]
        return F.conv_transpose2d(routed, self.weight, stride=stride, padding=padding, output_padding=surplus)

    def by_parameters(self, pre: Tensor, post: Tensor, windows: Tensor | None = None) -> tuple[Tensor, Tensor | None]:
        """Gradient of `<up(pre), post>`, summed over the batch, by weight and bias.

        Args:
            pre: (batch, *pre).
            post: (batch, *post).
            windows: State whose pooling maxima count, (part of batch, *pre), repeated along it; `pre` if omitted.
        """
        routed = unpooled(post, self._maxima(pre, windows)) if self.spec.pool else post
        stride, padding = [self.spec.stride] * 2, [self.spec.padding] * 2
        wanted = [False, True, self.bias is not None]
        _, weight, bias = torch.ops.aten.convolution_backward(
            routed, pre, self.weight, [len(self.weight)], stride, padding, [1, 1], False, [0, 0], 1, wanted
        )
        return weight, bias

    def _maxima(self, pre: Tensor, windows: Tensor | None) -> tuple[Tensor, Tensor]:
        at = pre if windows is None else windows
        z = F.conv2d(at, self.weight, self.bias, stride=self.spec.stride, padding=self.spec.padding)
        copies = len(pre) // len(at)
        return repeated(F.max_pool2d(z, 2, return_indices=True)[1], copies), repeated(z, copies)


def channels_last(maps: Tensor) -> Tensor:
    """Maps (batch, channels, height, width) with their channels side by side in memory, as packed couplings work.

    Another layout would be read across at every sweep; what has no channels stays as it is.
    """
    return maps.contiguous(memory_format=torch.channels_last) if maps.dim() == 4 else maps


def repeated(tensor: Tensor, copies: int) -> Tensor:
    """A batch repeated `copies` times along its first dimension."""
    return tensor if copies == 1 else torch.cat([tensor] * copies)


def pooled(z: Tensor) -> tuple[Tensor, Shared]:
    """2x2 max-pooling with stride 2, and what `unpooled` needs to route back."""
    value, indices = F.max_pool2d(z, 2, return_indices=True)
    return value, (indices, z)


def unpooled(state: Tensor, shared: tuple[Tensor, Tensor]) -> Tensor:
    """Routes states to the maxima they came from, zero elsewhere: the transpose of `pooled` at fixed indices."""
    indices, z = shared
    # the pooling's own backward: max_unpool2d would ignore the memory format and check the indices on the host
    routed: Tensor = torch.ops.aten.max_pool2d_with_indices_backward(
        state, z, [2, 2], [2, 2], [0, 0], [1, 1], False, indices
    )
    return routed


@dataclass(frozen=True)
class BentCoupling(Coupling):
    """A coupling whose cells do not obey Ohm's law: every line voltage acts through `bend`."""

    inner: Coupling
    bend: Callable[[Tensor], Tensor]

    def up(self, state: Tensor) -> tuple[Tensor, Shared]:
        """Current into the later layer."""
        return self.inner.up(self.bend(state))

    def down(self, state: Tensor, shared: Shared) -> Tensor:
        """Current into the earlier layer."""
        return self.inner.down(self.bend(state), shared)


@dataclass(frozen=True)
class OneWayCouplings(Coupling):
    """Two couplings of the same layers, one a direction: cells that do not conduct alike both ways.

    Attributes:
        forth: Of `up`.
        back: Of `down`; what it shares with `up`, pooling's maxima, is the other's.
    """

    forth: Coupling
    back: Coupling

    def up(self, state: Tensor) -> tuple[Tensor, Shared]:
        """Current into the later layer."""
        return self.forth.up(state)

    def down(self, state: Tensor, shared: Shared) -> Tensor:
        """Current into the earlier layer."""
        return self.back.down(state, shared)


def build(
    topology: spec.Topology, weights: Mapping[int, Tensor], biases: Mapping[int, Tensor | None]
) -> list[DenseCoupling | ConvCoupling]:
    """Couplings of a topology from weights and biases, indexed as its couplings are."""
    built: list[DenseCoupling | ConvCoupling] = []
    for index, coupling in enumerate(topology.couplings):
        weight, bias = weights[index], biases.get(index)
        pre, post = topology.shape(coupling.pre), topology.shape(coupling.post)
        if isinstance(coupling, spec.Conv):
            built.append(ConvCoupling(weight, bias, coupling, pre))
        else:
            built.append(DenseCoupling(weight, bias, pre, post))
    return built
