"""Opening a port by pyserial's URL: what each handler takes, the control lines, and what a handler may write.

Raising DTR resets many a board (it is wired to the reset line through a capacitor), and so does the port's opening
itself where the system lowered it at the last close.
"""

from __future__ import annotations

import contextlib
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal
from urllib.parse import parse_qs, urlsplit

import serial
from serial.urlhandler import protocol_socket

from drivers.errors import OutOfRange
from drivers.library_warnings import unheard
from firmware_specs import platform

SLICE_S = 0.01
WRITE_S = 5.0
CLOSE_S = 0.5
Line = Literal["on", "off", "leave"]


@dataclass(frozen=True)
class ControlLines:
    """What becomes of a port's control lines when it opens.

    Attributes:
        dtr: `on` as pyserial does it, `off`, or `leave`: not touched, and not lowered by the system at the close.
        rts: The same.
    """

    dtr: Line = "on"
    rts: Line = "on"


def opened(url: str, baud: int, lines: ControlLines) -> Any:
    """The open port; raises whatever pyserial does."""
    bare = "://" not in url
    # `port` raises ValueError itself for one that cannot be; pyserial would leave a socket open
    if url.lower().startswith(("socket://", "rfc2217://")) and urlsplit(url).port is None:
        raise ValueError(f"{url} names no port")
    with unheard():  # pyserial starts its threads in the old way
        port: Any = serial.serial_for_url(
            url,
            baudrate=baud,
            timeout=SLICE_S,
            write_timeout=None if url.lower().startswith("rfc2217://") else WRITE_S,  # that handler has none
            exclusive=True if bare else None,
            do_not_open=True,
        )
        for name, wanted in (("dtr", lines.dtr), ("rts", lines.rts)):
            if wanted == "leave":
                setattr(port, f"_update_{name}_state", lambda: None)
            elif wanted == "off":
                setattr(port, name, False)
        port.open()
    if "leave" in (lines.dtr, lines.rts):
        platform.keep_lines_at_close(port)
    connection = socket_of(port)
    if connection is not None:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return port


def is_watched(url: str) -> bool:
    """Is it a handler that sees only what goes through pyserial?"""
    return url.lower().startswith(("spy://", "alt://"))


def refuse_replacing(url: str, address: str) -> None:
    """Raises `OutOfRange` where `spy://...?file=` names a file that is there: pyserial would empty it."""
    if url.lower().startswith("spy://"):
        for name in parse_qs(urlsplit(url).query).get("file", []):
            if Path(name).exists() and Path(name).stat().st_size:
                raise OutOfRange(
                    f"{name} is there, and spy:// would replace it; nothing was opened",
                    device=address,
                    todo="Name a new file. A failed device's traffic is kept without spy://, too: see the flight log",
                )


def finish_watching(port: Any) -> None:
    """Puts what a spy has written where its reader can see it."""
    output = getattr(getattr(port, "formatter", None), "output", None)
    if output is not None:
        with contextlib.suppress(OSError, ValueError):
            output.flush()
            if getattr(output, "fileno", lambda: 2)() > 2:
                output.close()


def socket_of(port: Any) -> socket.socket | None:
    """The connection of a `socket://` URL, which carries the bytes as they are; that of `rfc2217://` does not."""
    return getattr(port, "_socket", None) if isinstance(port, protocol_socket.Serial) else None
