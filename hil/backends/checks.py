"""What every counterpart refuses before anything is sent to it."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from firmware_specs.topology import Topology
from hil.backends.seam import Nudge


def check_inputs(topology: Topology, drive: Tensor, nudges: Sequence[Nudge]) -> None:
    """Checks shapes and finiteness of a settle's currents; a nudge that follows the state is not looked into.

    Raises:
        ValueError: naming the input, what it is and what is expected.
    """
    _check("drive", drive, (len(drive), *topology.drive_shape))
    for index, nudge in enumerate(nudges):
        if isinstance(nudge, Tensor):
            _check(f"nudge {index}", nudge, (len(drive), *topology.nudge_shape))


def _check(name: str, value: Tensor, expected: tuple[int, ...]) -> None:
    if value.shape != expected:
        raise ValueError(f"{name}: shape {tuple(value.shape)}, expected {expected} (batch first)")
    finite = torch.isfinite(value)
    if not bool(finite.all()):
        raise ValueError(f"{name}: {int((~finite).sum())} values are not finite; nothing was sent")
