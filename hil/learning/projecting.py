"""Every optimizer step of torch ends with the parameters where the cells can hold them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol
from weakref import WeakSet

import torch
from torch import nn
from torch.optim.optimizer import register_optimizer_step_post_hook


class Projected(Protocol):
    """A block: parameters, and what moves them into the cells' range."""

    def parameters(self) -> Iterator[nn.Parameter]:
        """All of them."""
        ...

    def project(self) -> None:
        """Moves what is beyond the range to its end."""
        ...


def projected_after_steps(block: Projected) -> None:
    """From now on every optimizer that moves a parameter of the block projects it, for as long as the block lives."""
    _BLOCKS.add(block)


def _project_after_step(optimizer: torch.optim.Optimizer, *_: object) -> None:
    """What the cells cannot hold, negative conductances above all, ends at their range."""
    moved = {id(p) for group in optimizer.param_groups for p in group["params"] if p.grad is not None}
    for block in list(_BLOCKS):
        if any(id(p) in moved for p in block.parameters()):
            block.project()


_BLOCKS: WeakSet[Projected] = WeakSet()
register_optimizer_step_post_hook(_project_after_step)
