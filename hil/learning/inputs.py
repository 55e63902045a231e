"""What a block refuses before it settles, and what it says once when a settle went badly and nobody listens."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from typing import get_args

import torch
from torch import Tensor

from firmware_specs.given import is_whole
from firmware_specs.topology import Topology
from hil.counterparts.seam import Programmed, Settled
from hil.learning.energies import Energy
from hil.learning.unsettled import Unsettled


class SettlingWarning(UserWarning):
    """A settle clipped values or did not come to rest."""


def check_place(topology: object, bench: object, beside: object) -> None:
    """Refuses what no block can be made of, in a sentence."""
    if not isinstance(topology, Topology | Energy):
        raise TypeError(
            f"topology: {topology!r:.80} is no topology: expected e.g. dense_chain([64, 32]), a Topology or an Energy"
        )
    if isinstance(bench, str):
        raise TypeError(f"bench: {bench!r} is an address: open it, with open_bench({bench!r}) as bench: ...")
    if not hasattr(bench, "place"):
        raise TypeError(f"bench: {bench!r:.80} is no open bench: expected what open_bench(address) gives")
    if getattr(bench, "closed", False):
        raise ValueError(f"bench: {getattr(bench, 'address', bench)} is closed; open it again")
    if not is_whole(beside, 0):
        raise ValueError(f"beside: {beside!r:.80}, expected a whole number of at least 0")


def check_option(name: str, value: object) -> None:
    """Refuses a value that an option of a block cannot have; attributes that are no options pass."""
    if name not in _OPTIONS:
        return
    fits, expected = _OPTIONS[name]
    if not fits(value):
        raise ValueError(f"{name}: {value!r:.80}{expected}")


def _is_rule(value: object) -> bool:
    return hasattr(value, "gradients") and not isinstance(value, type)


_OPTIONS: dict[str, tuple[Callable[[object], bool], str]] = {
    "estimator": (_is_rule, " is no rule: expected e.g. Estimator(kind='centered')"),
    "observer": (lambda v: v is None or callable(v), ", expected a function that takes what was settled, or None"),
    "generator": (lambda v: v is None or isinstance(v, torch.Generator), ", expected a torch.Generator or None"),
    "reads": (lambda v: is_whole(v, 1), ", expected a whole number of at least 1"),
    "unsettled": (lambda v: v in get_args(Unsettled), f", expected one of {', '.join(get_args(Unsettled))}"),
    "pulsed": (lambda v: isinstance(v, bool), ", expected True or False"),
}
"""What an option can be, and how its refusal ends."""


def in_own_precision(drive: Tensor, like: Tensor | None) -> Tensor:
    """Under autocast what a neighbour made in another precision, in the block's own; anything else as it is."""
    if like is None or like.device.type == "meta" or not isinstance(drive, Tensor) or not drive.is_floating_point():
        return drive
    return drive.to(like.dtype) if torch.is_autocast_enabled(like.device.type) else drive


def check_drive(drive: Tensor, shape: tuple[int, ...], like: Tensor | None) -> None:
    """Checks what a block is driven with.

    Args:
        drive: (batch, *shape), or that flat.
        shape: One sample's.
        like: A parameter of the block, whose type and device count; None where it has none.

    Raises:
        TypeError: no tensor, or one of another type. ValueError: another shape, an empty batch, another device.
    """
    if not isinstance(drive, Tensor):
        raise TypeError(f"drive: {type(drive).__name__}, expected a tensor (batch, *{shape})")
    if drive.is_nested or drive.layout != torch.strided:
        raise TypeError(f"drive: a sparse or nested tensor, expected a dense one (batch, *{shape}): drive.to_dense()")
    if tuple(drive.shape[1:]) not in (shape, (math.prod(shape),)):
        raise ValueError(f"drive: shape {tuple(drive.shape)}, expected (batch, *{shape}), or that flat")
    if not drive.is_floating_point():
        raise TypeError(f"drive: {drive.dtype}, expected floating point: convert it with drive.float()")
    if len(drive) == 0:
        raise ValueError("drive: an empty batch; at least one sample is needed")
    if like is None:
        return
    if like.device.type == "meta":
        raise ValueError("the block is on the meta device and has no weights: move it with .to_empty(device=...)")
    if drive.device != like.device:
        raise ValueError(f"drive: on {drive.device}, the block is on {like.device}: move one with .to(...)")
    if drive.dtype != like.dtype:
        raise TypeError(
            f"drive: {drive.dtype}, the block computes in {like.dtype}: convert one with .to({like.dtype}) or "
            f"model.to({drive.dtype})"
        )


def complaints(settled: Settled) -> dict[str, str]:
    """What went badly, by kind: one sentence with its counts each."""
    said: dict[str, str] = {}
    for number, phase in enumerate(settled.phases):
        name = f"nudged phase {number}" if number else "free phase"
        if "unsettled" not in said and (complaint := phase.complaint()) is not None:
            said["unsettled"] = f"{name}: {complaint}. Allow more sweeps or time, or use smaller weights"
        clipped = int(phase.clipped_drives.sum())
        if "clipped" not in said and clipped:
            said["clipped"] = (
                f"{name}: {clipped} drive or nudge values in {len(phase.settled)} samples were beyond the converters' "
                "range and clipped. Scale what the block is driven with"
            )
    return said


def clipped_weights(programmed: Programmed) -> dict[str, str]:
    """How many weights a chip holds otherwise than asked."""
    return {
        "weights": f"{programmed.clipped} of {programmed.cells} weights and biases are beyond what the cells can hold "
        "and were clipped. project() moves the parameters there"
    }


def tell_once(told: set[str], said: dict[str, str], level: int = 4) -> None:
    """Warns of every kind that has not been told yet."""
    for kind, sentence in said.items():
        if kind not in told:
            told.add(kind)
            warnings.warn(f"{sentence}. (Said once a block.)", SettlingWarning, stacklevel=level)


def equal(now: tuple[Tensor, ...], before: tuple[Tensor, ...] | None) -> bool:
    """Whether all tensors have the same content, type and device; the host waits once where that is a GPU."""
    if before is None or len(now) != len(before):
        return False
    if any(a.dtype != b.dtype or a.device != b.device or a.shape != b.shape for a, b in zip(now, before, strict=True)):
        return False
    if all(a.device.type == "cpu" for a in now):
        return all(torch.equal(a, b) for a, b in zip(now, before, strict=True))
    return bool(torch.stack([(a == b).all() for a, b in zip(now, before, strict=True)]).all())
