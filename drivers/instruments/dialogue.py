"""Question and answer with one instrument, line by line, over any transport: one lock, one deadline, one fence.

An answer belongs to its question: nothing may be here when a question goes out, and a reading comes with a number that
its question carried (`ask_tied`) or is followed by a question whose answers look different, the error queue at the
latest. What is found out of turn ends the dialogue, since the answers before it may have been the wrong ones; it is
never data.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from drivers import answers
from drivers.errors import LinkError, LinkTimeout, ProtocolViolation
from drivers.instruments.blocks import read_block
from drivers.instruments.fence import Fence
from drivers.link_errors import talks
from drivers.recording import FlightRecorder, Recorded
from drivers.transport import Transport

Reader = Callable[[float], bytes]
LAST_TIE = 99
LINE_LIMIT = 1 << 20
QUIET_S = 0.1


@dataclass(frozen=True)
class Around:
    """Lines that go with every command of an instrument that watches its host.

    Attributes:
        before: Sent first.
        probe: Asked after a command that has no answer of its own: its answer is checked.
        after: Sent last.
    """

    before: str
    probe: str
    after: str


class Dialogue:
    """The session of one instrument.

    Args:
        wire: Transport to it; recorded where a flight recorder is wanted.
        fence: Reads every line before it goes out.
        timeout_s: Deadline of an answer that involves no measurement.
        end: What lines end in, one character.

    Attributes:
        asked: The last question.
        answered: The last answer to it, as text.
    """

    def __init__(self, wire: Transport, fence: Fence, *, timeout_s: float = 5.0, end: str = "\n") -> None:
        self.fence = fence
        self.address = wire.address
        self.timeout_s = timeout_s
        self._wire = wire
        self._end = end
        self._lock = threading.RLock()
        self._dirty = False
        self.last_traffic = 0.0
        self.asked = self.answered = ""
        self._tie = 0
        self._around: Around | None = None
        self._check: Callable[[str], None] = lambda _: None

    def surround(self, around: Around, check: Callable[[str], None]) -> None:
        """From now on these lines go with every command, and the probe's answers are checked; see `Around`."""
        with self._lock:
            self._send(around.after)
            self._around, self._check = around, check

    def release(self) -> None:
        """Commands go alone again."""
        with self._lock:
            if self._around is not None:
                around, self._around = self._around, None
                self.send_regardless(around.before)

    def probe(self) -> None:
        """Asks the probe, where there is one, and checks its answer."""
        with self._lock:
            if self._around is not None:
                self._clean(self._around.probe)
                self._send("", self._around.probe)
                self._check(self._line(0.0))

    @contextmanager
    def within(self, seconds: float) -> Iterator[None]:
        """Answers are waited for this long, for a moment."""
        before, self.timeout_s = self.timeout_s, seconds
        try:
            yield
        finally:
            self.timeout_s = before

    def write(self, text: str) -> None:
        """Sends one line; raises `OutOfRange` where the fence refuses it."""
        self.fence.check(text)
        with self._lock:
            self._not_dirty()
            if "?" in text:
                self._nothing_waits()  # a question whose answer is read apart
            self.asked, self.answered = text, ""
            self._send(text, "" if self._around is None else self._around.probe)
            if self._around is not None:
                self._check(self._line(0.0))

    def ask(self, text: str, *, timeout_s: float = 0.0) -> str:
        """Sends one line and returns the line that comes back.

        Args:
            text: The question.
            timeout_s: How much longer than usual the answer may take (a measurement).
        """
        return self.ask_lines(text, 1, timeout_s=timeout_s)[0]

    def ask_lines(self, text: str, count: int, *, timeout_s: float = 0.0) -> list[str]:
        """`ask` where several lines come back."""
        self.fence.check(text)
        with self._lock:
            self._clean(text)
            self._send(text)
            return [self._line(timeout_s) for _ in range(count)]

    def ask_tied(self, question: str, *, timeout_s: float = 0.0) -> str:
        """`ask` of a SCPI box, for what becomes data: the answer has to repeat a number that the question carried.

        The number is the mask of the event status register, which every IEEE 488.2 box keeps, says back, and which
        does nothing while no service is asked for.

        Raises:
            ProtocolViolation: the answer is that of another question.
        """
        with self._lock:
            tie = self.next_tie()
            whole = self.ask(f"*ESE {tie};{question};*ESE?", timeout_s=timeout_s)
            answer, _, said = whole.rpartition(";")
            self.check_tie(said, tie, whole)
            return answer

    def next_tie(self) -> int:
        """Another number than the last ones, for a question to carry."""
        self._tie = self._tie % LAST_TIE + 1
        return self._tie

    def check_tie(self, said: str, tie: int, whole: str) -> None:
        """Raises `ProtocolViolation` where the whole answer does not repeat its question's number."""
        if (number := answers.maybe(said)) is None:
            self._dirty = True
            raise answers.nonsense(
                whole, self.asked, self.address, f"the number {tie} of the question is expected, too"
            )
        if number != tie:
            raise self.out_of_turn(whole.encode())

    def barrier(self, *, timeout_s: float = 0.0) -> None:
        """Waits until everything told has been done; the answer, 1, is no reading, so a late one is found here.

        Raises:
            ProtocolViolation: something else was answered.
        """
        with self._lock:
            said = self.ask("*OPC?", timeout_s=timeout_s)
            if answers.maybe(said) != 1.0:
                raise self.out_of_turn(said.encode())

    def read(self, *, timeout_s: float = 0.0) -> str:
        """The next line; for libraries that write and read apart."""
        with self._lock:
            return self._line(timeout_s)

    def ask_block(self, text: str, count: int, *, timeout_s: float = 0.0) -> bytes:
        """Sends one line and returns the binary block of `count` bytes that comes back.

        Takes definite (`#<n><len>...`) and indefinite (`#0...`) blocks; the length is ours in both cases, so a
        newline in the payload ends nothing.

        Raises:
            CorruptFrame: no block header, another length, or no newline after it.
        """
        self.fence.check(text)
        with self._lock:
            self._clean(text)
            self._send(text)
            found = self._guarded(lambda deadline: read_block(self._wire, count, deadline), timeout_s)
            self._nothing_waits()
            return found

    def send_regardless(self, text: str) -> None:
        """Sends a line that makes things safe even when the link is dirty; errors are not raised."""
        before = "" if self._around is None else f"{self._around.before}{self._end}"
        try:
            self._wire.write(f"{before}{text}{self._end}".encode(), time.monotonic() + 0.5)
        except LinkError:
            self._dirty = True

    def resynchronize(self, question: str, expected: str) -> None:
        """Throws stale answers away and asks until the answer is the one only this question has.

        Raises:
            LinkTimeout: it never came.
        """
        with self._lock:
            deadline = time.monotonic() + self.timeout_s
            self._wire.drain(0.02, deadline)
            self._wire.write(f"{question}{self._end}".encode(), deadline)
            while (
                self._wire.read_until(self._end.encode(), LINE_LIMIT, deadline).decode(errors="replace").strip()
                != expected
            ):
                if time.monotonic() >= deadline:
                    raise talks(self.address)
            self._dirty = False

    def ask_anew(self, question: str, before: Sequence[str] = ()) -> str:
        """Clears the device and what it has sent, and asks it again what it did not answer.

        Args:
            question: Has an answer that fits no other question asked before.
            before: Lines that end what holds the device up.

        Raises:
            LinkTimeout: it does not answer now either.
        """
        with self._lock:
            self._wire.drain(QUIET_S, time.monotonic() + self.timeout_s)
            self._dirty = False
            self._send(*before, question)
            answer = self._line(0.0)
            self._wire.drain(QUIET_S, time.monotonic() + self.timeout_s)  # the first answer, where it came after all
            return answer

    @property
    def recorder(self) -> FlightRecorder | None:
        """Last traffic, where the wire is recorded."""
        return self._wire.recorder if isinstance(self._wire, Recorded) else None

    def close(self) -> None:
        """Ends the session."""
        self._wire.close()

    @property
    def dirty(self) -> bool:
        """True after a timeout: an answer may still be under way."""
        return self._dirty

    def _clean(self, asked: str) -> None:
        """Before a question: no answer is missing, and none is here."""
        self._not_dirty()
        self._nothing_waits()
        self.asked, self.answered = asked, ""

    def _not_dirty(self) -> None:
        if self._dirty:
            raise LinkTimeout(
                "an earlier answer is still missing, so the next one could belong to it",
                device=self.address,
                todo="Open the rack again: it re-synchronizes by the identity",
            )

    def _nothing_waits(self) -> None:
        """Prompts, NULs and ends of lines are passed over, before the first question a greeting, too."""
        try:
            here = self._wire.waiting()
        except LinkError:
            self._dirty = True
            raise
        if here and self.asked and not answers.only_prompts(here):
            raise self.out_of_turn(here)

    def out_of_turn(self, came: bytes) -> ProtocolViolation:
        """Ends the dialogue: the error about what is no answer to the last question."""
        self._dirty = True
        return ProtocolViolation(
            f"{answers.line(came)[: answers.SHOWN]!r} came out of turn, after {self.asked!r}: an answer is late or "
            "came twice, so none of the last ones can be believed",
            device=self.address,
            todo="Nothing of it was used; open the instrument again, and see that nobody else talks to it",
        )

    def _send(self, *lines: str) -> None:
        if self._around is not None:
            lines = (self._around.before, *lines, self._around.after)
        message = "".join(f"{line}{self._end}" for line in lines if line)
        self.last_traffic = time.monotonic()
        try:
            self._wire.write(message.encode(), self.last_traffic + self.timeout_s)
        except LinkError:
            self._dirty = True
            raise

    def _line(self, extra_s: float) -> str:
        """The next line that is more than a prompt."""
        raw = self._guarded(self._whole_line, extra_s)
        self.answered = answers.line(raw)
        return self.answered

    def _whole_line(self, deadline: float) -> bytes:
        while True:
            raw = self._wire.read_until(self._end.encode(), LINE_LIMIT, deadline)
            if not answers.is_prompt(raw):
                return raw
            if time.monotonic() >= deadline:
                raise talks(self.address)

    def _guarded(self, read: Reader, extra_s: float) -> bytes:
        try:
            return read(time.monotonic() + self.timeout_s + extra_s)
        except LinkError:
            self._dirty = True
            raise
