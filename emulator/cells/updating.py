"""The circuits of a chip that moves its cells by itself; what they are is in `firmware_specs.datasheet.update`."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from emulator.streams import static_normal
from firmware_specs.datasheet.update import Update


@dataclass(frozen=True)
class Circuits:
    """The circuits of one coupling's cells, tensors of the cells' shape.

    Attributes:
        gain: Factor on the contrast.
        bias: Contrast that is added ahead of the polarity switch.
        injection: Contrast that is added behind it.
    """

    gain: Tensor
    bias: Tensor
    injection: Tensor

    @classmethod
    def draw(
        cls, update: Update, shape: tuple[int, ...], device: torch.device, dtype: torch.dtype, *key: object
    ) -> Circuits:
        """Of one specimen: what the key is drawn from is fixed for its life."""

        def spread(mean: float, sigma: float, what: str) -> Tensor:
            return (mean + sigma * static_normal(shape, device, *key, what)).to(dtype)

        return cls(
            (1 + update.gain) * spread(1.0, update.gain_spread, "update gain"),
            spread(update.bias, update.bias_spread, "update bias"),
            spread(update.injection, update.injection_spread, "update injection"),
        )

    def output(self, update: Update, contrast: Tensor, up: bool) -> tuple[Tensor, Tensor]:
        """What circuits give for contrasts that broadcast to (samples, *cells); and where they are at their limit."""
        seen = self.gain * contrast + self.bias
        if update.dead_zone:
            seen = seen.sign() * (seen.abs() - update.dead_zone).clamp(min=0)
        limit = float("inf") if update.limit is None else update.limit
        clipped = seen.abs() >= limit
        seen = seen.clamp(-limit, limit)
        return (seen if up else -seen) + self.injection, clipped
