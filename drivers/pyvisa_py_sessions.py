"""What lies under a session of pyvisa-py; other libraries keep theirs to themselves."""

from __future__ import annotations

import socket
import sys
from typing import TYPE_CHECKING

from pyvisa.resources import MessageBasedResource

from drivers.deadline_socket import DeadlineSocket

if TYPE_CHECKING:
    from pyvisa_py.protocols.hislip import Instrument

    from drivers.vxi11_calls import Vxi11Calls


def hislip_of(resource: MessageBasedResource) -> Instrument | None:
    """The HiSLIP client under a pyvisa-py session.

    Its device clear takes a reply that was on its way for the acknowledgement, and is out of step from then on. The
    library is not imported for the question: that alone would look for the machine's USB devices, in a thread.
    """
    interface, loaded = _interface_of(resource), sys.modules.get("pyvisa_py.protocols.hislip")
    return interface if loaded is not None and isinstance(interface, loaded.Instrument) else None


def with_deadlines(resource: MessageBasedResource) -> tuple[DeadlineSocket | Vxi11Calls, ...]:
    """Puts what keeps deadlines under a HiSLIP or VXI-11 session of pyvisa-py; nothing under others."""
    client = hislip_of(resource)
    if client is None:
        from drivers.vxi11_calls import calls_of

        calls = calls_of(_interface_of(resource))
        return () if calls is None else (calls,)
    client._sync, client._async = DeadlineSocket(client._sync), DeadlineSocket(client._async)
    return client._sync, client._async


def socket_of(resource: MessageBasedResource) -> socket.socket | None:
    """The socket under a pyvisa-py SOCKET session; other libraries keep theirs to themselves."""
    wire = _interface_of(resource)
    return wire if isinstance(wire, socket.socket) else None


def _interface_of(resource: MessageBasedResource) -> object:
    """What a pyvisa-py session works with; None of other libraries."""
    return getattr(getattr(resource.visalib, "sessions", {}).get(resource.session), "interface", None)
