"""Nodal solve of whatever is sourced and switched: linear admittances and monotone one-ports, by Newton's method.

A one-port gives the current it pushes into its node as a falling, piecewise linear function of the node's voltage, so
the solution is the minimum of a convex co-content and Newton ends after a few changes of segment.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
LEAK_S = 1e-12
"""Insulation of every node to ground, so that a floating line has a voltage."""
STEEP_S = 1e2
"""Conductance of a source that holds its voltage, and of a clamp."""


class OnePort(Protocol):
    """Something between a node and ground."""

    def current(self, volts: float) -> tuple[float, float]:
        """Amperes into the node at a node voltage, and the slope (not positive)."""
        ...


@dataclass(frozen=True)
class VoltagePort:
    """A voltage source with a current limit.

    Attributes:
        volts: Set-point.
        limit_a: Compliance.
        series_s: Output conductance.
    """

    volts: float
    limit_a: float = float("inf")
    series_s: float = STEEP_S

    def current(self, volts: float) -> tuple[float, float]:
        """`clip((V - v) G, -limit, limit)`."""
        free = (self.volts - volts) * self.series_s
        if abs(free) <= self.limit_a:
            return free, -self.series_s
        return float(np.copysign(self.limit_a, free)), 0.0

    def limited(self, volts: float) -> bool:
        """True where the compliance holds."""
        return abs((self.volts - volts) * self.series_s) > self.limit_a


@dataclass(frozen=True)
class CurrentPort:
    """A current source with a voltage limit.

    Attributes:
        amps: Set-point.
        limit_v: Compliance.
    """

    amps: float
    limit_v: float

    def current(self, volts: float) -> tuple[float, float]:
        """The set-point while `|v| <= limit`; beyond, a clamp that pulls back."""
        over = abs(volts) - self.limit_v
        if over <= 0:
            return self.amps, 0.0
        return self.amps - float(np.copysign(over * STEEP_S, volts)), -STEEP_S

    def limited(self, volts: float) -> bool:
        """True where the compliance holds."""
        return abs(volts) > self.limit_v


@dataclass(frozen=True)
class DiodePort:
    """A diode from ground to the node: conducts when the node is more than the knee below zero; or the other way.

    Attributes:
        knee_v: Forward voltage.
        series_s: Conductance beyond it.
        ceiling: From the node to ground: keeps it at or below zero.
    """

    knee_v: float
    series_s: float
    ceiling: bool = False

    def current(self, volts: float) -> tuple[float, float]:
        """`max(0, -knee - v) G`, or `-max(0, v - knee) G`."""
        over = (volts if self.ceiling else -volts) - self.knee_v
        if over <= 0:
            return 0.0, 0.0
        return (-over if self.ceiling else over) * self.series_s, -self.series_s


class NotConverged(RuntimeError):
    """The network has no solution Newton's method finds; a fault of the circuit given, with its size named."""


def solve(admittance: Array, ports: list[tuple[int, OnePort]], start: Array) -> Array:
    """Node voltages at which all currents balance.

    Newton's method with an exact line search on the co-content, whose slope along a direction only rises; so it ends
    from any start.

    Args:
        admittance: (nodes, nodes), symmetric.
        ports: Node and what hangs on it.
        start: First guess, (nodes,).

    Raises:
        NotConverged: 200 steps did not do.
    """
    base = admittance.copy()
    base[np.diag_indices_from(base)] += LEAK_S
    volts = start.copy()
    for _ in range(200):
        pushed, slope = _push(ports, volts)
        jacobian = base.copy()
        jacobian[np.diag_indices_from(jacobian)] -= slope
        step = np.asarray(np.linalg.solve(jacobian, pushed - base @ volts), dtype=np.float64)
        whole = volts + step
        if np.allclose(_push(ports, whole)[0], pushed + slope * step, rtol=1e-9, atol=1e-11):
            return whole  # every port stayed on its segment, so the step was exact
        volts += _line_search(base, ports, volts, step) * step
    pushed, _ = _push(ports, volts)
    left = float(np.abs(pushed - base @ volts).max())
    raise NotConverged(f"no balance of {len(volts)} nodes with {len(ports)} sources: {left:g} A are left")


def _line_search(base: Array, ports: list[tuple[int, OnePort]], volts: Array, step: Array) -> float:
    """Where along the step the co-content is lowest, at most the whole step."""

    def rise(scale: float) -> float:
        trial = volts + scale * step
        return float((base @ trial - _push(ports, trial)[0]) @ step)

    if rise(1.0) <= 0:
        return 1.0
    low, high = 0.0, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if rise(middle) <= 0 else (low, middle)
    return high


def _push(ports: list[tuple[int, OnePort]], volts: Array) -> tuple[Array, Array]:
    """Current into every node, and its slope."""
    pushed, slope = np.zeros_like(volts), np.zeros_like(volts)
    for node, port in ports:
        amps, by_volts = port.current(volts[node])
        pushed[node] += amps
        slope[node] += by_volts
    return pushed, slope
