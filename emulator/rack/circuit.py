"""Nodal solve of whatever is sourced and switched: linear admittances and monotone one-ports, by Newton's method.

A one-port gives the current it pushes into its node as a falling, piecewise linear function of the node's voltage, so
the solution is the minimum of a convex co-content and Newton ends after a few changes of segment.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from threading import Lock
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.linalg.lapack import dgetrf, dgetrs

Array = NDArray[np.float64]
LEAK_S = 1e-12
"""Insulation of every node to ground, so that a floating line has a voltage."""
STEEP_S = 1e2
"""Conductance of a source that holds its voltage, and of a clamp."""


@dataclass(frozen=True)
class Piece:
    """`clip(G (V - v), low, high)`, amperes into a node at voltage v."""

    siemens: float
    volts: float
    low: float = -math.inf
    high: float = math.inf

    def amps(self, volts: float) -> float:
        """Current at a node voltage."""
        return min(max(self.siemens * (self.volts - volts), self.low), self.high)


class OnePort(Protocol):
    """Something between a node and ground: a constant current and pieces."""

    @property
    def constant_a(self) -> float:
        """Amperes that flow at any voltage."""
        ...

    @property
    def pieces(self) -> tuple[Piece, ...]:
        """What depends on the voltage."""
        ...


def current(port: OnePort, volts: float) -> float:
    """Amperes a port pushes into its node at a voltage."""
    return port.constant_a + sum(piece.amps(volts) for piece in port.pieces)


@dataclass(frozen=True)
class VoltagePort:
    """A voltage source with a current limit.

    Attributes:
        volts: Set-point.
        limit_a: Compliance.
        series_s: Output conductance.
    """

    volts: float
    limit_a: float = math.inf
    series_s: float = STEEP_S
    constant_a = 0.0

    @cached_property
    def pieces(self) -> tuple[Piece, ...]:
        """`clip((V - v) G, -limit, limit)`."""
        return (Piece(self.series_s, self.volts, -self.limit_a, self.limit_a),)

    def limited(self, volts: float) -> bool:
        """True where the compliance holds."""
        return abs((self.volts - volts) * self.series_s) > self.limit_a


@dataclass(frozen=True)
class CurrentPort:
    """A current source with a voltage limit.

    Attributes:
        constant_a: Set-point.
        limit_v: Compliance.
    """

    constant_a: float
    limit_v: float

    @cached_property
    def pieces(self) -> tuple[Piece, ...]:
        """Clamps that pull back beyond the compliance."""
        return (Piece(STEEP_S, self.limit_v, high=0.0), Piece(STEEP_S, -self.limit_v, low=0.0))

    def limited(self, volts: float) -> bool:
        """True where the compliance holds."""
        return abs(volts) > self.limit_v


def open_volts(port: OnePort | None) -> float:
    """Voltage at a terminal that nothing is connected to: what it drives itself."""
    if isinstance(port, VoltagePort):
        return port.volts
    if isinstance(port, CurrentPort) and port.constant_a:
        return math.copysign(port.limit_v, port.constant_a)
    return 0.0


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
    constant_a = 0.0

    @cached_property
    def pieces(self) -> tuple[Piece, ...]:
        """Conducts on one side only."""
        if self.ceiling:
            return (Piece(self.series_s, self.knee_v, high=0.0),)
        return (Piece(self.series_s, -self.knee_v, low=0.0),)


class NotConverged(RuntimeError):
    """The network has no solution Newton's method finds; a fault of the circuit given, with its size named."""


class Factors:
    """Factors of the matrix that was solved last: while only levels of sources change, it is the same again."""

    def __init__(self) -> None:
        self._matrix: Array = np.empty((0, 0))
        self._factors: tuple[Any, Any] | None = None
        self._one_at_a_time = Lock()  # SciPy's `dgetrs` changes the pivots it is given and changes them back

    def solve(self, matrix: Array, right: Array) -> Array:
        """As `numpy.linalg.solve`, by the same routines.

        Args:
            matrix: (nodes, nodes); not to be changed afterwards.
            right: (nodes,).
        """
        with self._one_at_a_time:
            if self._factors is None or not np.array_equal(self._matrix, matrix):
                self._matrix, self._factors = matrix, dgetrf(matrix)[:2]
            return np.asarray(dgetrs(*self._factors, right)[0], dtype=np.float64)


def solve(admittance: Array, ports: list[tuple[int, OnePort]], start: Array, factors: Factors | None = None) -> Array:
    """Node voltages at which all currents balance.

    Newton's method on the co-content; a step is halved until the co-content still falls at its end, which from any
    start is enough for a convex function.

    Args:
        admittance: (nodes, nodes), symmetric.
        ports: Node and what hangs on it.
        start: First guess, (nodes,).
        factors: What is remembered of the solution before.

    Raises:
        NotConverged: 200 steps did not do.
    """
    base, diagonal = admittance.copy(), slice(None, None, len(admittance) + 1)
    base.flat[diagonal] += LEAK_S
    loads = _Loads.of(ports, len(start))
    factors = factors or Factors()
    volts = start
    for _ in range(200):
        pushed, slope = loads.push(volts)
        jacobian = base.copy()
        jacobian.flat[diagonal] -= slope
        step = factors.solve(jacobian, pushed - base @ volts)
        whole = volts + step
        wanted = pushed + slope * step
        if np.abs(loads.amps(whole) - wanted).max() <= 1e-11 + 1e-9 * np.abs(wanted).max():
            return whole  # every port stayed on its segment, so the step was exact
        scale = 1.0
        while scale > 1e-18 and float((base @ whole - loads.amps(whole)) @ step) > 0:
            scale /= 2
            whole = volts + scale * step
        volts = whole
    left = float(np.abs(loads.amps(volts) - base @ volts).max())
    raise NotConverged(f"no balance of {len(volts)} nodes with {len(ports)} sources: {left:g} A are left")


@dataclass(frozen=True)
class _Loads:
    """All ports as arrays."""

    constant: Array
    node: NDArray[np.int64]
    siemens: Array
    volts: Array
    low: Array
    high: Array

    @classmethod
    def of(cls, ports: list[tuple[int, OnePort]], nodes: int) -> _Loads:
        constant = np.zeros(nodes)
        for node, port in ports:
            constant[node] += port.constant_a
        flat = [(node, p.siemens, p.volts, p.low, p.high) for node, port in ports for p in port.pieces]
        columns = np.array(flat, dtype=np.float64).reshape(-1, 5).T
        return cls(constant, columns[0].astype(np.int64), columns[1], columns[2], columns[3], columns[4])

    def push(self, volts: Array) -> tuple[Array, Array]:
        """Current into every node, and its slope."""
        free = self._free(volts)
        inside = (free >= self.low) & (free <= self.high)
        slope: Array = np.bincount(self.node, -self.siemens * inside, len(volts)).astype(np.float64, copy=False)
        return self._clamped(free), slope

    def amps(self, volts: Array) -> Array:
        """Current into every node."""
        return self._clamped(self._free(volts))

    def _free(self, volts: Array) -> Array:
        """Of every piece, without its ends."""
        return self.siemens * (self.volts - volts[self.node])

    def _clamped(self, free: Array) -> Array:
        ends = np.minimum(np.maximum(free, self.low), self.high)
        found: Array = self.constant + np.bincount(self.node, ends, len(self.constant))
        return found
