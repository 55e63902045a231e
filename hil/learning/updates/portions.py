"""What rules with readings share: whole pulses, rounded at random, and lines of an array one after the other."""

from __future__ import annotations

import torch
from torch import Tensor


def whole_pulses(change: Tensor, draws: torch.Generator) -> Tensor:
    """A change in whole pulses, rounded at random so that their mean is the change.

    Args:
        change: Pulses wanted, any shape, float64.
        draws: Source of one number an element, uniform, in their order.

    Returns:
        int64, of the shape of `change`.
    """
    return (change + torch.rand(change.shape, generator=draws, dtype=torch.float64)).floor().long()


def next_lines(first: int, rows: int, lines: int) -> tuple[slice, int]:
    """The lines whose turn it is, and where the next turn begins.

    Args:
        first: Line where this turn begins.
        rows: Lines of the array.
        lines: Lines a turn; 0: all. The last turn of a round has those that are left.
    """
    last = min(first + (lines or rows), rows)
    return slice(first, last), 0 if last == rows else last
