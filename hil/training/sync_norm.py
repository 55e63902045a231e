"""Batch norm over the joined batch of all ranks (torch's own SyncBatchNorm runs on GPUs only)."""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from hil.training.ranks import Ranks


class _Sum(torch.autograd.Function):
    """Sum over the ranks, and of the gradients on the way back."""

    @staticmethod
    def forward(ctx: Any, value: Tensor, ranks: Ranks) -> Tensor:
        ctx.ranks = ranks
        return _summed(value, ranks)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        return _summed(gradients[0], ctx.ranks), None


def _summed(value: Tensor, ranks: Ranks) -> Tensor:
    ranks.check()
    value = value.clone()
    dist.all_reduce(value)
    return value


class JoinedBatchNorm(nn.Module):
    """A batch norm whose training statistics are those of every rank's samples together; parts must be equal.

    Args:
        norm: The batch norm it replaces; parameters, buffers and their names stay.
        ranks: Whose samples count.
    """

    def __init__(self, norm: nn.BatchNorm1d | nn.BatchNorm2d, ranks: Ranks) -> None:
        super().__init__()
        self.ranks = ranks
        self.eps, self.momentum = norm.eps, norm.momentum
        self.weight, self.bias = norm.weight, norm.bias
        for name, buffer in norm.named_buffers():
            self.register_buffer(name, buffer)

    def forward(self, x: Tensor) -> Tensor:
        """Normalizes (batch, channels, ...)."""
        dims, shape = [0, *range(2, x.dim())], [1, -1, *[1] * (x.dim() - 2)]
        if self.training:
            count = x.numel() // x.shape[1] * self.ranks.count
            mean = _Sum.apply(x.sum(dims), self.ranks) / count
            # from centred values: the difference of large sums would lose digits
            variance = _Sum.apply((x - mean.view(shape)).square().sum(dims), self.ranks) / count
            self._track(mean.detach(), variance.detach() * count / (count - 1))
        else:
            mean, variance = self.get_buffer("running_mean"), self.get_buffer("running_var")
        y = (x - mean.view(shape)) * torch.rsqrt(variance + self.eps).view(shape)
        return y if self.weight is None else y * self.weight.view(shape) + self.bias.view(shape)

    def _track(self, mean: Tensor, variance: Tensor) -> None:
        with torch.no_grad():
            batches = self.get_buffer("num_batches_tracked").add_(1)
            share = 1 / float(batches) if self.momentum is None else self.momentum
            self.get_buffer("running_mean").lerp_(mean, share)
            self.get_buffer("running_var").lerp_(variance, share)


def synchronized(model: nn.Module, ranks: Ranks) -> nn.Module:
    """The model with every batch norm replaced by one over the joined batch, in place."""
    for name, child in model.named_children():
        if isinstance(child, nn.BatchNorm1d | nn.BatchNorm2d):
            setattr(model, name, JoinedBatchNorm(child, ranks))
        else:
            synchronized(child, ranks)
    return model
