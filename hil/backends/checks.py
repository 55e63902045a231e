"""What every counterpart refuses before anything is sent to it."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from firmware_specs.topology import Topology
from hil.backends.seam import Hold, NotFinite, Nudge, Parameters


def check_inputs(topology: Topology, drive: Tensor, nudges: Sequence[Nudge]) -> None:
    """Checks shapes and finiteness of a settle's currents; a nudge that follows the state is not looked into.

    Raises:
        ValueError: naming the input, what it is and what is expected.
    """
    _check("drive", drive, (len(drive), *topology.drive_shape))
    for index, nudge in enumerate(nudges):
        if isinstance(nudge, Hold):
            _check(f"held state {index}", nudge.state, (len(drive), *topology.nudge_shape))
        if isinstance(nudge, Tensor):
            _check(f"nudge {index}", nudge, (len(drive), *topology.nudge_shape))


def constant_nudges(nudges: Sequence[Nudge]) -> list[Tensor]:
    """The nudges, where all of them are currents that stay what they are.

    Raises:
        ValueError: one follows the state, which hardware cannot.
    """
    constant = [n for n in nudges if isinstance(n, Tensor)]
    if len(constant) < len(nudges):
        raise ValueError("a nudge that follows the state needs reference: a device holds nudge currents constant")
    return constant


def check_parameters(topology: Topology, parameters: Parameters) -> int:
    """Checks that every coupling has its weights and biases, of the crossbar's size and finite.

    Returns:
        Number of weights and biases.

    Raises:
        ValueError: naming the parameter, what it is and what is expected.
    """
    total = 0
    for index, coupling in enumerate(topology.couplings):
        rows, columns = topology.cells(coupling)
        total += rows * columns
        _check_parameter(parameters, f"weight_{index}", columns * (rows - coupling.bias))
        if coupling.bias:
            _check_parameter(parameters, f"bias_{index}", columns)
    return total


def _check_parameter(parameters: Parameters, name: str, size: int) -> None:
    if name not in parameters:
        raise ValueError(f"{name}: missing; the block has {', '.join(sorted(parameters)) or 'no parameters'}")
    value = parameters[name]
    if value.numel() != size:
        raise ValueError(f"{name}: {value.numel()} values, the crossbar needs {size}")
    if not _all_finite(value):
        raise NotFinite(f"{name}: {int((~torch.isfinite(value)).sum())} values are not finite; nothing was written")


def _check(name: str, value: Tensor, expected: tuple[int, ...]) -> None:
    if value.shape != expected:
        raise ValueError(f"{name}: shape {tuple(value.shape)}, expected {expected} (batch first)")
    if not _all_finite(value):
        raise NotFinite(f"{name}: {int((~torch.isfinite(value)).sum())} values are not finite; nothing was sent")


def _all_finite(value: Tensor) -> bool:
    """One sum tells, many times faster than looking at each value; only a sum that overflows needs the look."""
    return math.isfinite(float(value.detach().sum())) or bool(torch.isfinite(value).all())
