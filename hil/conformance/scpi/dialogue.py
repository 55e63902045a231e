"""A host that may misbehave towards an instrument: program messages as they are, answers as they come."""

from __future__ import annotations

import re
import time

from drivers.errors import CorruptFrame, LinkTimeout
from drivers.transport import Transport
from firmware_specs.scpi import BlockError, data_length, header_length
from hil.conformance.conversation import Failed, demand

MAX_LINE = 1 << 20
ENTRY = re.compile(r'([-+]?\d+),"((?:[^"]|"")*)"')


class Dialogue:
    """Messages over a transport.

    Args:
        transport: An open wire.
        patience_s: How long to wait for one answer.
    """

    def __init__(self, transport: Transport, patience_s: float = 2.0) -> None:
        self.transport = transport
        self.patience_s = patience_s

    @property
    def stream(self) -> bool:
        """Is it a link whose messages are ended by LF alone, and may arrive in pieces?"""
        return not self.transport.address.upper().endswith("INSTR")

    def send(self, message: str | bytes, more_s: float = 0.0) -> None:
        """One message, its LF added; a long one may take so much longer."""
        self.send_raw((message.encode() if isinstance(message, str) else message) + b"\n", more_s)

    def send_raw(self, data: bytes, more_s: float = 0.0) -> None:
        """Bytes as they are."""
        self.transport.write(data, time.monotonic() + self.patience_s + more_s)

    def line(self, what: str = "the message", more_s: float = 0.0) -> str:
        """The next line, without its LF."""
        patience_s = self.patience_s + more_s
        try:
            data = self.transport.read_until(b"\n", MAX_LINE, time.monotonic() + patience_s)
        except LinkTimeout as error:
            raise Failed(f"{what} was not answered in {patience_s:g} s") from error
        except CorruptFrame as error:
            raise Failed(f"{what}: {error}") from error
        return data.decode(errors="replace").rstrip("\r\n")

    def ask(self, message: str | bytes) -> str:
        """The one line that answers a message."""
        self.send(message)
        return self.line(_short(message))

    def echoed(self, nonce: str) -> str:
        """What a nonce is answered with; on a plain socket one line may have been on its way before."""
        message = f'SYST:ECHO? "{nonce}"'
        answer = self.ask(message).strip('"')
        return self.line(message).strip('"') if self.stream and answer != nonce else answer

    def fields(self, message: str) -> list[str]:
        """The comma-separated fields of an answer."""
        return self.ask(message).split(",")

    def number(self, message: str) -> float:
        """The number that answers a message."""
        answer = self.ask(message)
        try:
            return float(answer)
        except ValueError as error:
            raise Failed(f"{message} was answered with {answer!r}, a number was expected") from error

    def block(self, message: str | bytes) -> bytes:
        """The bytes of the one block that answers a message."""
        self.send(message)
        return self.take_block(_short(message))

    def take_block(self, what: str) -> bytes:
        """The bytes of the block that comes next, up to and with the LF behind it."""
        try:
            head = self._exactly(2)
            head += self._exactly(header_length(head) - 2)
            length = data_length(head)
            if length is None:
                raise Failed(f"{what} was answered with an indefinite block")
            data = self._exactly(length)
        except (BlockError, LinkTimeout) as error:
            raise Failed(f"{what}: {error}") from error
        demand(self.line(what) == "", f"{what}: something follows the block of {length} bytes")
        return data

    def silence(self, wait_s: float) -> None:
        """Demands that nothing comes for a while, and lets that while pass."""
        if not self.stream:  # a message nobody asked for would be the answer to the next one
            time.sleep(wait_s)
            return
        until = time.monotonic() + wait_s
        try:
            data = self.transport.read_piece(b"\n", MAX_LINE, until)
        except LinkTimeout:
            data = b""
        time.sleep(max(0.0, until - time.monotonic()))  # a loopback has nothing to wait for
        demand(not data, f"nothing was asked, and {data[:40]!r} came")

    def errors(self) -> list[tuple[int, str]]:
        """Takes all entries of the error queue; [] for none."""
        text = self.ask(":SYST:ERR:ALL?")
        found = [(int(code), words) for code, words in ENTRY.findall(text)]
        whole = ",".join(f'{code},"{words}"' for code, words in ENTRY.findall(text))
        demand(bool(found) and whole == text, f"SYSTem:ERRor:ALL? answered {text!r}")
        return [] if found == [(0, "No error")] else found

    def refused(self, message: str | bytes, *codes: int) -> str:
        """Demands that a message without an answer leaves one error of these codes; its words."""
        self.send(message)
        found = self.errors()
        wanted = " or ".join(map(str, codes))
        demand(len(found) == 1 and found[0][0] in codes, f"{_short(message)} left {found}, expected {wanted}")
        return found[0][1]

    def accepted(self, message: str | bytes) -> None:
        """Demands that a message without an answer leaves no error."""
        self.send(message)
        found = self.errors()
        demand(not found, f"{_short(message)} left {found}")

    def _exactly(self, count: int) -> bytes:
        return self.transport.read_exact(count, time.monotonic() + self.patience_s) if count else b""


def _short(message: str | bytes) -> str:
    text = message if isinstance(message, str) else message.decode("ascii", errors="replace")
    return text if len(text) <= 60 else text[:60] + "..."
