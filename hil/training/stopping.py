"""Stopping rules of the reference relaxation, from an experiment."""

from __future__ import annotations

import torch

from emulator.network import Stop
from hil.experiments.schema import Settling

CPU = torch.device("cpu")


GPU_SWEEPS = 8
"""Sweeps between two looks at the residual on a GPU: a look makes the host wait for it."""


def stops(settle: Settling, device: torch.device = CPU) -> tuple[Stop, Stop]:
    """Of the free and of the nudged phases, relaxed on a torch device."""
    every = GPU_SWEEPS if device.type == "cuda" else 1
    nudged = settle.tolerance if settle.nudged_tolerance is None else settle.nudged_tolerance
    bound = settle.nudged_max_iterations or settle.max_iterations
    return Stop(settle.max_iterations, settle.tolerance, every), Stop(bound, nudged, every)
