"""Training augmentations on uint8 batches; the draws come from the host, the work is done on the batch's device."""

from __future__ import annotations

import torch
from torch import Tensor

PAD = 4


def flip_and_crop(images: Tensor, draws: torch.Generator) -> Tensor:
    """Mirrors half of the images and shifts each by up to 4 pixels, edges repeated (ff-EBM paper).

    Args:
        images: (batch, channels, height, width), any type.
        draws: A generator on the host: the same draws on every device.
    """
    count, _, height, width = images.shape
    flipped = torch.rand(count, generator=draws) < 0.5
    down, right = torch.randint(0, 2 * PAD + 1, (2, count), generator=draws)
    rows = (down[:, None] + torch.arange(height) - PAD).clamp(0, height - 1)
    columns = (right[:, None] + torch.arange(width) - PAD).clamp(0, width - 1)
    columns = torch.where(flipped[:, None], width - 1 - columns, columns)
    index = (rows[:, :, None] * width + columns[:, None, :]).to(images.device)
    flat = index.view(count, 1, -1).expand(-1, images.shape[1], -1)
    return images.flatten(2).gather(2, flat).view_as(images)
