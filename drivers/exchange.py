"""The host's side of a row of transactions, without input or output: frames that may go out, and what came in.

PROTOCOL.md sections 4 and 5: window, credits, NAK, reassembly, duplicates. `FramedLink` owns the wire and the clock.
"""

from __future__ import annotations

from collections.abc import Sequence

from drivers.portions import UNBOUNDED
from drivers.sign_of_life import credit
from firmware_specs.codes import Kind, NakReason, Opcode
from firmware_specs.fragments import MAX_COUNT, Assembly, frame_count
from firmware_specs.frame import DELIMITER, MAX_PAYLOAD, Frame, encode
from firmware_specs.messages import Credit, MalformedError, Nak

BURST = 4
"""Frames that go out at once: the device takes them in while the next ones are made."""
REQUEST, REPLY, ERROR = int(Kind.REQUEST), int(Kind.REPLY), int(Kind.ERROR)


class Call:
    """One transaction under way.

    Attributes:
        opcode: The verb.
        payload: Its request.
        sequence: Its number.
        count: Frames of the request.
        sent: Frames that went out and were not asked for again.
        credited: Frames the device is known to have taken in.
        kind: REPLY or ERROR, 0 before the whole answer is here.
        answer: Its payload.
        incoming: An answer of several frames as far as it has come.
        missed: Part of the answer was seen to be lost.
        uncredited: Frames of the answer taken in since the last credit.
    """

    sent = credited = kind = uncredited = 0
    answer = b""
    incoming: Assembly | None = None
    missed = False

    def __init__(self, opcode: Opcode, payload: bytes, sequence: int) -> None:
        self.opcode = opcode
        self.payload = payload
        self.sequence = sequence
        self.count = frame_count(len(payload))

    def frame(self, session: int, index: int) -> bytes:
        """Bytes of one frame of the request."""
        payload = self.payload
        piece = payload if self.count == 1 else payload[MAX_PAYLOAD * index : MAX_PAYLOAD * (index + 1)]
        return encode(Frame(REQUEST, self.opcode, 0, session, self.sequence, index, self.count, piece))


