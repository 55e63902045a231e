"""When the host looks at what a torch device computed, and what the device does between two looks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

import torch

GPU_SWEEPS = 8
"""Sweeps between two looks at the residual on a GPU: a look makes the host wait for it."""

Result = TypeVar("Result")


def look_every(device: torch.device) -> int:
    """Iterations between two looks of the host at what a torch device computed."""
    return 1 if device.type == "cpu" else GPU_SWEEPS


def between_looks(sweep: Callable[[bool], Result], measured: Sequence[bool]) -> list[Result]:
    """The sweeps between two looks, made as tensor calls.

    All that a GPU would do otherwise is in here: record a stretch once as a graph and replay it instead of making
    hundreds of calls. Nothing in a stretch waits for the device, and every stretch of a phase makes the same calls on
    the same shapes from the second on (`tests/hil/cuda/test_waits.py`).

    Args:
        sweep: Makes one sweep, given whether its changes are asked for, and returns them.
        measured: For which sweeps they are.
    """
    return [sweep(asked) for asked in measured]
