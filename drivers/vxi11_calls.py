"""VXI-11 calls that end by one deadline, under pyvisa-py, whose own go on for as long as bytes come.

Its client looks at the clock only when nothing came: a byte now and then, fragments without a last one or replies to
other calls keep it for ever, and it waits a second longer than it was told. Here a call ends with its deadline, and a
reply that stopped half-way is taken up by the next call; replies to earlier calls are known by their number.
"""

from __future__ import annotations

import struct

import pyvisa
from pyvisa.constants import StatusCode
from pyvisa_py.protocols.rpc import RPCError
from pyvisa_py.tcpip import Vxi11CoreClient

from drivers.deadline_socket import DeadlineSocket

MOST_BYTES = 1 << 21
"""Of a reply: what is asked for at once is shorter."""
_CHUNK = 1 << 16
_HEADER = struct.Struct(">I")
_LAST = 1 << 31


class Vxi11Calls:
    """Takes the place of a client's way to call: record marking of RFC 5531, section 11.

    Args:
        client: An open one; it keeps its numbers, packer and unpacker.

    Attributes:
        deadline: Point on the monotonic clock by which every call ends.
    """

    def __init__(self, client: Vxi11CoreClient) -> None:
        self._client, self._wire = client, DeadlineSocket(client.sock)
        self._chunk = memoryview(bytearray(_CHUNK))
        self._held, self._whole = bytearray(), bytearray()
        self._left, self._last = 0, False
        client.do_call = self._call

    @property
    def deadline(self) -> float:
        """As set."""
        return self._wire.deadline

    @deadline.setter
    def deadline(self, at: float) -> None:
        self._wire.deadline = at

    def _call(self) -> None:
        """Sends what is packed and leaves its reply, after the header, to be unpacked.

        Raises:
            VisaIOError: not before the deadline. OSError, RPCError: what came is no reply.
        """
        client = self._client
        request = client.packer.get_buf()
        try:
            self._wire.sendall(_HEADER.pack(len(request) | _LAST) + request)
            while True:
                client.unpacker.reset(self._record())
                number, _ = client.unpacker.unpack_replyheader()
                if number == client.lastxid:
                    return
                if number > client.lastxid:
                    raise RPCError(f"a reply to call {number}, the last one was {client.lastxid}")
        except TimeoutError as error:
            raise pyvisa.VisaIOError(StatusCode.error_timeout) from error

    def _record(self) -> bytes:
        while not (self._last and not self._left):
            wanted = self._left or _HEADER.size
            if not self._held or (not self._left and len(self._held) < wanted):
                self._receive()
            elif self._left:
                self._whole += self._held[:wanted]
                self._left -= min(wanted, len(self._held))
                del self._held[:wanted]
            else:
                head = _HEADER.unpack_from(self._held)[0]
                del self._held[:wanted]
                self._last, self._left = bool(head & _LAST), head & ~_LAST
                if len(self._whole) + self._left > MOST_BYTES:
                    raise ConnectionError(f"a reply of {len(self._whole) + self._left} bytes and more")
        record, self._last = bytes(self._whole), False
        self._whole.clear()
        return record

    def _receive(self) -> None:
        count = self._wire.recv_into(self._chunk)
        self._held += self._chunk[:count]


def calls_of(interface: object) -> Vxi11Calls | None:
    """Puts calls that keep deadlines under a pyvisa-py VXI-11 session; None of another."""
    return Vxi11Calls(interface) if isinstance(interface, Vxi11CoreClient) else None
