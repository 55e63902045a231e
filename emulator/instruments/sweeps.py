"""Sweeps: the levels of a linear, stepped, logarithmic or listed one."""

from __future__ import annotations

import math
from dataclasses import dataclass

from emulator.instruments.refused import Refused

MAX_POINTS = 1_000_000


@dataclass(frozen=True)
class Sweep:
    """A sweep that was set up.

    Attributes:
        levels: One after the other.
        unit: `volts` or `amps`.
        delay_s: Wait before each reading.
        buffer: Where readings go.
        abort: Ends at the first reading in compliance.
        fixed: Keeps the source range as it is; otherwise it follows.
        switches: Turns the output on before and off after; otherwise it stays as it is.
    """

    levels: tuple[float, ...]
    unit: str
    delay_s: float = 0.0
    buffer: str = ""
    abort: bool = False
    fixed: bool = False
    switches: bool = True


def linear(start: float, stop: float, points: int) -> tuple[float, ...]:
    """Equal steps, both ends included.

    Raises:
        Refused: fewer than one point, or more than an instrument holds.
    """
    _counted(points)
    if points == 1:
        return (start,)
    return tuple(start + (stop - start) * i / (points - 1) for i in range(points))


def stepped(start: float, stop: float, step: float) -> tuple[float, ...]:
    """Steps of a size, in the direction of the end."""
    if not step:
        raise Refused(-222, "Parameter data out of range")
    points = _counted(math.floor(abs(stop - start) / abs(step) + 1e-9) + 1)
    size = math.copysign(step, stop - start)
    return tuple(start + size * i for i in range(points))


def logarithmic(start: float, stop: float, points: int, asymptote: float = 0.0) -> tuple[float, ...]:
    """Equal ratios of the distance from an asymptote."""
    _counted(points)
    first, last = start - asymptote, stop - asymptote
    if first * last <= 0:
        raise Refused(-221, "Settings conflict; a logarithmic sweep does not cross its asymptote")
    if points == 1:
        return (start,)
    return tuple(asymptote + first * (last / first) ** (i / (points - 1)) for i in range(points))


def both_ways(levels: tuple[float, ...]) -> tuple[float, ...]:
    """There and back again."""
    return levels + levels[::-1]


def _counted(points: int) -> int:
    if not 1 <= points <= MAX_POINTS:
        raise Refused(-222, "Parameter data out of range")
    return points
