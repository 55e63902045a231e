"""The one physical bench all virtual instruments stand on: terminals, relays, the crossbar, and time."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from emulator.rack.circuit import DiodePort, Factors, OnePort, VoltagePort, current, open_volts, solve
from emulator.rack.crossbar import BareCrossbar
from emulator.rack.events import Log
from emulator.rack.stand import ROOM_K, Fixtures, Relay
from firmware_specs.racks.dut import Dut
from firmware_specs.racks.rack import Rack
from firmware_specs.racks.wiring import CEILING, FLOOR, GROUND

Array = NDArray[np.float64]
MATRIX, RELAYS, DACS, MULTIPLEXER = "34932A", "34937A", "34951A", "34921A"
SHUNT = "shunt"
"""`shunt.row0`: the DAC's side of the resistor before a line."""


@dataclass
class Bench:
    """State of the bench; every instrument changes it through these methods only.

    Attributes:
        rack: Instruments and wires.
        real_time: Let integration and relay times pass in real time too.
        crossbar: The device under test.
        log: What happened.
        ports: What each terminal does at present.
        closed: Closed relays.
        faults: Named faults that are on: `interlock`, `welded:CHANNEL`, `broken:CHANNEL`, `sentinel`, `identity:NAME`.
    """

    rack: Rack
    real_time: bool = False
    log_commands: bool = False
    faults: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.dut = self.rack.dut or Dut()
        self.crossbar = BareCrossbar(self.rack.rows, self.rack.columns, self.dut, self.rack.limits)
        self.now_s = 0.0
        self.kelvin: Callable[[], float] = lambda: ROOM_K
        self.log = Log(lambda: self.now_s, self.log_commands)
        self.ports: dict[str, OnePort] = {}
        self.closed: set[Relay] = set()
        self.relays = self.rack.relays()
        self._direct = {terminal: line for line, terminal in self.rack.wiring.direct.items()}
        self._lines = {line: index for index, line in enumerate(self.rack.lines)}
        terminals = sorted({t for pair in self.relays.values() for t in pair if t not in self._lines})
        self._nodes = self._lines | {t: len(self._lines) + i for i, t in enumerate(terminals)}
        self._contacts = np.zeros((len(self._nodes),) * 2)  # closed contacts, as a graph's Laplacian
        self._diodes: dict[Relay, tuple[int, OnePort]] = {}
        self._volts: Array | None = None
        self._calm: Array | None = None  # the solution that was seen to stress nothing
        self._guess = np.zeros(len(self._nodes))
        self._factors = Factors()

    @property
    def line_hz(self) -> float:
        """Mains frequency."""
        return float(self.rack.timing.line_frequency_hz)

    @property
    def contact_ohm(self) -> float:
        """Resistance of a closed relay."""
        return self.dut.contact_ohm

    def fixtures(self, instrument: str) -> Fixtures:
        """Cards as the wiring needs them: a matrix, relays, DACs, a multiplexer."""
        wiring, mine = self.rack.wiring, f"{instrument}."
        modules: dict[int, str] = {}
        if wiring.matrix.instrument == instrument:
            modules = {int(channel[0]): MATRIX for box, channel in self.relays if box == instrument}
        for terminal in (*wiring.floor.values(), *wiring.ceiling.values()):
            if terminal.startswith(mine):
                modules[int(terminal.removeprefix(mine)[0])] = RELAYS
        for terminal in wiring.direct.values():
            if terminal.startswith(mine):
                modules[int(terminal.removeprefix(mine)[0])] = DACS
        scanned = {channel: line for line, channel in wiring.scan.items()}
        scanned |= {channel: f"{SHUNT}.{line}" for line, channel in wiring.shunts.items()}
        if self.rack.roles.voltmeter != instrument:
            scanned = {}
        modules |= {int(channel[0]): MULTIPLEXER for channel in scanned}
        return Fixtures(modules, scanned, self.dut.contact_ohm + wiring.shunt_ohm)

    def advance(self, seconds: float) -> None:
        """Lets time pass; cells under stress change meanwhile."""
        if seconds <= 0:
            return
        volts = self.solve()
        if volts is not self._calm:
            pads = volts[: len(self._lines)]
            if float(pads.max() - pads.min()) > self.dut.threshold_v:
                stress, moved = self.crossbar.expose(pads, seconds)
                if stress > self.dut.threshold_v:
                    self.log.add("stress", "cells", stress)
                if moved:
                    self._volts = None
            else:
                self._calm = volts
        self.now_s += seconds
        if self.real_time:
            time.sleep(seconds)

    def set_port(self, terminal: str, port: OnePort | None) -> None:
        """What a terminal does from now on; None disconnects it inside its instrument."""
        if self.ports.get(terminal) != port:
            if port is None:
                self.ports.pop(terminal, None)
            else:
                self.ports[terminal] = port
            self._volts = None

    def switch(self, instrument: str, channel: str, close: bool) -> None:
        """Moves one relay and notes what it had to switch: volts when closing, amperes when opening."""
        relay = (instrument, channel)
        nodes = self.relays.get(relay)
        if nodes is None:  # nothing is wired to it
            self.closed ^= {relay} if close != (relay in self.closed) else set()
            return
        if close == (relay in self.closed):
            return
        if f"broken:{channel}" in self.faults or (not close and f"welded:{channel}" in self.faults):
            return
        a, b = (self._nodes[node] for node in nodes)
        volts = self.solve()
        across = abs(float(volts[a] - volts[b]))
        through = across / self.dut.contact_ohm if not close else 0.0
        self.log.add(
            "close" if close else "open", f"{instrument}.{channel}", across if close else through, " - ".join(nodes)
        )
        self.closed ^= {relay}
        self._join(a, b, 1 if close else -1)
        if (kind := nodes[1].partition(".")[0]) in (FLOOR, CEILING):
            diode = DiodePort(self.dut.diode_knee_v, 1 / self.dut.diode_ohm, kind == CEILING)
            self._diodes = {r: port for r, port in self._diodes.items() if r != relay}
            if close:
                self._diodes[relay] = (b, diode)
        self._volts = None

    def _join(self, a: int, b: int, count: int) -> None:
        """Counts closed contacts between two nodes."""
        self._contacts[a, a] += count
        self._contacts[b, b] += count
        self._contacts[a, b] -= count
        self._contacts[b, a] -= count

    def changed(self) -> None:
        """Call when cells were changed from outside: the bench looks anew."""
        self._volts = None

    def solve(self) -> Array:
        """Voltage of every node at this moment."""
        if self.dut.temperature_coefficient_per_k and self.crossbar.warm(self.kelvin()):
            self._volts = None
        if self._volts is None:
            lines = len(self._lines)
            admittance = self._contacts * (1 / self.dut.contact_ohm)
            admittance[:lines, :lines] += self.crossbar.admittance()
            ports: list[tuple[int, OnePort]] = list(self._diodes.values())
            if GROUND in self._nodes:
                ports.append((self._nodes[GROUND], VoltagePort(0.0, series_s=1e3)))
            for terminal, port in self.ports.items():
                node = self._direct.get(terminal, terminal)
                if node in self._nodes:
                    ports.append((self._nodes[node], port))
            guess = self._guess.copy()
            for number, port in ports:
                if isinstance(port, VoltagePort):
                    guess[number] = port.volts
            self._volts = self._guess = solve(admittance, ports, guess, self._factors)
        return self._volts

    def terminal_volts(self, terminal: str) -> float:
        """Voltage at a terminal; an unwired one sees what it drives itself."""
        kind, _, line = terminal.partition(".")
        if kind == SHUNT:
            source = self.rack.wiring.direct[line]
            return self.terminal_volts(line) + self.terminal_amps(source) * self.rack.wiring.shunt_ohm
        node = self._direct.get(terminal, terminal)
        if node in self._nodes:
            return float(self.solve()[self._nodes[node]])
        return open_volts(self.ports.get(terminal))

    def terminal_amps(self, terminal: str) -> float:
        """Current a terminal pushes out."""
        port = self.ports.get(terminal)
        return 0.0 if port is None else current(port, self.terminal_volts(terminal))

    def outputs_on(self) -> list[str]:
        """Terminals whose output relay is closed."""
        return sorted(t for t, port in self.ports.items() if not getattr(port, "resting", False))
