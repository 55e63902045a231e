"""A small SCPI front: header patterns as data, `;` chains with their path, error queue, IEEE 488.2 core."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from emulator.rack.bench import Bench
from emulator.rack.sources import Refused
from firmware_specs.racks.wiring import Instrument

MOST_LINE = 1 << 20

Reply = str | bytes | None
UNDEFINED = Refused(-113, "Undefined header")
MISSING = Refused(-109, "Missing parameter")
WRONG_TYPE = Refused(-104, "Data type error")


@dataclass(frozen=True)
class Call:
    """One command as a handler sees it.

    Attributes:
        suffixes: Numbers in the header, in order; None where left out.
        args: Parameters, quotes kept, channel lists as they are.
        query: True with a question mark.
    """

    suffixes: tuple[int | None, ...]
    args: tuple[str, ...]
    query: bool

    def number(self, index: int = 0) -> float:
        """A numeric parameter."""
        if index >= len(self.args):
            raise MISSING
        try:
            return float(self.args[index])
        except ValueError:
            raise WRONG_TYPE from None

    def word(self, index: int = 0) -> str:
        """A character parameter, upper case, without quotes."""
        if index >= len(self.args):
            raise MISSING
        return self.args[index].strip("\"'").upper()

    def boolean(self, index: int = 0) -> bool:
        """`ON`, `OFF`, `1`, `0`."""
        word = self.word(index)
        if word not in ("ON", "OFF", "1", "0"):
            raise WRONG_TYPE
        return word in ("ON", "1")

    def channels(self, index: int = -1) -> list[str]:
        """`(@1001,1003:1005)` as single channels."""
        if not self.args or not (match := re.fullmatch(r"\(@([\d:,\s]*)\)", self.args[index])):
            raise MISSING
        found: list[str] = []
        for part in filter(None, match[1].replace(" ", "").split(",")):
            first, _, last = part.partition(":")
            found += [str(n) for n in range(int(first), int(last or first) + 1)]
        return found


Handler = Callable[[Call], Reply]


@dataclass(frozen=True)
class ErrorStyle:
    """How a box words its error queue.

    Attributes:
        empty: Entry of an empty queue.
        entry: One error, `{code}` and `{text}` filled in.
        depth: Entries it holds; the last becomes -350 when there are more.
    """

    empty: str
    entry: str
    depth: int = 10


def compile_header(pattern: str) -> re.Pattern[str]:
    """A header pattern (`[:SOURce#]:VOLTage[:LEVel]`, `#` an optional number) as a regular expression."""
    text = pattern if pattern.startswith(("*", ":", "[")) else f":{pattern}"
    out, index = "", 0
    while index < len(text):
        char = text[index]
        if char in "[]":
            out += "(?:" if char == "[" else ")?"
            index += 1
        elif char == "#":
            out += r"(\d+)?"
            index += 1
        elif char == ":":
            out += ":"
            index += 1
        else:
            word = re.match(r"\*?[A-Za-z]+", text[index:])
            assert word is not None, pattern  # noqa: S101 - patterns are ours
            short = "".join(c for c in word[0] if not c.islower())
            out += (
                f"{re.escape(short)}(?:{re.escape(word[0][len(short) :])})?" if short != word[0] else re.escape(short)
            )
            index += len(word[0])
    return re.compile(out, re.IGNORECASE)


class ScpiBox:
    """One SCPI instrument: bytes in, bytes out.

    Args:
        bench: The bench it stands on.
        name: As the rack calls it.
        spec: Model and serial.
        style: Its error queue.
        commands: Header patterns and what they do.
    """

    deadline: float | None = None
    """It never waits for anything."""

    def __init__(
        self, bench: Bench, name: str, spec: Instrument, style: ErrorStyle, commands: Mapping[str, Handler]
    ) -> None:
        self.bench, self.name, self.spec, self.style = bench, name, spec, style
        core: dict[str, Handler] = {
            "*IDN": lambda c: self.identity(),
            "*RST": self._reset,
            "*CLS": self._clear,
            "*OPC": lambda c: "1" if c.query else None,
            "*WAI": lambda c: None,
            "*ESR": lambda c: self._status(),
            "*STB": lambda c: str(4 if self.queue else 0),
            "SYSTem:ERRor[:NEXT]": lambda c: self._next_error(),
        }
        self._table = [(compile_header(p), handler) for p, handler in (core | dict(commands)).items()]
        self.queue: deque[tuple[int, str]] = deque()
        self._esr = 128
        self._line = bytearray()

    def identity(self) -> str:
        """Answer to `*IDN?`."""
        if f"identity:{self.name}" in self.bench.faults:
            return "ACME,WRONG BOX,0,0"
        return self.spec.facts.identity.format(serial=self.spec.serial or "1000001")

    def reset(self) -> None:
        """What `*RST` does beside clearing; instruments add theirs."""

    def feed(self, data: bytes) -> bytes:
        """Takes bytes in, gives answers out."""
        self._line += data
        if len(self._line) > MOST_LINE and b"\n" not in self._line:
            self._line.clear()  # as an instrument whose input buffer runs over
        out = b""
        while (end := self._line.find(b"\n")) >= 0:
            line = bytes(self._line[:end]).decode(errors="replace").strip()
            del self._line[: end + 1]
            out += self._execute(line)
        return out

    def fail(self, refused: Refused) -> None:
        """Puts an error into the queue."""
        self.bench.log.add("error", self.name, refused.code, refused.text)
        self._esr |= 32 if -200 < refused.code <= -100 else 16
        if len(self.queue) < self.style.depth:
            self.queue.append((refused.code, refused.text))
        else:
            self.queue[-1] = (-350, "Queue overflow")

    def _execute(self, line: str) -> bytes:
        self.bench.advance(self.spec.facts.bus_s)
        self.bench.log.add("command", self.name, text=line)
        replies: list[bytes] = []
        path = ""
        for command in _split(line, ";"):
            header, _, rest = command.strip().partition(" ")
            if not header:
                continue
            if not header.startswith("*"):
                absolute = header if header.startswith(":") else f"{path}{header}"
                path = absolute.rpartition(":")[0] + ":"
                header = absolute
            try:
                reply = self._dispatch(header, rest)
            except Refused as refused:
                self.fail(refused)
                break
            if reply is not None:
                replies.append(reply.encode() if isinstance(reply, str) else reply)
        return b";".join(replies) + b"\n" if replies else b""

    def _dispatch(self, header: str, rest: str) -> Reply:
        query = header.endswith("?")
        bare = header.removesuffix("?")
        bare = bare if bare.startswith(("*", ":")) else f":{bare}"
        bare = bare[1:] if bare.startswith(":*") else bare
        for pattern, handler in self._table:
            if match := pattern.fullmatch(bare):
                suffixes = tuple(None if g is None else int(g) for g in match.groups())
                args = tuple(a.strip() for a in _split(rest, ",") if a.strip())
                return handler(Call(suffixes, args, query))
        raise UNDEFINED

    def _reset(self, call: Call) -> None:
        self.reset()

    def _clear(self, call: Call) -> None:
        self.queue.clear()
        self._esr = 0

    def _status(self) -> str:
        value, self._esr = self._esr, 0
        return str(value)

    def _next_error(self) -> str:
        if not self.queue:
            return self.style.empty
        code, text = self.queue.popleft()
        return self.style.entry.format(code=code, text=text)


def setting(get: Callable[[], float | str | bool], put: Callable[[Call], None]) -> Handler:
    """A command that sets with a parameter and answers with a question mark."""

    def handle(call: Call) -> Reply:
        if not call.query:
            put(call)
            return None
        value = get()
        if isinstance(value, bool):
            return str(int(value))
        return value if isinstance(value, str) else f"{value:.9E}"

    return handle


def ignored(call: Call) -> Reply:
    """A setting that changes nothing here."""
    return "0" if call.query else None


def definite(payload: bytes) -> bytes:
    """`#<n><len><payload>`."""
    length = str(len(payload)).encode()
    return b"#" + str(len(length)).encode() + length + payload


def _split(text: str, separator: str) -> Iterable[str]:
    """Splits outside quotes and parentheses."""
    depth, quote, part = 0, "", ""
    for char in text:
        if quote:
            quote = "" if char == quote else quote
        elif char in "\"'":
            quote = char
        elif char in "()":
            depth += 1 if char == "(" else -1
        if char == separator and not quote and depth == 0:
            yield part
            part = ""
        else:
            part += char
    yield part
