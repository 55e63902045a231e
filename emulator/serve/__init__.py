"""Serving endpoints on pseudo-terminals and sockets: one thread, loopback addresses only."""

from emulator.serve.board import Board, Doors
from emulator.serve.loop import Server
from emulator.serve.streams import Endpoint, SocketLink

__all__ = ["Board", "Doors", "Endpoint", "Server", "SocketLink"]
