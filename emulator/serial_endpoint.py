"""The device's end of the serial protocol: bytes in, bytes out (PROTOCOL.md sections 2 to 5)."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

from emulator.machine import Machine
from emulator.refused import Refused
from firmware_specs.codes import RULES, VERSION, DeviceFlag, ErrorCode, Kind, NakReason
from firmware_specs.fragments import Assembly, frame_count
from firmware_specs.frame import DELIMITER, MAX_PAYLOAD, Damaged, Decoder, Frame, encode
from firmware_specs.messages import Credit, MalformedError, Nak, Refusal, Sync, Synced

BURST = 4
"""Frames of a reply that are made at once."""
REQUEST, REPLY = int(Kind.REQUEST), int(Kind.REPLY)
REPLAYED = int(DeviceFlag.REPLAYED)
_NAMES = {int(opcode): opcode.name for opcode in RULES}


class _Answer(NamedTuple):
    """A reply as the cache keeps it; session and flags are added when it is sent."""

    kind: int
    opcode: int
    payload: bytes


@dataclass(slots=True)
class _Sending:
    """A reply on its way out."""

    answer: _Answer
    sequence: int
    flags: int
    next: int = 0
    credited: int = 0

    @property
    def count(self) -> int:
        """Frames of it."""
        return frame_count(len(self.answer.payload))


class SerialEndpoint:
    """One serial link of a device.

    Args:
        machine: Executes the requests.
        door: Name of the link, for ownership and the journal.
        window: Frames it takes in without credit; as the datasheet says where not given.
    """

    def __init__(self, machine: Machine, door: str, window: int | None = None) -> None:
        self.machine = machine
        self.door = door
        self.session = 0
        self._window = machine.device.sheet.link.window if window is None else window
        self._kept = 2 * self._window
        self._host_window = 2
        self._decoder = Decoder()
        self._boot = machine.device.boot
        self._out: list[bytes] = []
        self._forget()

    def _forget(self) -> None:
        """A new session starts from nothing."""
        self._last = 0
        self._cache: dict[int, _Answer] = {}
        self._drop_traffic()

    def _drop_traffic(self) -> None:
        self._assembly: Assembly | None = None
        self._credit_at = 0
        self._sending: deque[_Sending] = deque()
        self._naked = False
        self._unknown: tuple[int, int] | None = None

    @property
    def owns(self) -> bool:
        """Has this link the outputs?"""
        return self.machine.device.outputs.owner == self.door

    def feed(self, data: bytes) -> bytes:
        """Bytes the device sends in answer to `data`."""
        return b"".join(self.answers(data))

    def answers(self, data: bytes) -> Iterable[bytes]:
        """The same in portions, so that the first one is under way while the next is made."""
        device = self.machine.device
        for item in self._decoder.feed(data):
            if self._boot != device.boot:  # a reset ended all sessions
                self._boot, self.session = device.boot, 0
                self._forget()
            if isinstance(item, Damaged):
                self._damaged(item.reason)
            else:
                self._take(item)
                self.machine.end_reset()
        return self._bursts() if self._sending else (self._sent(),)

    def _bursts(self) -> Iterator[bytes]:
        while self._pump():
            yield self._sent()
        yield self._sent()

    def nak(self) -> bytes:
        """A NAK nobody asked for: go on from the frame expected next."""
        self._naked = False
        if self.session:
            self._nak_once(NakReason.DAMAGED)
        return self._sent()

    def closed(self) -> None:
        """The link went away; what was half received is gone, the session may be continued (3.2)."""
        self._decoder = Decoder()
        self._drop_traffic()
        self.machine.device.link_closed(self.door)

    def _sent(self) -> bytes:
        out, self._out = self._out, []
        return out[0] if len(out) == 1 else b"".join(out)

    def _take(self, frame: Frame) -> None:
        if frame.kind == REQUEST:
            if frame.session != self.session or not self.session:
                self._no_session(frame)
                return
            self.machine.device.outputs.feed(self.door)
            self._request(frame)
        elif frame.kind == Kind.SYNC:
            self._sync(frame)
        elif frame.kind == Kind.CREDIT and frame.session == self.session:
            self.machine.device.outputs.feed(self.door)
            self._credit(frame)
        elif frame.kind != Kind.CREDIT:
            self._damaged(f"kind {frame.kind} is none a device takes")

    def _no_session(self, frame: Frame) -> None:
        """One NAK a request (5.4)."""
        if self._unknown != (frame.session, frame.sequence):
            self._unknown = (frame.session, frame.sequence)
            self._nak(NakReason.NO_SESSION, 0, 0, frame.session)

    def _damaged(self, reason: str) -> None:
        device = self.machine.device
        device.damaged += 1
        device.journal.note("link", f"damaged frame: {reason}", self.door)
        if self.session:
            self._nak_once(NakReason.DAMAGED)

    def _sync(self, frame: Frame) -> None:
        try:
            sync = Sync.parse(frame.payload)
        except MalformedError as error:
            self._damaged(f"SYNC: {error}")
            return
        if not frame.session or frame.sequence or frame.opcode or frame.parts != 1:
            self._damaged(f"SYNC with nonce {frame.session}, sequence {frame.sequence}, {frame.parts} frames")
            return
        device = self.machine.device
        version = VERSION if sync.lowest <= VERSION <= sync.highest else 0
        repeated = version != 0 and frame.session == self.session
        continued = repeated or bool(version and sync.previous and sync.previous == self.session)
        if not continued:
            self._forget()
            device.disarm(f"new session on {self.door}")
        if not repeated:
            self._drop_traffic()
            how = "continued" if continued else "opened" if version else "closed, no version in common"
            device.journal.note("link", f"session {how}: {sync.owner}", self.door)
        self._naked, self._unknown = False, None
        self.session, device.owner = (frame.session, sync.owner) if version else (0, "")
        self._host_window = sync.window
        device.outputs.feed(self.door)
        sizes = (device.boot, device.max_request, device.max_reply, self._kept)
        synced = Synced(version, continued, self._window, self._last, *sizes)
        self._send(Frame(Kind.SYNCED, 0, self.machine.flags, frame.session, 0, payload=synced.pack()))

    def _request(self, frame: Frame) -> None:
        expected = self._last + 1
        if frame.sequence <= self._last:
            if frame.part == frame.parts - 1:
                self._replay(frame)
            return
        if frame.sequence > expected:
            self._nak_once(NakReason.GAP)
            return
        if frame.part < frame.parts - 1 and len(frame.payload) < MAX_PAYLOAD:
            self._damaged(f"frame {frame.part} of {frame.parts} carries {len(frame.payload)} bytes")
            return
        if frame.parts == 1 and self._assembly is None:  # most requests
            self._naked = False
            self._complete(frame, frame.payload)
            return
        if self._assembly is None and frame.part == 0:
            self._assembly, self._credit_at = Assembly(frame), 0
        assembly = self._assembly
        if assembly is None or frame.part > assembly.next:
            self._nak_once(NakReason.GAP)
        elif not assembly.belongs(frame):
            self._damaged("frames of one request differ in opcode or number of parts")
        elif assembly.take(frame):
            self._naked = False
            self._advance(assembly, frame)

    def _advance(self, assembly: Assembly, frame: Frame) -> None:
        if frame.parts * MAX_PAYLOAD > (most := self.machine.device.max_request) + MAX_PAYLOAD:
            words = f"request of {frame.parts} frames, at most {most} bytes"
            self._finish(frame, _refusal(frame.opcode, Refused(ErrorCode.TOO_LARGE, words, most)))
        elif assembly.complete:
            self._complete(frame, assembly.message)
        elif assembly.next - self._credit_at >= (self._window + 1) // 2:
            self._credit_at = assembly.next
            payload = Credit(assembly.next).pack()
            self._send(Frame(Kind.CREDIT, 0, self.machine.flags, self.session, frame.sequence, payload=payload))

    def _complete(self, frame: Frame, message: bytes) -> None:
        self.machine.device.journal.note("request", _NAMES.get(frame.opcode, "unknown"), self.door)
        self._finish(frame, self._execute(frame.opcode, message))

    def _execute(self, opcode: int, message: bytes) -> _Answer:
        try:
            return _Answer(REPLY, opcode, self.machine.execute(opcode, message, self.door))
        except Refused as refused:
            return _refusal(opcode, refused)

    def _finish(self, frame: Frame, answer: _Answer) -> None:
        self._assembly = None
        self._last = frame.sequence
        self._cache[frame.sequence] = answer
        if len(self._cache) > self._kept:
            del self._cache[next(iter(self._cache))]  # the oldest
        self._queue(frame.sequence, answer, 0)

    def _replay(self, frame: Frame) -> None:
        """The kept reply of a duplicate, from its first frame (5.2)."""
        words = f"transaction {frame.sequence} was executed, its reply is no longer kept"
        stale = _refusal(frame.opcode, Refused(ErrorCode.STALE, words, self._last))
        answer = self._cache.get(frame.sequence, stale)
        self.machine.device.journal.note("link", f"duplicate of transaction {frame.sequence}", self.door)
        self._sending = deque(s for s in self._sending if s.sequence != frame.sequence)
        self._out.append(DELIMITER)  # before what is sent again (2.6)
        self._queue(frame.sequence, answer, 0 if answer is stale else REPLAYED)

    def _queue(self, sequence: int, answer: _Answer, flags: int) -> None:
        if not self._sending and len(answer.payload) <= MAX_PAYLOAD:  # nothing to wait for
            flags |= self.machine.flags
            self._send(Frame(answer.kind, answer.opcode, flags, self.session, sequence, 0, 1, answer.payload))
            return
        self._sending.append(_Sending(answer, sequence, flags))

    def _credit(self, frame: Frame) -> None:
        try:
            credit = Credit.parse(frame.payload)
        except MalformedError as error:
            self._damaged(f"CREDIT: {error}")
            return
        if frame.opcode or frame.parts != 1:
            self._damaged(f"CREDIT of {frame.parts} frames, opcode {frame.opcode}")
            return
        for sending in self._sending:
            if sending.sequence == frame.sequence:
                sending.credited = max(sending.credited, min(credit.next, sending.next))

    def _pump(self) -> bool:
        """Sends a burst of what the host's window allows; a reply waits until the one before it is out."""
        if not self._sending:
            return False
        sending = self._sending[0]
        count = sending.count
        first = sending.next
        sending.next = min(count, sending.credited + self._host_window, first + BURST)
        if sending.next == count:
            self._sending.popleft()
        flags, (kind, opcode, payload) = sending.flags | self.machine.flags, sending.answer
        for part in range(first, sending.next):
            piece = payload[part * MAX_PAYLOAD : (part + 1) * MAX_PAYLOAD]
            self._send(Frame(kind, opcode, flags, self.session, sending.sequence, part, count, piece))
        return sending.next > first

    def _nak_once(self, reason: NakReason) -> None:
        if not self._naked:
            self._naked = True
            part = self._assembly.next if self._assembly else 0
            self._nak(reason, self._last + 1, part, self.session)

    def _nak(self, reason: NakReason, sequence: int, part: int, session: int) -> None:
        self._send(Frame(Kind.NAK, 0, self.machine.flags, session, 0, payload=Nak(reason, sequence, part).pack()))

    def _send(self, frame: Frame) -> None:
        self._out.append(encode(frame))


def _refusal(opcode: int, refused: Refused) -> _Answer:
    return _Answer(Kind.ERROR, opcode, Refusal(int(refused.code), refused.detail, refused.text).pack())
