"""Bare pyserial and bare pyvisa: what the driver is measured against."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable

import pyvisa
import serial
from pyvisa.resources import MessageBasedResource

from firmware_specs.scpi import block

Action = Callable[[], object]


def bare_serial(url: str, size: int) -> Action:
    """Write and read back with pyserial alone, never more under way than a terminal's buffer takes."""
    port = serial.serial_for_url(url, baudrate=115200, timeout=1)
    if url.startswith("socket:"):
        port._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    data = os.urandom(size)

    def echo_socket() -> None:
        port.write(data)
        port.read(size)

    def echo() -> None:
        sent = got = 0
        while got < size:
            while sent < size and sent - got < 2 * 4096:
                sent += port.write(data[sent : sent + 4096])
            got += len(port.read(min(size - got, max(1, port.in_waiting))))

    return echo_socket if url.startswith("socket:") else echo


def bare_block(manager: pyvisa.ResourceManager, link: MessageBasedResource, payload: bytes) -> Action:
    """pyvisa alone: a block written and read back by its length, with no end sign that its bytes could hold."""
    data = block(payload)
    link.write_termination, link.read_termination = "", None
    if link.resource_class == "SOCKET":
        session = manager.visalib.sessions[link.session]  # type: ignore[attr-defined]
        session.interface.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def echo() -> None:
        link.write_raw(data)
        link.read_bytes(len(data), chunk_size=len(payload))

    def ask() -> None:
        link.write_raw(b":SYST:ECHO? " + data)
        link.read_raw(2 * len(payload))

    return echo if link.resource_class == "SOCKET" else ask
