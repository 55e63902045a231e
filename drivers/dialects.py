"""What is spoken on a wire, the registry's `dialects`: `f(wire, where, options) -> drivers.dialect.Dialect`."""

from __future__ import annotations

import os
import socket

from drivers.dialect import Dialect
from drivers.doors import Address, Door, Options
from drivers.framed import Framed
from drivers.link import FramedLink
from drivers.owner_file import user_name
from drivers.scpi_dialect import Scpi
from drivers.scpi_link import ScpiLink
from drivers.transport import Transport
from firmware_specs.registry import find


def frames(wire: Transport, where: Address, options: Options) -> Dialect:
    """Frames of PROTOCOL.md, with sequence numbers and CRC-32."""
    door: Door = find("transports", where.scheme)
    return Framed(FramedLink(wire, owner=whoami()), options.timeout_s, door.byte_s(where))


def scpi(wire: Transport, where: Address, options: Options) -> Dialect:
    """Messages of SCPI.md."""
    door: Door = find("transports", where.scheme)
    return Scpi(ScpiLink(wire), options.timeout_s, door.byte_s(where))


def whoami() -> str:
    """Who asks, for the device's records."""
    return f"{user_name()}@{socket.gethostname()} process {os.getpid()}"
