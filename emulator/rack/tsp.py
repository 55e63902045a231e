"""A small TSP front: assignments, calls and `print` of Keithley's Lua boxes; no scripts, no control flow."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from emulator.rack.bench import Bench
from emulator.rack.sources import Refused
from firmware_specs.racks.schema import Instrument

Value = float | str | bytes | None
Getter = Callable[[str], Value | tuple[Value, ...]]

_TOKEN = re.compile(
    r"\s*(?:(?P<number>-?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)|(?P<string>\"[^\"]*\"|'[^']*')|(?P<name>[A-Za-z_][\w.]*)|(?P<mark>[=(),;]))"
)
SYNTAX = Refused(-285, "TSP Syntax error at line 1: unexpected symbol")


@dataclass(frozen=True)
class Name:
    """A path: `smua.source.levelv`."""

    path: str


@dataclass(frozen=True)
class CallTo:
    """A call in a statement or an expression."""

    path: str
    args: tuple[Expression, ...]


@dataclass(frozen=True)
class Assign:
    """`path = expression`."""

    path: str
    value: Expression


Expression = Name | CallTo | float | str
Statement = Assign | CallTo


def parse(line: str) -> Iterator[Statement]:
    """Statements of a line.

    Raises:
        Refused: -285, anything else.
    """
    tokens = _tokens(line)
    while tokens:
        kind, text = tokens.popleft()
        if text == ";":
            continue
        if kind != "name" or not tokens:
            raise SYNTAX
        _, mark = tokens.popleft()
        if mark == "=":
            yield Assign(text, _expression(tokens))
        elif mark == "(":
            yield CallTo(text, _arguments(tokens))
        else:
            raise SYNTAX


def _tokens(line: str) -> deque[tuple[str, str]]:
    tokens: deque[tuple[str, str]] = deque()
    position = 0
    while line[position:].strip():
        match = _TOKEN.match(line, position)
        if match is None:
            raise SYNTAX
        tokens.append((str(match.lastgroup), match[match.lastgroup or 0]))
        position = match.end()
    return tokens


def _expression(tokens: deque[tuple[str, str]]) -> Expression:
    if not tokens:
        raise SYNTAX
    kind, text = tokens.popleft()
    if kind == "number":
        return float(text)
    if kind == "string":
        return text[1:-1]
    if kind != "name":
        raise SYNTAX
    if tokens and tokens[0][1] == "(":
        tokens.popleft()
        return CallTo(text, _arguments(tokens))
    return Name(text)


def _arguments(tokens: deque[tuple[str, str]]) -> tuple[Expression, ...]:
    args: list[Expression] = []
    while tokens:
        if tokens[0][1] == ")":
            tokens.popleft()
            return tuple(args)
        args.append(_expression(tokens))
        if tokens and tokens[0][1] == ",":
            tokens.popleft()
    raise SYNTAX


def number_text(value: Value) -> str:
    """A value as `print` writes it: numbers as `1.00000e-03`."""
    if value is None:
        return "nil"
    return value if isinstance(value, str) else f"{float(value):.5e}"


class TspBox:
    """One TSP instrument: bytes in, bytes out. Instruments give it `get`, `put` and `call` of their paths.

    Args:
        bench: The bench it stands on.
        name: As the rack calls it.
        spec: Model and serial.
    """

    def __init__(self, bench: Bench, name: str, spec: Instrument) -> None:
        self.bench, self.name, self.spec = bench, name, spec
        self.queue: deque[tuple[int, str]] = deque()
        self._line = bytearray()

    def get(self, path: str) -> Value:
        """Value of an attribute; `Refused` where there is none."""
        raise Refused(-286, f"TSP Runtime error at line 1: attempt to index {path!r}")

    def put(self, path: str, value: Value) -> None:
        """Sets an attribute."""
        raise Refused(-286, f"TSP Runtime error at line 1: attempt to index {path!r}")

    def call(self, path: str, args: tuple[Value, ...]) -> Value | tuple[Value, ...]:
        """Calls a function."""
        raise Refused(-286, f"TSP Runtime error at line 1: attempt to call {path!r}")

    def identity(self) -> str:
        """Answer to `*IDN?`."""
        if f"identity:{self.name}" in self.bench.faults:
            return "ACME,WRONG BOX,0,0"
        return self.spec.facts.identity.format(serial=self.spec.serial or "1000001")

    def feed(self, data: bytes) -> bytes:
        """Takes bytes in, gives answers out."""
        self._line += data
        out = b""
        while (end := self._line.find(b"\n")) >= 0:
            line = bytes(self._line[:end]).decode(errors="replace").strip()
            del self._line[: end + 1]
            self.bench.advance(self.spec.facts.bus_s)
            self.bench.log.add("command", self.name, text=line)
            out += self._execute(line)
        return out

    def fail(self, refused: Refused) -> None:
        """Puts an error into the queue."""
        self.bench.log.add("error", self.name, refused.code, refused.text)
        self.queue.append((refused.code, refused.text))

    def _execute(self, line: str) -> bytes:
        core = {"*IDN?": self.identity, "*OPC?": lambda: "1", "*STB?": lambda: str(4 if self.queue else 0)}
        if line.upper() in core:
            return core[line.upper()]().encode() + b"\n"
        out = b""
        try:
            for statement in list(parse(line)):
                out += self._run(statement)
        except Refused as refused:
            self.fail(refused)
        return out

    def _run(self, statement: Statement) -> bytes:
        if isinstance(statement, Assign):
            value = self._value(statement.value)
            self.put(statement.path, value[0] if isinstance(value, tuple) else value)
            return b""
        if statement.path == "print":
            printed: list[Value] = []
            for argument in statement.args:
                value = self._value(argument)
                printed += list(value) if isinstance(value, tuple) else [value]
            return "\t".join(number_text(v) for v in printed).encode() + b"\n"
        value = self._call(statement)
        return value if isinstance(value, bytes) else b""

    def _value(self, expression: Expression) -> Value | tuple[Value, ...]:
        if isinstance(expression, Name):
            return float(len(self.queue)) if expression.path == "errorqueue.count" else self.get(expression.path)
        if isinstance(expression, CallTo):
            return self._call(expression)
        return expression

    def _call(self, call: CallTo) -> Value | tuple[Value, ...]:
        if call.path == "errorqueue.next":
            code, text = self.queue.popleft() if self.queue else (0, "Queue Is Empty")
            return (float(code), text, 20.0 if code else 0.0, 1.0)
        if call.path == "errorqueue.clear":
            self.queue.clear()
            return None
        if call.path == "delay":
            self.bench.advance(float(self._number(call.args[0])))
            return None
        values = (self._value(a) if not isinstance(a, Name) else self._reference(a) for a in call.args)
        return self.call(call.path, tuple(v[0] if isinstance(v, tuple) else v for v in values))

    def _reference(self, name: Name) -> Value:
        """A buffer is passed by name, anything else by value."""
        return name.path if "buffer" in name.path else self.get(name.path)

    def _number(self, expression: Expression) -> float:
        value = self._value(expression)
        if not isinstance(value, float):
            raise Refused(-286, "TSP Runtime error at line 1: a number was expected")
        return value