class Exchange:
    """Transactions in flight, in order.

    Args:
        session: Nonce of the session.
        first: Sequence number of the first transaction.
        requests: Verb and payload of each.
        device_window: Frames the device takes in.
        host_window: Frames it was told that we take in.
        most: Bytes of the longest reply that can be right.
        ahead: Requests that may be under way together.

    Attributes:
        current: The first transaction without a complete answer; None when all are done.
        session_lost: The device does not know the session.
        resent: Frames that were asked for again.
        progress: Grows with every part of an answer and every frame the device is newly known to have.
        surplus: A reply was longer than can be right, in words.
    """

    session_lost = _all_sent = _asked_again = False
    resent = _next = progress = 0
    _urgent = b""
    surplus = ""

    def __init__(
        self,
        session: int,
        first: int,
        requests: Sequence[tuple[Opcode, bytes]],
        device_window: int,
        host_window: int,
        most: int = MAX_COUNT * MAX_PAYLOAD,
        ahead: int = UNBOUNDED,
    ) -> None:
        self.calls = [Call(opcode, payload, first + n) for n, (opcode, payload) in enumerate(requests)]
        self.current: Call | None = self.calls[0]
        self.session = session
        self._window = device_window
        self._most = most
        self._ahead = ahead
        self._credit_after = -(-host_window // 2)

    def outgoing(self) -> bytes:
        """A burst of the frames that the window lets out now; b"" when nothing may go out before something comes."""
        if self._all_sent:
            return b""
        only = self.calls[0]
        if only.count == 1 and len(self.calls) == 1 and not self._urgent:  # most transactions: one frame each way
            self._all_sent, only.sent = True, 1
            return only.frame(self.session, 0)
        frames, self._urgent = [self._urgent], b""
        waiting = self.calls[self._next :]
        room = self._window - sum(call.sent - call.credited for call in waiting if call.incoming is None)
        room = min(room, BURST)
        for call in waiting[: self._ahead]:
            while call.sent < call.count and len(frames) <= room:
                frames.append(call.frame(self.session, call.sent))
                call.sent += 1
            if call.sent < call.count:
                break
        else:
            self._all_sent = len(waiting) <= self._ahead
        return b"".join(frames)

    def take(self, frame: Frame) -> bytes:
        """Takes a frame of the device in; returns what has to go out because of it. What does not fit is dropped."""
        if frame.session != self.session:
            return b""
        try:
            if frame.kind == REPLY or frame.kind == ERROR:
                return self._answer(frame)
            if frame.kind == Kind.CREDIT:
                self._credit(frame)
            elif frame.kind == Kind.NAK:
                self._nak(Nak.parse(frame.payload))
        except MalformedError:
            pass  # a sound CRC over nonsense: as good as not sent
        return b""

    def ask_again(self) -> bytes:
        """A damaged frame came: asks for the answer again, unless that was done since the last good frame."""
        call = self.current
        if call is None or call.sent < call.count or self._asked_again:
            return b""
        self._asked_again = True
        self.resent += 1
        return DELIMITER + call.frame(self.session, call.count - 1)

    def sign_of_life(self) -> bytes:
        """A frame that tells the device nothing but that we are still there."""
        call = self.current or self.calls[-1]
        return credit(self.session, call.sequence, 0 if call.incoming is None else call.incoming.next)

    def resume(self, session: int, last: int) -> None:
        """Goes on under a new nonce: asks again for what was executed, sends the rest anew.

        Args:
            session: The new nonce.
            last: Sequence number of the last executed transaction.
        """
        self.session = session
        self._all_sent = self._asked_again = False
        self._urgent = DELIMITER
        for call in self.calls[self._next :]:
            call.missed, call.incoming = False, None
            if call.sequence <= last:
                call.sent = call.credited = call.count
                self._urgent += call.frame(session, call.count - 1)
            else:
                call.sent = call.credited = 0
            self.resent += 1

    def _answer(self, frame: Frame) -> bytes:
        call = self.current
        if call is None or frame.sequence != call.sequence:
            self._note_missed(frame.sequence)
            return self.ask_again() if call is not None and frame.sequence > call.sequence else b""
        refused_early = frame.kind == Kind.ERROR and call.sent > 0
        if frame.opcode != call.opcode or not (call.sent == call.count or refused_early):
            return b""
        if frame.parts == 1:
            return self._complete(call, frame.kind, frame.payload)
        if frame.parts > (most := frame_count(self._most)):
            self.surplus = f"the reply to {call.opcode.name} has {frame.parts} frames, at most {most} fit"
            return b""
        if call.incoming is None:
            call.incoming = Assembly(frame)
        incoming = call.incoming
        if not incoming.take(frame):
            return self.ask_again() if frame.part > incoming.next and incoming.belongs(frame) else b""
        self._asked_again = False
        self.progress += 1
        if incoming.complete:
            return self._complete(call, frame.kind, incoming.message)
        call.uncredited += 1
        if call.uncredited < self._credit_after:
            return b""
        call.uncredited = 0
        return credit(self.session, call.sequence, incoming.next)

    def _complete(self, call: Call, kind: int, answer: bytes) -> bytes:
        """An answer is whole; asks again for the next one where part of it was lost while it was not its turn."""
        call.kind, call.answer = kind, answer
        self.progress += 1
        call.sent = call.credited = call.count
        self._asked_again = False
        self._next += 1
        following = self.calls[self._next] if self._next < len(self.calls) else None
        self.current = following
        return self.ask_again() if following is not None and following.missed else b""

    def _note_missed(self, sequence: int) -> None:
        for call in self.calls[self._next :]:
            if call.sequence == sequence:
                call.missed = True

    def _credit(self, frame: Frame) -> None:
        taken = Credit.parse(frame.payload).next
        for call in self.calls[self._next :]:
            if call.sequence == frame.sequence and call.credited < taken <= call.sent:
                call.credited = taken
                self.progress += 1

    def _nak(self, nak: Nak) -> None:
        if nak.reason == NakReason.NO_SESSION:
            self.session_lost = True
            return
        self._all_sent = False
        for call in self.calls[self._next :]:
            if call.sequence == nak.sequence and nak.part < call.sent and call.incoming is None:
                call.sent = call.credited = nak.part
                self.resent += 1
            elif call.sequence > nak.sequence and call.incoming is None:
                call.sent = call.credited = 0
