"""Couplings as two linear maps that share their constant work.

`up` carries states of the earlier layer towards the later one and returns, beside the current, what `down` needs of
it (the pooling indices). The odd/even update order always allows one `up` per coupling and sweep to serve both.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import torch
import torch.nn.functional as F  # noqa: N812 - torch's own convention
from torch import Tensor

from firmware_specs import topology as spec

Shared = tuple[Tensor, torch.Size] | None
"""Pooling indices and the shape before pooling; None where there is no pooling."""


class Coupling(Protocol):
    """One crossbar between two layers."""

    def up(self, state: Tensor) -> tuple[Tensor, Shared]:
        """Current into the later layer, `P(w * s + b)`, and what `down` can reuse."""
        ...

    def down(self, state: Tensor, shared: Shared) -> Tensor:
        """Current into the earlier layer, the exact transpose of `up` without its bias."""
        ...


@dataclass(frozen=True)
class DenseCoupling:
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


@dataclass(frozen=True)
class ConvCoupling:
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
        if not self.spec.pool:
            return z, None
        pooled, indices = F.max_pool2d(z, 2, return_indices=True)
        return pooled, (indices, z.shape)

    def down(self, state: Tensor, shared: Shared) -> Tensor:
        """Current into the earlier layer; state is (batch, *post)."""
        if shared is not None:
            indices, size = shared
            # scatter instead of max_unpool2d: the latter ignores the memory format and checks indices on the host
            flat = torch.zeros(*size[:2], size[2] * size[3], dtype=state.dtype, device=state.device)
            state = flat.scatter_(2, indices.flatten(2), state.flatten(2)).view(size)
        stride, padding, kernel = self.spec.stride, self.spec.padding, self.spec.kernel
        # sizes that the stride does not divide: the transposed convolution must be told which input it belongs to
        surplus = [
            n - ((m - 1) * stride - 2 * padding + kernel) for n, m in zip(self.pre[1:], state.shape[2:], strict=True)
        ]
        return F.conv_transpose2d(state, self.weight, stride=stride, padding=padding, output_padding=surplus)


@dataclass(frozen=True)
class BentCoupling:
    """A coupling whose cells do not obey Ohm's law: every line voltage acts through `bend`."""

    inner: Coupling
    bend: Callable[[Tensor], Tensor]

    def up(self, state: Tensor) -> tuple[Tensor, Shared]:
        """Current into the later layer."""
        return self.inner.up(self.bend(state))

    def down(self, state: Tensor, shared: Shared) -> Tensor:
        """Current into the earlier layer."""
        return self.inner.down(self.bend(state), shared)


def build(topology: spec.Topology, weights: dict[int, Tensor], biases: dict[int, Tensor | None]) -> list[Coupling]:
    """Couplings of a topology from weights and biases, indexed as its couplings are."""
    built: list[Coupling] = []
    for index, coupling in enumerate(topology.couplings):
        weight, bias = weights[index], biases.get(index)
        pre, post = topology.shape(coupling.pre), topology.shape(coupling.post)
        if isinstance(coupling, spec.Conv):
            built.append(ConvCoupling(weight, bias, coupling, pre))
        else:
            built.append(DenseCoupling(weight, bias, pre, post))
    return built
