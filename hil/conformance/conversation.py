"""A host that may misbehave: frames as they are, for checks that a driver's link would never let through.

It follows PROTOCOL.md where a check does not ask otherwise, and believes nothing: every frame of the device is kept
with the bytes it came as.
"""

from __future__ import annotations

import contextlib
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from drivers.errors import CorruptFrame, DeviceError, LinkTimeout
from drivers.transport import Transport
from firmware_specs.codes import VERSION, ErrorCode, Kind, Opcode
from firmware_specs.fragments import Assembly, cut
from firmware_specs.frame import DELIMITER, MAX_FRAME, Damaged, Frame, decode, encode
from firmware_specs.messages import Credit, MalformedError, Nak, Refusal, Sync, Synced
from hil.conformance.diagnosis import LAST, of_silence

T = TypeVar("T")
OWN_WINDOW = 8
MAX_HEARD = 1 << 16
"""Bytes looked at where no session could be opened."""


class Failed(AssertionError):
    """The device does not do what the text demands; the message says what was seen."""


class NoSession(Failed):
    """No session is open: nothing else can be asked."""


class Skipped(Exception):
    """The check does not apply to this device; the message says why."""


@dataclass(frozen=True)
class Answer:
    """A complete reply or refusal.

    Attributes:
        kind: REPLY or ERROR.
        opcode: As the device sent it.
        flags: Of the last frame.
        payload: Joined.
    """

    kind: int
    opcode: int
    flags: int
    payload: bytes


Told = Callable[[int, bytes], None]
"""Is told opcode and payload of a request before it goes out."""


def not_told(opcode: int, payload: bytes) -> None:
    """Nobody wants to know."""


