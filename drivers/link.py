"""The framed link: transactions over a byte seam, each within one deadline that covers every retry.

After any timeout the session goes on under a fresh nonce, so a late answer cannot be taken for a new one. A request
keeps its sequence number when it is sent again, and the device executes a number once (PROTOCOL.md sections 3 and 5).
"""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable, Sequence
from typing import TypeVar

from drivers.errors import Busy, LinkError, LinkLost, LinkTimeout, OutOfRange, ProtocolViolation
from drivers.exchange import Call, Exchange
from drivers.frame_reader import FrameReader
from drivers.link_counts import LinkCounts
from drivers.link_errors import restarted, talks
from drivers.portions import UNBOUNDED
from drivers.refusals import refused
from drivers.sign_of_life import SignsOfLife, credit
from drivers.transport import Transport, back_off, doubled
from firmware_specs.codes import DeviceFlag, ErrorCode, Kind, Opcode
from firmware_specs.frame import DELIMITER, Frame, encode
from firmware_specs.messages import MalformedError, Refusal, Sync, Synced
from firmware_specs.messages.link import MAX_OWNER

ANSWER_S = 0.5
"""How long a first answer is waited for, where nothing else is said; each retry waits twice as long."""
HOST_WINDOW = 64
SYNC_S, MOST_SYNC_S = 0.2, 0.5
"""A board may be deaf while it starts: it is asked this often until the deadline."""
ROUND_TRIP_S = 0.005
LAST_SEQUENCE = 0xFFFFFFFF
KNOWN_FLAGS = 0x0F
MOST_REPLY = 1 << 20
"""Bytes of a reply whose length follows from nothing that was asked."""
Request = tuple[Opcode, bytes]
T = TypeVar("T")


def fresh_nonce() -> int:
    """A random session number, never 0."""
    return secrets.randbelow(0xFFFFFFFF) + 1


