"""What a device refused, as an error of the tree: the same for every protocol."""

from __future__ import annotations

from drivers.errors import Busy, DeviceFault, FloatingNode
from firmware_specs.codes import ErrorCode

CLASSES: dict[int, type[DeviceFault]] = {ErrorCode.FLOATING: FloatingNode}
"""Refusals that have a class of their own; the others are plain faults."""

_NAMES = {int(code): code.name for code in ErrorCode}


def refused(code: int, text: str, *, asked: str, device: str) -> DeviceFault | Busy:
    """The error of a refusal.

    Args:
        code: As PROTOCOL.md section 8 numbers them.
        text: The device's own words.
        asked: The verb.
        device: Address.
    """
    if code == ErrorCode.BUSY:
        return Busy(f"{asked} was refused", owner=text, device=device)
    name = _NAMES.get(code, "unknown to this version")
    return CLASSES.get(code, DeviceFault)(code, f"{name}: {text}", asked=asked, device=device)
