"""What an instrument measured, and what it says of its settings: numbers that can be used, or a refusal."""

from __future__ import annotations

import math

from drivers import answers
from drivers.errors import DeviceFault, ProtocolViolation

SENTINEL = 9.9e37
"""SCPI writes 9.91e37 for not-a-number and +-9.9e37 for an overflow."""


def reading(text: str, what: str, device: str) -> float:
    """A measured number.

    Raises:
        DeviceFault: it is a sentinel: overflow or not-a-number.
        ProtocolViolation: it is no number at all.
    """
    value = answers.number(text, what, device)
    if not math.isfinite(value) or abs(value) >= SENTINEL:
        raise DeviceFault(
            -222, f"the reading {answers.bare(text)} is a sentinel, not a value", asked=what, device=device,
            todo="The input is beyond its range or nothing was measured",
        )  # fmt: skip
    return value


def confirm(what: str, wanted: float, got: object, device: str, rel: float = 1e-5) -> None:
    """Refuses a setting whose read-back differs, or is no number.

    Raises:
        ProtocolViolation: it does.
    """
    got = number_of(what, got, device)
    if not math.isclose(wanted, got, rel_tol=rel, abs_tol=1e-12):
        raise ProtocolViolation(f"{what} was set to {wanted:g} and reads back {got:g}; outputs stay off", device=device)


def holds(what: str, wanted: float, got: object, device: str) -> None:
    """Refuses a range whose read-back is too small, or no number: it may round up to the next one.

    Raises:
        ProtocolViolation: it is smaller.
    """
    got = number_of(what, got, device)
    if not wanted <= got * (1 + 1e-6):
        confirm(what, wanted, got, device)


def number_of(what: str, got: object, device: str) -> float:
    """A read-back as a library gives it: a number, or the text it could make nothing of."""
    if isinstance(got, bool | int | float):
        return float(got)
    return answers.number(str(got), what, device)