class FramedLink:
    """One session with one device. Transactions of several threads are serialized.

    Args:
        wire: The byte seam.
        owner: Who we are, for the device's records.
        nonces: Where session numbers come from; a replay gives the recorded ones.
        window: Frames the device may send ahead.
    """

    def __init__(
        self,
        wire: Transport,
        *,
        owner: str = "",
        nonces: Callable[[], int] = fresh_nonce,
        window: int = HOST_WINDOW,
    ) -> None:
        self.address = wire.address
        self.counts = LinkCounts()
        self.session = 0
        self.synced: Synced | None = None
        self._wire = wire
        self._owner = owner.encode()[:MAX_OWNER].decode(errors="ignore")
        self._nonces = nonces
        self._window = window
        self._reader = FrameReader(wire)
        self.alive = SignsOfLife(wire, self._reader)
        self._lock = threading.RLock()
        self._sequence = 0
        self._asking = 0  # nonce of a SYNC that was not answered yet: repeated, never replaced
        self._dirty = True
        self._flags = 0

    @property
    def flags(self) -> DeviceFlag:
        """State bits of the device's last frame."""
        return DeviceFlag(self._flags & KNOWN_FLAGS)

    def open(self, timeout_s: float = 2.0) -> Synced:
        """Opens a new session, which turns the device's outputs off.

        Raises:
            LinkTimeout: nobody answers. ProtocolViolation: no protocol version in common.
        """
        with self._lock:
            self.session = self._asking = 0
            self._reader.heard.forget()
            return self._synchronize(time.monotonic() + timeout_s)

    def transact(
        self,
        opcode: Opcode,
        payload: bytes = b"",
        timeout_s: float = 2.0,
        answer_s: float = ANSWER_S,
        most: int = MOST_REPLY,
    ) -> bytes:
        """One transaction; returns the reply's payload.

        Args:
            opcode: The verb.
            payload: Its request.
            timeout_s: Deadline of the transaction with all its retries.
            answer_s: After how long without an answer, or a new part of it, to ask again for the first time.
            most: Bytes of the longest reply that can be right.

        Raises:
            DeviceFault: the device refused or failed. Busy: another link owns it.
            ProtocolViolation: a reply longer than that.
            LinkTimeout: no answer in time; the outcome is unknown. LinkLost: the port is gone or the device restarted.
            OutOfRange: the request is longer than the device takes.
        """
        deadline = time.monotonic() + timeout_s
        with self._lock:
            return self._reply(self._run(((opcode, payload),), deadline, answer_s, most)[0], deadline, most)

    def transact_all(
        self,
        requests: Sequence[Request],
        timeout_s: float = 2.0,
        answer_s: float = ANSWER_S,
        most: int = MOST_REPLY,
        ahead: int = UNBOUNDED,
    ) -> list[bytes]:
        """Transactions sent ahead of their answers as far as window and `ahead` go; replies in order.

        The first refusal is raised; transactions after it were executed or refused all the same.
        """
        deadline = time.monotonic() + timeout_s
        with self._lock:
            calls = self._run(requests, deadline, answer_s, most, ahead)
            return [self._reply(call, deadline, most) for call in calls]

    def close(self) -> None:
        """Closes the wire."""
        self._wire.close()

    def _reply(self, call: Call, deadline: float, most: int) -> bytes:
        """A call's reply; asks again, as a new transaction, where the device was too busy to do anything."""
        while call.kind == Kind.ERROR:
            refusal = self._parse(Refusal.parse, call.answer, call.opcode.name)
            wait_s = refusal.detail / 1000.0
            if refusal.code != ErrorCode.BUSY or not wait_s:
                raise refused(refusal.code, refusal.text, asked=call.opcode.name, device=self.address)
            if time.monotonic() + wait_s + ROUND_TRIP_S >= deadline:
                raise Busy(
                    f"{call.opcode.name} found the device busy until its deadline",
                    owner=refusal.text,
                    device=self.address,
                )
            self.alive.pause(wait_s, credit(self.session, call.sequence, 0))
            call = self._run([(call.opcode, call.payload)], deadline, ANSWER_S, most)[0]
        return call.answer

    def _run(
        self, requests: Sequence[Request], deadline: float, answer_s: float, most: int, ahead: int = UNBOUNDED
    ) -> list[Call]:
        """Runs an exchange to its end; whatever breaks it off leaves the link dirty."""
        self._reader.heard.forget()
        synced = self._ready(requests, deadline)
        exchange = Exchange(self.session, self._sequence + 1, requests, synced.window, self._window, most, ahead)
        self._dirty = True
        attempts = 0
        while exchange.current is not None:
            try:
                self._attempt(exchange, doubled(answer_s, attempts), deadline)
            except LinkTimeout as error:
                if time.monotonic() >= deadline:
                    raise self._unanswered(exchange, error) from error
                back_off(attempts, deadline)
                attempts += 1
                self._resume(exchange, deadline)
        self._sequence = exchange.calls[-1].sequence
        self._dirty = False
        self.counts.transactions += len(requests)
        self.counts.resent += exchange.resent
        return exchange.calls

    def _ready(self, requests: Sequence[Request], deadline: float) -> Synced:
        """Checks that the session is open, continued after whatever broke off, and that it takes these requests."""
        if not self.session:
            raise LinkLost("no session is open", device=self.address, todo="Start again")
        if self._dirty and not self._synchronize(deadline).continued:
            raise self._restarted()
        synced = self.synced
        if synced is None or self._sequence + len(requests) > LAST_SEQUENCE:
            raise LinkLost("the session is used up", device=self.address, todo="Start again")
        for opcode, payload in requests:
            if len(payload) > synced.max_request:
                raise OutOfRange(
                    f"{opcode.name} of {len(payload)} bytes: the device takes requests of {synced.max_request}",
                    device=self.address,
                )
        return synced

    def _attempt(self, exchange: Exchange, patience_s: float, deadline: float) -> None:
        """Sends and takes in until all is answered, or nothing of the answer came for a while; talk is no answer."""
        until = min(deadline, time.monotonic() + patience_s)
        while True:
            progress = exchange.progress
            while frames := exchange.outgoing():
                self.alive.write(frames, until)
            frame = self._heard(self.alive.next(until, exchange.sign_of_life))
            answer = exchange.ask_again() if frame is None else exchange.take(frame)
            if exchange.session_lost:
                raise self._restarted()
            if answer:
                self.alive.write(answer, until)
            if exchange.current is None:
                return
            if exchange.surplus:
                raise ProtocolViolation(exchange.surplus, device=self.address)
            if exchange.progress != progress:
                until = min(deadline, time.monotonic() + patience_s)
            elif time.monotonic() >= until:
                raise talks(self.address)

    def _resume(self, exchange: Exchange, deadline: float) -> None:
        before = self.synced
        try:
            now = self._synchronize(deadline)
        except LinkTimeout as error:
            raise self._unanswered(exchange, error) from error
        if not now.continued or (before is not None and before.boot != now.boot):
            raise self._restarted()
        first = exchange.calls[0].sequence
        if not first - 1 <= now.last < first + len(exchange.calls):
            raise ProtocolViolation(
                f"the device says transaction {now.last} was its last, ours are {first} and on", device=self.address
            )
        exchange.resume(self.session, now.last)
        self._dirty = True

    def _synchronize(self, deadline: float) -> Synced:
        """SYNC until it is answered: a fresh nonce, and the same one again while it is not."""
        self._dirty = True
        self._asking = self._asking or self._nonces()
        sync = Sync(self._window, self.session, self._owner).pack()
        request = DELIMITER + encode(Frame(Kind.SYNC, 0, 0, self._asking, 0, 0, 1, sync))
        attempts = 0
        while True:
            try:
                self.alive.write(request, deadline)
                until = min(
                    deadline, time.monotonic() + min(doubled(SYNC_S, attempts), MOST_SYNC_S, self.alive.period_s)
                )
                while True:
                    frame = self._heard(self._reader.next(until))
                    if frame is not None and frame.kind == Kind.SYNCED and frame.session == self._asking:
                        return self._begin(self._parse(Synced.parse, frame.payload, "SYNC"))
                    if time.monotonic() >= until:
                        raise talks(self.address)
            except LinkTimeout as error:
                if time.monotonic() >= deadline:
                    asked = f"SYNC, sent {attempts + 1} times, got no answer before its deadline"
                    raise self._reader.heard.timeout(asked, self.address, error) from error
                back_off(attempts, deadline)
                attempts += 1

    def _begin(self, synced: Synced) -> Synced:
        if not synced.version:
            raise ProtocolViolation("the device speaks no protocol version that we do", device=self.address)
        self.session, self._asking = self._asking, 0
        self.synced = synced
        self._sequence = synced.last
        self._dirty = False
        self.counts.syncs += 1
        return synced

    def _heard(self, frame: Frame | None) -> Frame | None:
        """Counts a damaged frame (None), notes the flags of one of ours."""
        if frame is None:
            self.counts.damaged += 1
        elif frame.session == self.session or frame.session == self._asking:
            self._flags = frame.flags
        return frame

    def _parse(self, parse: Callable[[bytes], T], payload: bytes, what: str) -> T:
        try:
            return parse(payload)
        except MalformedError as error:
            text = f"the answer to {what} does not parse: {error}"
            raise ProtocolViolation(text, device=self.address, last=payload) from error

    def _restarted(self) -> LinkError:
        self.session = 0
        return restarted(self.address, bool(self.flags & DeviceFlag.OUTPUTS_ON))

    def _unanswered(self, exchange: Exchange, cause: LinkTimeout) -> LinkTimeout:
        call = exchange.current or exchange.calls[-1]
        asked = f"{call.opcode.name} (transaction {call.sequence}) got no complete answer before its deadline; whether "
        return self._reader.heard.timeout(f"{asked}it was done is unknown", self.address, cause, known=True)
