"""Batch norm of channels-last maps whose statistics and gradients are as good as float32 has them.

torch's own kernels for that memory format add all values of a channel one after another: of 64 maps of 32x32 the
variance is off by 1e-5, a hundred times more than in the other format, and every later block amplifies it. Sums in
parts are not, and take no longer.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

PART = 4096
"""Values of a channel that are looked at at a time: few enough to stay in a core's cache."""


class MapNorm(nn.BatchNorm2d):
    """`nn.BatchNorm2d`, with the statistics of channels-last batches formed in parts."""

    def forward(self, input: Tensor) -> Tensor:
        """Normalizes (batch, channels, height, width)."""
        if not self.training or self.momentum is None:
            return super().forward(input)
        if input.device.type != "cpu" or not input.is_contiguous(memory_format=torch.channels_last):
            return super().forward(input)
        count = input.numel() // input.shape[1]
        if count < 2 or input.dtype != self.get_buffer("running_mean").dtype:
            return super().forward(input)  # too few values for a variance; torch.autocast
        normalized: Tensor
        normalized, mean, variance = _Normalize.apply(input, self.eps, self.weight, self.bias)
        with torch.no_grad():
            self.get_buffer("num_batches_tracked").add_(1)
            self.get_buffer("running_mean").lerp_(mean, self.momentum)
            self.get_buffer("running_var").lerp_(variance * (count / (count - 1)), self.momentum)
        return normalized


class _Normalize(torch.autograd.Function):
    """`weight * (x - mean) / sqrt(variance + eps) + bias`, mean and variance over all but the channels."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, eps: float, weight: Tensor | None, bias: Tensor | None
    ) -> tuple[Tensor, Tensor, Tensor]:
        rows = _rows(x)
        mean = rows.mean(0)
        variance = sum(((part - mean).square_().sum(0) for part in rows.split(PART)), start=mean.new_zeros(())) / len(
            rows
        )
        scale = torch.rsqrt(variance + eps)
        ctx.save_for_backward(x, mean, scale, weight)
        ctx.mark_non_differentiable(mean, variance)
        slope = scale if weight is None else scale * weight
        offset = -mean * slope if bias is None else bias - mean * slope
        return _maps(torch.addcmul(offset, rows, slope), x), mean, variance

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, Tensor | None, Tensor | None]:
        x, mean, scale, weight = ctx.saved_tensors
        rows, given = _rows(x), _rows(gradients[0])
        by_bias = given.sum(0)
        pairs = zip(rows.split(PART), given.split(PART), strict=True)
        by_weight = sum(((r - mean).mul_(g).sum(0) for r, g in pairs), start=mean.new_zeros(())) * scale
        slope = scale if weight is None else scale * weight
        along = -slope * scale * by_weight / len(rows)
        by_x = torch.addcmul(-slope * by_bias / len(rows) - along * mean, rows, along).addcmul_(given, slope)
        _, _, weighted, biased = ctx.needs_input_grad
        return _maps(by_x, x), None, by_weight if weighted else None, by_bias if biased else None


def _rows(x: Tensor) -> Tensor:
    """Maps as (values of a channel, channels); no copy where channels lie side by side."""
    return x.detach().permute(0, 2, 3, 1).flatten(0, 2)


def _maps(rows: Tensor, like: Tensor) -> Tensor:
    """The inverse of `_rows`."""
    batch, channels, height, width = like.shape
    return rows.view(batch, height, width, channels).permute(0, 3, 1, 2)
