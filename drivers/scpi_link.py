"""Messages to a SCPI instrument, each within one deadline: no answer is believed before its errors were asked for.

Every message ends with `;:SYST:ERR:ALL?`, so there is always an answer, and a refusal comes with the message that
caused it (SCPI.md 3.3). After a timeout the device is cleared and has to repeat a nonce before the next answer counts
(4.1). An answer that becomes data repeats a nonce of its own message, too: a late or doubled one is found by that.
"""

from __future__ import annotations

import itertools
import math
import secrets
import threading
import time
from collections.abc import Callable

from drivers.answers import only_prompts, stripped, whole
from drivers.device_kind import crowded
from drivers.errors import Busy, CorruptFrame, DeviceFault, LinkError, LinkLost, LinkTimeout, ProtocolViolation
from drivers.heard import NOTHING_CAME, OTHER_TALK
from drivers.link_errors import talks
from drivers.refusals import refused
from drivers.scpi_blocks import PIECE, BlockReader
from drivers.scpi_ends import BUSY_FOR, ERRORS, NAMED, split_errors
from drivers.scpi_numbers import Numbers
from drivers.sign_of_life import SHARE, SHORTEST_S
from drivers.transport import Transport, back_off, doubled
from firmware_specs.codes import ErrorCode

ATTEMPTS = 3
QUIET_S = 0.02
MAX_LINE = 1 << 20
NONCE_S, MOST_NONCE_S = 0.5, 1.0
AGAIN = "The link is re-synchronized before it is used again"
ANSWER_S = 0.5
"""How long a first answer is waited for, where nothing else is said; who says more adds twice the stated time."""
PROMPT_S = 0.1
"""What a device needs besides its stated time (PROTOCOL.md 9.2)."""
WAITS = 2
"""Shares of the watchdog that an answer is waited for in silence: two signs of life behind it may get lost."""
MOST_REPLY = 1 << 20
"""Bytes of the blocks of a reply whose length follows from nothing that was asked."""
MOST_PARTS = 16

Part = bytes
"""One reply of a message: the bytes of a block, or the text of anything else."""


class _NotNow(Exception):
    """Nothing was done: the device is busy, and says for how long."""

    def __init__(self, seconds: float, words: str) -> None:
        super().__init__(words)
        self.seconds, self.words = seconds, words


