"""A breadboard: parts between named nodes, instruments' terminals wired to them, relays, and time.

`gnd` is every instrument's LO. The voltages are the solution of Kirchhoff's current law, found by Newton's method with
steps halved until the co-content still falls; it has one solution, since no part's current falls with its voltage.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from emulator.circuits.part import Part, slope
from emulator.circuits.parts import INSTANT_S, Capacitor
from emulator.rack.circuit import NotConverged, OnePort, VoltagePort, current, open_volts
from emulator.rack.events import Log
from emulator.rack.stand import ROOM_K, Fixtures, Relay

Array = NDArray[np.float64]
GND = "gnd"
AGREE_V, AGREE = 1e-9, 1e-6
MAX_STEPS = 20_000
LEAK_S = 1e-15
"""Insulation of every node to ground, so that a floating one has a voltage."""
FAR_V = 500.0


@dataclass
class Breadboard:
    """A `Stand` made of parts.

    Attributes:
        parts: Each part and the two nodes it is between.
        wires: Terminal -> node.
        relays: (instrument, channel) -> the two nodes it joins.
        line_hz: Mains frequency.
        contact_ohm: Resistance of a closed relay.
        real_time: Let integration and relay times pass in real time too.
        modules: Mainframe -> slot -> card.
    """

    parts: list[tuple[Part, str, str]]
    wires: dict[str, str]
    relays: dict[Relay, tuple[str, str]] = field(default_factory=dict)
    line_hz: float = 50.0
    contact_ohm: float = 0.1
    real_time: bool = False
    log_commands: bool = False
    faults: set[str] = field(default_factory=set)
    modules: dict[str, dict[int, str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.now_s = 0.0
        self.kelvin: Callable[[], float] = lambda: ROOM_K
        self.log = Log(lambda: self.now_s, self.log_commands)
        self.ports: dict[str, OnePort] = {}
        self.closed: set[Relay] = set()
        names = {n for _, a, b in self.parts for n in (a, b)} | set(self.wires.values())
        names |= {n for pair in self.relays.values() for n in pair}
        self._node = {name: i for i, name in enumerate(sorted(names - {GND}))} | {GND: -1}
        self._volts: Array = np.zeros(len(self._node) - 1)
        self._fresh = False
        self._slow = [part for part, _, _ in self.parts if isinstance(part, Capacitor)]

    def fixtures(self, instrument: str) -> Fixtures:
        """Cards as the laboratory file names them."""
        return Fixtures(self.modules.get(instrument, {}), {}, self.contact_ohm)

    def advance(self, seconds: float) -> None:
        """Lets time pass; capacitors charge, cells under stress change."""
        if seconds <= 0:
            return
        if self._slow:
            self._charge(seconds)
        volts = self.solve()
        for part, a, b in self.parts:
            pass_time = getattr(part, "pass_time", None)
            if pass_time is not None:
                pass_time(self._at(volts, a) - self._at(volts, b), seconds)
                self._fresh = False
        self.now_s += seconds
        if self.real_time:
            time.sleep(seconds)

    def set_port(self, terminal: str, port: OnePort | None) -> None:
        """What a terminal does from now on; None disconnects it."""
        if self.ports.get(terminal) == port:
            return
        if port is None:
            self.ports.pop(terminal, None)
        else:
            self.ports[terminal] = port
        self._fresh = False

    def switch(self, instrument: str, channel: str, close: bool) -> None:
        """Moves one relay; a channel that nothing is wired to just moves."""
        relay = (instrument, channel)
        if close == (relay in self.closed) or f"broken:{channel}" in self.faults:
            return
        if not close and f"welded:{channel}" in self.faults:
            return
        volts = self.solve()
        a, b = self.relays.get(relay, (GND, GND))
        across = abs(self._at(volts, a) - self._at(volts, b))
        value = across if close else across / self.contact_ohm
        self.log.add("close" if close else "open", f"{instrument}.{channel}", value, f"{a} - {b}")
        self.closed ^= {relay}
        self._fresh = False

    def solve(self) -> Array:
        """Voltage of every node but `gnd`."""
        if not self._fresh:
            self._volts = self._newton(self._guess())
            self._fresh = True
        return self._volts

    def node_volts(self, node: str) -> float:
        """Voltage of a node."""
        return self._at(self.solve(), node)

    def terminal_volts(self, terminal: str) -> float:
        """Voltage at a terminal; an unwired one sees what it drives itself."""
        if terminal in self.wires:
            return self._at(self.solve(), self.wires[terminal])
        return open_volts(self.ports.get(terminal))

    def terminal_amps(self, terminal: str) -> float:
        """Current a terminal pushes out."""
        port = self.ports.get(terminal)
        if port is None or terminal not in self.wires:
            return 0.0
        return current(port, self.terminal_volts(terminal))

    def outputs_on(self) -> list[str]:
        """Terminals whose output relay is closed."""
        return sorted(t for t, port in self.ports.items() if not getattr(port, "resting", False))

    def _at(self, volts: Array, node: str) -> float:
        index = self._node[node]
        return 0.0 if index < 0 else float(volts[index])

    def _charge(self, seconds: float) -> None:
        """Implicit Euler, extrapolated from a whole step and two halves; steps follow their difference."""
        left, step = seconds, seconds / 16
        start = [part.charged_v for part in self._slow]
        for _ in range(MAX_STEPS):
            step = min(step, left)
            whole = self._step(start, step)
            halves = self._step(self._step(start, step / 2), step / 2)
            off = max(abs(h - w) / (AGREE_V + AGREE * abs(h)) for h, w in zip(halves, whole, strict=True))
            if off <= 1e2 or step < seconds * 1e-9:
                start = [2 * h - w for h, w in zip(halves, whole, strict=True)]
                left -= step
                step *= 2 if off < 10 else 1
            else:
                step /= 2
            if left <= seconds * 1e-12:
                break
        for part, volts in zip(self._slow, start, strict=True):
            part.charged_v, part.step_s = volts, INSTANT_S
        self._fresh = False

    def _step(self, start: list[float], seconds: float) -> list[float]:
        for part, volts in zip(self._slow, start, strict=True):
            part.charged_v, part.step_s = volts, seconds
        solved = self._newton(self._guess())
        return [
            part.inner_volts(self._at(solved, a) - self._at(solved, b))
            for part, a, b in self.parts
            if isinstance(part, Capacitor)
        ]

    def _guess(self) -> Array:
        """The last solution, with what sources hold in its place."""
        guess = self._volts.copy()
        for terminal, port in self.ports.items():
            node = self._node.get(self.wires.get(terminal, ""), -1)
            if node >= 0 and isinstance(port, VoltagePort):
                guess[node] = port.volts
        return guess

    def _newton(self, start: Array) -> Array:
        volts = start
        pushed, jacobian = self._currents(volts)
        for _ in range(300):
            step = np.linalg.solve(jacobian, pushed)
            scale = min(1.0, FAR_V / max(float(np.abs(step).max(initial=0.0)), FAR_V))
            while True:
                trial = volts + scale * step
                left, slopes = self._currents(trial)
                if float(left @ step) >= -1e-3 * abs(float(pushed @ step)) or scale < 1e-18:
                    break
                scale /= 2
            volts, pushed, jacobian = trial, left, slopes
            moved = np.abs(scale * step).max() if len(step) else 0.0
            if moved <= 1e-12 + 1e-10 * (np.abs(volts).max() if len(volts) else 0.0):
                return volts
        raise NotConverged(f"no balance of {len(volts)} nodes: {np.abs(pushed).max():g} A are left")

    def _currents(self, volts: Array) -> tuple[Array, Array]:
        """Current into every node, and minus its derivative."""
        size = len(volts)
        into, jacobian = -LEAK_S * volts, np.eye(size) * LEAK_S
        for part, a, b in self.parts:
            across = self._at(volts, a) - self._at(volts, b)
            self._stamp(into, jacobian, self._node[a], self._node[b], part.amps(across), slope(part, across))
        for relay in self.closed:
            if relay in self.relays:
                a, b = self.relays[relay]
                siemens = 1 / self.contact_ohm
                across = self._at(volts, a) - self._at(volts, b)
                self._stamp(into, jacobian, self._node[a], self._node[b], siemens * across, siemens)
        for terminal, port in self.ports.items():
            node = self._node.get(self.wires.get(terminal, ""), -1)
            if node < 0:
                continue
            at = float(volts[node])
            into[node] += current(port, at)
            for piece in port.pieces:
                free = piece.siemens * (piece.volts - at)
                jacobian[node, node] += piece.siemens if piece.low <= free <= piece.high else 0.0
        return into, jacobian

    @staticmethod
    def _stamp(into: Array, jacobian: Array, a: int, b: int, amps: float, siemens: float) -> None:
        if a >= 0:
            into[a] -= amps
            jacobian[a, a] += siemens
        if b >= 0:
            into[b] += amps
            jacobian[b, b] += siemens
        if a >= 0 and b >= 0:
            jacobian[a, b] -= siemens
            jacobian[b, a] -= siemens
