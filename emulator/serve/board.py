"""A virtual instrument: one emulated device behind a pseudo-terminal, a frame socket, a SCPI socket and HiSLIP."""

from __future__ import annotations

import socket
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from emulator.device import Device
from emulator.faults import Cutter, FaultPlan, Faulty, FaultyEndpoint, frame_cutter, message_cutter
from emulator.faulty_messages import FaultyMessages
from emulator.machine import Machine
from emulator.scpi import ScpiEndpoint
from emulator.serial_endpoint import SerialEndpoint
from emulator.serve import port_folder
from emulator.serve.hislip import HislipHub, ScpiDoor
from emulator.serve.loop import Server
from emulator.serve.streams import Endpoint, SocketLink

SILENT_S = 1.0
"""A client of the frame door that had no answer for so long gives way to the next one."""


@dataclass(frozen=True)
class Doors:
    """Which doors to open.

    Attributes:
        pty: Serve frames on a pseudo-terminal.
        tcp: Port for frames; 0 any free one, None not.
        scpi: Port for SCPI on a plain socket.
        hislip: Port for SCPI over HiSLIP.
    """

    pty: bool = False
    tcp: int | None = None
    scpi: int | None = None
    hislip: int | None = None

    @property
    def any(self) -> bool:
        """Is there one at all?"""
        return self.pty or any(port is not None for port in (self.tcp, self.scpi, self.hislip))


class Board:
    """Serves a device through its doors.

    Args:
        device: What is behind them.
        doors: Which ones.
        faults: What the wires do.

    Attributes:
        addresses: As `--device` takes them.
        injectors: The fault injectors of the links so far.
    """

    def __init__(self, device: Device, doors: Doors, faults: FaultPlan | None = None) -> None:
        self.device = device
        self.machine = Machine(device)
        self.injectors: list[Faulty] = []
        self.addresses: list[str] = []
        self._plan = faults if faults is not None and faults.rates else None
        self._server = Server(self._tick)
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._links = 0
        try:
            self._open(doors)
        except BaseException:
            self._server.close()
            raise

    def run(self) -> None:
        """Serves until `stop`; outputs are off afterwards."""
        try:
            self._server.run()
        finally:
            self.device.disarm("virtual instrument ends")
            if self._folder is not None:
                self._folder.cleanup()

    def stop(self) -> None:
        """Ends `run`; from any thread or a signal handler."""
        self._server.stop()

    def _open(self, doors: Doors) -> None:
        server, host = self._server, self._server.host
        if doors.pty:
            self._folder = port_folder.make()
            endpoint = self._wire(SerialEndpoint(self.machine, "pty"), frame_cutter())
            path = server.pty(endpoint, Path(self._folder.name) / port_folder.LINK)
            self.addresses.append(f"serial:{path}")
        if doors.tcp is not None:
            port = server.tcp(self._one_frame_link(), doors.tcp)
            self.addresses.append(f"serial:socket://{host}:{port}")
        if doors.scpi is not None:
            port = server.tcp(self._scpi_link, doors.scpi)
            self.addresses.append(f"visa:TCPIP::{host}::{port}::SOCKET")
        if doors.hislip is not None:
            hub = HislipHub(self._message_door)
            port = server.tcp(hub.connect(server), doors.hislip)
            self.addresses.append(f"visa:TCPIP::{host}::hislip0,{port}::INSTR")

    def _tick(self) -> float | None:
        self.device.poll()
        outputs = self.device.outputs
        return outputs.remaining_s if outputs.on and outputs.watchdog_s else None

    def _wire(self, endpoint: SerialEndpoint | ScpiEndpoint, cut: Cutter) -> Endpoint:
        return endpoint if self._plan is None else self._injector(endpoint, self._plan, cut)

    def _message_door(self, number: int) -> ScpiDoor:
        endpoint, plan = ScpiEndpoint(self.machine, f"hislip-{number}"), self._plan
        if plan is None:
            return endpoint
        return FaultyMessages(endpoint, lambda whole: self._injector(whole, plan, lambda message: [message]))

    def _injector(self, endpoint: FaultyEndpoint, plan: FaultPlan, cut: Cutter) -> Faulty:
        in_order = not isinstance(endpoint, SerialEndpoint)
        self.injectors.append(Faulty(endpoint, self.device, plan, cut, in_order=in_order))
        return self.injectors[-1]

    def _one_frame_link(self) -> Callable[[socket.socket], SocketLink | None]:
        """Frames over TCP: one client at a time, and the session outlives its connection (PROTOCOL.md 3.2)."""
        endpoint = self._wire(SerialEndpoint(self.machine, "tcp"), frame_cutter())
        links: list[SocketLink] = []

        def connect(connection: socket.socket) -> SocketLink | None:
            before = links[-1] if links else None
            if before is not None and before.open and before.idle_s > SILENT_S and not (before.answered or before.owns):
                before.hang_up()  # it never said a word that is a frame
            if before is not None and before.open:
                self.device.journal.note("link", "second connection refused: one client at a time", "tcp")
                return None
            links[:] = [SocketLink(self._server, endpoint, connection)]
            return links[-1]

        return connect

    def _scpi_link(self, connection: socket.socket) -> SocketLink:
        self._links += 1
        endpoint = self._wire(ScpiEndpoint(self.machine, f"scpi-{self._links}"), message_cutter())
        return SocketLink(self._server, endpoint, connection)