class ScpiLink:
    """One instrument. Messages of several threads are serialized.

    Args:
        wire: The byte seam.
        nonces: Where the numbers come from that prove a clean link; a replay gives the recorded ones.

    Attributes:
        resynchronized: How often it was cleared and proven clean.
        told: Units, each with its `;`, that a cleared link is told first: it may be a new one.
    """

    def __init__(self, wire: Transport, nonces: Callable[[], int] | None = None) -> None:
        self.address = wire.address
        self.resynchronized = 0
        self.told = b""
        self._wire, self._blocks = wire, BlockReader(wire)
        self._nonces = nonces or (lambda: secrets.randbelow(1 << 31))
        self._lock = threading.RLock()
        self._dirty = True
        self._deeds = 0
        self._numbers = Numbers()
        self._period_s = math.inf
        self._ties = itertools.count(1)

    def watched(self, watchdog_s: float) -> None:
        """The device's watchdog from now on, seconds; 0 for none: no silence of ours may outlast it."""
        self._period_s = max(SHORTEST_S, watchdog_s / SHARE) if watchdog_s > 0 else math.inf

    def ask(
        self,
        message: bytes,
        what: str,
        timeout_s: float,
        answer_s: float = ANSWER_S,
        most: int = MOST_REPLY,
        *,
        once: bool = False,
        tied: bool = False,
    ) -> list[Part]:
        """Sends a message that may be sent twice without harm; returns the replies of its queries.

        Args:
            message: What is asked, without the final newline.
            what: The same in words, for errors.
            timeout_s: Deadline of the whole, with all retries.
            answer_s: After how long without an answer to ask again for the first time; each retry waits twice as long.
            most: Bytes of all blocks of the longest reply that can be right.
            once: It draws noise: asked again, it is to be answered the same, where the device can.
            tied: The answer has to repeat a number of this very message: it becomes data.

        Raises:
            DeviceFault: the device refused a unit of it. Busy: another link owns the device.
            LinkTimeout: no answer in time. LinkLost: the link cannot be had back.
            ProtocolViolation: answers that are none, several times.
        """
        deadline = time.monotonic() + timeout_s
        attempts = 0
        with self._lock:
            named = self._numbers.fresh(message) if once else message
            tie = b'"%d"' % next(self._ties) if tied else b""
            while True:
                self._clean(deadline)
                try:
                    until = self._until(deadline, timeout_s, answer_s, attempts)
                    return self._exchange(named, what, until, most, tie)
                except _NotNow as error:
                    self._wait(what, error, deadline)
                    named = self._numbers.fresh(message) if once else message
                except (LinkTimeout, CorruptFrame, ProtocolViolation) as error:
                    attempts += 1
                    self._give_up(what, error, attempts, deadline)

    def act(self, message: bytes, what: str, timeout_s: float, answer_s: float = ANSWER_S) -> list[Part] | None:
        """Sends a message that must not be done twice; None when it was done and its reply cannot be had.

        Arguments and errors are those of `ask`.
        """
        deadline = time.monotonic() + timeout_s
        attempts = 0
        with self._lock:
            before, named = self._deeds, self._numbers.fresh(message)
            while True:
                self._clean(deadline)
                try:
                    until = self._until(deadline, timeout_s, answer_s, attempts)
                    parts = self._exchange(named, what, until, MOST_REPLY)
                    self._deeds = before + 1
                    return parts
                except _NotNow as error:
                    self._wait(what, error, deadline)
                    named = self._numbers.fresh(message)
                    continue
                except (LinkTimeout, CorruptFrame, ProtocolViolation) as error:
                    attempts += 1
                    self._give_up(what, error, attempts, deadline)
                if self._was_done(what, before, deadline) and not self._answer_is_kept(deadline):
                    return None

    def open(self, timeout_s: float) -> None:
        """Proves that the link is clean, and reads how many acts the device has counted."""
        with self._lock:
            self._dirty = True
            deadline = time.monotonic() + timeout_s
            self._clean(deadline)
            self._deeds = self._counted(deadline)
            self._numbers.kept = self._keeps_answers(deadline)

    def armed_verbs(self, timeout_s: float) -> int | None:
        """How many armed verbs the device has executed since power-on; None of firmware that does not say."""
        try:
            return self._counted(time.monotonic() + timeout_s, b":SYST:TRAN:ARM?")
        except DeviceFault:
            return None

    def close(self) -> None:
        """Closes the wire."""
        self._wire.close()

    def _wait(self, what: str, busy: _NotNow, deadline: float) -> None:
        """A busy device has done nothing, and said when to ask again."""
        if time.monotonic() + busy.seconds >= deadline:
            text = f"{what} found the device busy until its deadline"
            raise Busy(text, owner=busy.words, device=self.address) from busy
        end = time.monotonic() + busy.seconds
        while (left_s := end - time.monotonic()) > 0:
            time.sleep(min(left_s, self._period_s))
            if left_s > self._period_s:
                self._dirty = True
                self._clean(deadline)  # a sign of life

    def _give_up(self, what: str, error: LinkError, attempts: int, deadline: float) -> None:
        """Raises when the time is up, and when what comes back is rubbish again and again."""
        if isinstance(error, LinkTimeout):
            if time.monotonic() < deadline:
                back_off(attempts - 1, deadline)
                return
            came = "" if error.last else ": nothing came"
            raise LinkTimeout(
                f"{what} got no complete answer before its deadline{came}",
                device=self.address,
                last=error.last,
                todo=AGAIN if error.last else NOTHING_CAME + crowded(self.address),
            ) from error
        if attempts >= ATTEMPTS or time.monotonic() >= deadline:
            raise error

    def _was_done(self, what: str, before: int, deadline: float) -> bool:
        """After an act without an answer: did the device do it?"""
        done = self._counted(deadline)
        if done not in (before, before + 1):
            raise ProtocolViolation(
                f"{what}: the device counts {done} acts, we know of {before}",
                device=self.address,
                todo="Somebody else acts on this device",
            )
        self._deeds = done
        return done > before

    def _keeps_answers(self, deadline: float) -> bool:
        """Forgets the last number; False of firmware that knows none."""
        try:
            said = self.ask(b":SYST:SEQ 0;SEQ?", "SYSTem:SEQuence", max(0.0, deadline - time.monotonic()))
        except DeviceFault:
            return False
        if said not in ([], [b"0"]):
            text = "SYSTem:SEQuence? did not answer 0 after it was set to 0"
            raise ProtocolViolation(text, device=self.address, last=b";".join(said))
        return bool(said)

    def _answer_is_kept(self, deadline: float) -> bool:
        """Does this link still hold the answer of the newest numbered message? A link that was opened anew does not."""
        if not self._numbers.kept:
            return False
        said = self.ask(b":SYST:SEQ?", "SYSTem:SEQuence?", max(0.0, deadline - time.monotonic()))
        return said == [b"%d" % self._numbers.last]

    def _counted(self, deadline: float, question: bytes = b":SYST:TRAN?") -> int:
        left_s = max(0.0, deadline - time.monotonic())
        said = self.ask(question, "reading the count of acts", left_s)
        if len(said) != 1:
            text = f"{question.decode()} did not answer with a count"
            raise ProtocolViolation(text, device=self.address, last=b";".join(said))
        return whole(said[0].decode(errors="replace"), question.decode(), self.address)

    def _exchange(self, message: bytes, what: str, until: float, most: int, tie: bytes = b"") -> list[Part]:
        """One message and all that answers it; whatever breaks it off leaves the link dirty."""
        self._dirty = True
        self._wire.write(message + (b";:SYST:ECHO? " + tie if tie else b"") + ERRORS, until)
        parts = []
        piece = self._wire.read_piece(b"\n", PIECE, until)
        while piece[:1] == b"#":
            data, piece = self._blocks.take(piece, until, most)
            parts.append(data)
            most -= len(data)
            if len(parts) > MOST_PARTS:
                raise ProtocolViolation(f"{what}: more than {MOST_PARTS} blocks came", device=self.address)
            if piece[:1] != b";":
                raise ProtocolViolation(f"{what}: a block was not followed by the errors", device=self.address)
            piece = piece[1:]
        line = piece if piece.endswith(b"\n") else piece + self._wire.read_until(b"\n", MAX_LINE, until)
        text = stripped(line).decode(errors="replace")
        answers, errors = split_errors(text)
        if errors is None:
            raise ProtocolViolation(f"{what}: the answer does not end with the errors", device=self.address, last=line)
        refusals = [(code, words) for code, words in errors if code]
        if tie and not refusals and (not answers or answers.pop().strip().encode() != tie):
            raise ProtocolViolation(f"{what} got the answer of another question", device=self.address, last=line)
        self._dirty = False
        for code, words in refusals:
            raise self._refused(what, code, words)
        return parts + [answer.encode() for answer in answers]

    def _clean(self, deadline: float) -> None:
        """After anything broke off, or came unasked: clears the device, which then has to repeat a nonce."""
        if not self._dirty and (here := self._wire.waiting()):
            self._dirty = not only_prompts(here)
        attempts, began = 0, time.monotonic()
        while self._dirty:
            try:
                self._prove(
                    min(deadline, time.monotonic() + min(doubled(NONCE_S, attempts), MOST_NONCE_S, self._period_s))
                )
            except (LinkTimeout, CorruptFrame) as error:
                if time.monotonic() >= deadline:
                    kind = LinkLost if deadline - began > 2 * QUIET_S else LinkTimeout
                    if error.last or isinstance(error, CorruptFrame):
                        came, todo = f"what came is no answer: {error.what}", OTHER_TALK
                    else:
                        came, todo = "nothing came", NOTHING_CAME + crowded(self.address)
                    raise kind(
                        f"the device does not repeat a nonce; {came}", device=self.address, last=error.last, todo=todo
                    ) from error
                back_off(attempts, deadline)
                attempts += 1

    def _prove(self, until: float) -> None:
        proof = f'"{self._nonces()}"'.encode()
        self._wire.drain(QUIET_S, until)
        self._wire.write(b"\n*CLS;" + self.told + b":SYST:ECHO? " + proof + b"\n", until)
        came = b""
        try:
            while (line := stripped(self._wire.read_until(b"\n", MAX_LINE, until))) != proof:
                came = line
                if time.monotonic() >= until:
                    raise talks(self.address)
        except LinkTimeout as error:
            if not came:
                raise
            raise LinkTimeout(f"{came!r} came in its place", last=came) from error
        self.resynchronized += 1
        self._dirty = False

    def _refused(self, what: str, code: int, words: str) -> DeviceFault | Busy:
        named = NAMED.match(words)
        name, said = (named[1], named[2]) if named else ("", words)
        if name == "BUSY" and (again := BUSY_FOR.match(said)):
            raise _NotNow(int(again[1]) / 1000.0, said)
        if name in ErrorCode.__members__:
            return refused(ErrorCode[name], said, asked=what, device=self.address)
        return DeviceFault(code, words, asked=what, device=self.address)

    def _until(self, deadline: float, timeout_s: float, answer_s: float, attempts: int) -> float:
        """How long this attempt waits: long enough for the device, short enough for retries and its watchdog.

        A device that works does not count time (PROTOCOL.md 6.3), one that a message never reached does; which it is
        nobody knows here. One that keeps its answers is asked again early. One that does not draws new noise when it
        is asked again, and would never come to an end if it were asked too early for ever.
        """
        wait_s = doubled(min(answer_s, timeout_s / ATTEMPTS), attempts)
        if self._numbers.kept or answer_s <= ANSWER_S:
            least_s = PROMPT_S + (answer_s - ANSWER_S) / 2
            wait_s = min(wait_s, max(WAITS * self._period_s, least_s))
        return min(deadline, time.monotonic() + wait_s)