class Conversation:
    """Frames over a transport.

    Args:
        transport: An open wire.
        patience_s: How long to wait for one answer.
    """

    has_details = True

    def __init__(self, transport: Transport, patience_s: float = 2.0) -> None:
        self.transport = transport
        self.patience_s = patience_s
        self.session = 0
        self.sequence = 0
        self.window = 2
        self.max_request = self.max_reply = 4056
        self.damaged: list[Damaged] = []
        self.longest = 0
        self.flags = 0
        self.told: Told = not_told
        self._heard = b""

    def send(self, data: bytes) -> None:
        """Bytes as they are."""
        self.transport.write(data, time.monotonic() + self.patience_s)

    def send_frame(self, frame: Frame) -> None:
        """One frame, encoded."""
        self.send(encode(frame))

    def receive(self, wait_s: float | None = None) -> Frame | None:
        """The next sound frame, or None after the wait; damaged ones are kept in `damaged`."""
        deadline = time.monotonic() + (self.patience_s if wait_s is None else wait_s)
        while True:
            try:
                encoded = self.transport.read_until(DELIMITER, MAX_FRAME, deadline)
            except LinkTimeout:
                return None
            except CorruptFrame as error:
                raise Failed(f"a frame longer than {MAX_FRAME} bytes: {error}") from error
            self.longest = max(self.longest, len(encoded))
            self._heard += encoded
            if encoded == DELIMITER:
                continue
            found = decode(encoded[:-1])
            if isinstance(found, Frame):
                self.flags = found.flags
                return found
            self.damaged.append(found)

    def drain(self) -> None:
        """Throws away what an earlier check left on the wire."""
        self.transport.drain(0.02, time.monotonic() + self.patience_s)

    def silence(self, wait_s: float = 0.2) -> None:
        """Demands that the device sends nothing for a while, and lets that while pass."""
        until = time.monotonic() + wait_s
        frame = self.receive(wait_s)
        time.sleep(max(0.0, until - time.monotonic()))  # a loopback has nothing to wait for
        if frame is not None:
            raise Failed(f"nothing was asked, and a frame of kind {frame.kind}, opcode 0x{frame.opcode:02x} came")

    def sync(self, *, previous: int = 0, nonce: int | None = None) -> Synced:
        """Opens a session, or continues `previous`."""
        nonce = nonce or secrets.randbelow(0xFFFFFFFE) + 1
        answer = self.sync_raw(nonce, Sync(window=OWN_WINDOW, previous=previous, owner="hil conform"))
        if answer.version == 0:
            came = f"{len(self._heard)} bytes came, the last: {self._heard[-LAST:].hex(' ')}"
            raise NoSession(f"SYNC offered version {VERSION} and was answered with version 0, none in common ({came})")
        self.session, self.window = nonce, answer.window
        self.sequence = answer.last
        self.max_request, self.max_reply = answer.max_request, answer.max_reply
        return answer

    def sync_raw(self, nonce: int, sync: Sync) -> Synced:
        """Sends a SYNC and waits for its SYNCED; frames of older sessions are dropped."""
        self._heard, data = b"", DELIMITER + encode(Frame(Kind.SYNC, 0, 0, nonce, 0, 0, 1, sync.pack()))
        self.send(data)
        until = time.monotonic() + self.patience_s
        while (frame := self.receive(max(0.0, until - time.monotonic()))) is not None:
            if frame.kind == Kind.SYNCED and frame.session == nonce:
                return parsed(Synced, frame.payload, "SYNCED")
        raise NoSession(f"SYNC was not answered within {self.patience_s:g} s: {self._diagnosed(len(data), nonce)}")

    def _diagnosed(self, sent: int, nonce: int) -> str:
        """What came instead of SYNCED, with what of it is no frame yet."""
        heard = self._heard
        with contextlib.suppress(DeviceError):
            while len(heard) < MAX_HEARD:
                heard += self.transport.read_some(time.monotonic() + 0.01)
        return of_silence(sent, heard, nonce)

    def request(self, opcode: int, payload: bytes = b"") -> Answer:
        """A transaction by the rules: sends, gives and obeys credit, collects the answer."""
        self.told(opcode, payload)
        self.sequence += 1
        return self.exchange(cut(Kind.REQUEST, opcode, 0, self.session, self.sequence, payload))

    def exchange(self, frames: list[Frame]) -> Answer:
        """Sends the frames of one request within the window and collects its answer."""
        sent, allowed = 0, self.window
        reply: Assembly | None = None
        while True:
            while sent < min(len(frames), allowed):
                self.send_frame(frames[sent])
                sent += 1
            frame = self.receive()
            if frame is None:
                raise Failed(
                    f"opcode 0x{frames[0].opcode:02x} ({len(frames)} frames) was not answered in {self.patience_s} s"
                )
            if frame.session != self.session:
                continue
            if frame.kind == Kind.CREDIT:
                allowed = max(allowed, parsed(Credit, frame.payload, "CREDIT").next + self.window)
            elif frame.kind == Kind.NAK:
                nak = parsed(Nak, frame.payload, "NAK")
                raise Failed(f"NAK reason {nak.reason} for a sound request, at sequence {nak.sequence}")
            elif frame.kind in (Kind.REPLY, Kind.ERROR) and frame.sequence == frames[0].sequence:
                reply = reply or Assembly(frame)
                if not reply.take(frame):
                    raise Failed(f"frame {frame.part} of a reply, expected {reply.next} of {reply.first.parts}")
                if reply.complete:
                    return Answer(frame.kind, frame.opcode, frame.flags, reply.message)
                if reply.next % (OWN_WINDOW // 2) == 0:
                    self._credit(frame, reply.next)
            else:
                raise Failed(f"frame of kind {frame.kind}, sequence {frame.sequence}, expected {frames[0].sequence}")

    def ask(self, opcode: Opcode, payload: bytes = b"") -> bytes:
        """The payload of a reply; a refusal fails the check."""
        answer = self.request(opcode, payload)
        if answer.kind == Kind.ERROR:
            refusal = parsed(Refusal, answer.payload, "ERROR")
            raise Failed(f"{opcode.name} was refused with 0x{refusal.code:02x}: {refusal.text}")
        if answer.opcode != opcode:
            raise Failed(f"{opcode.name} was answered with opcode 0x{answer.opcode:02x}")
        return answer.payload

    def refused(self, opcode: int, payload: bytes, *codes: ErrorCode) -> Refusal:
        """Demands that a request is refused with one of these codes."""
        answer = self.request(opcode, payload)
        wanted = " or ".join(code.name for code in codes)
        if answer.kind != Kind.ERROR:
            raise Failed(f"opcode 0x{opcode:02x} was accepted, expected {wanted}")
        refusal = parsed(Refusal, answer.payload, "ERROR")
        if refusal.code not in codes:
            raise Failed(f"opcode 0x{opcode:02x} was refused with 0x{refusal.code:02x} ({refusal.text}), not {wanted}")
        return refusal

    def nak(self, wait_s: float | None = None, session: int | None = None) -> Nak:
        """Demands that the next frame is a NAK, under the open session's nonce or the one given (5.4)."""
        frame = self.receive(wait_s)
        if frame is None:
            raise Failed("no NAK came")
        if frame.kind != Kind.NAK:
            raise Failed(f"a frame of kind {frame.kind} came, expected a NAK")
        wanted = self.session if session is None else session
        demand(frame.session == wanted, f"NAK with session 0x{frame.session:08x}, expected 0x{wanted:08x}")
        return parsed(Nak, frame.payload, "NAK")

    def nak_among_credit(self) -> Nak:
        """Demands that a NAK comes, behind CREDIT if the device gives any."""
        until = time.monotonic() + self.patience_s
        while (frame := self.receive(max(0.0, until - time.monotonic()))) is not None:
            if frame.kind == Kind.NAK:
                return parsed(Nak, frame.payload, "NAK")
            demand(frame.kind == Kind.CREDIT, f"a frame of kind {frame.kind} came, expected a NAK")
        raise Failed("no NAK came")

    def _credit(self, frame: Frame, next_part: int) -> None:
        self.send_frame(Frame(Kind.CREDIT, 0, 0, self.session, frame.sequence, 0, 1, Credit(next_part).pack()))


def parsed(kind: type[T], payload: bytes, what: str) -> T:
    """A payload as a value; one that does not parse fails the check."""
    try:
        return kind.parse(payload)  # type: ignore[attr-defined]
    except MalformedError as error:
        raise Failed(f"payload of {what}: {error}") from error


def demand(holds: bool, seen: str) -> None:
    """Fails the check with what was seen, unless it holds."""
    if not holds:
        raise Failed(seen)
