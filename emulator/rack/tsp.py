"""A small TSP front: what Keithley's Lua boxes do with a line, their error queue, and waiting for a trigger.

A box that waits for a trigger carries out nothing else until `*TRG` arrives or its time is over. That time is real
time, not the bench's: it is about a host that has fallen silent.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Generator

from emulator.rack.bench import Bench
from emulator.rack.lua import Assign, CallTo, Define, Expression, Name, Statement, Unless, parse
from emulator.rack.scpi import MOST_LINE
from emulator.rack.sources import Refused
from firmware_specs.racks.wiring import Instrument

Value = float | str | bytes | None
Running = Generator[float, bool, bytes]
"""A line being carried out: yields how long it waits for a trigger, is sent whether one came, returns its answer."""


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
        self._inbox: deque[str] = deque()
        self._triggered = False
        self._in_message = False
        self._waiting: tuple[Running, float] | None = None
        self._functions: dict[str, tuple[Statement, ...]] = {}
        self._globals: dict[str, Value] = {}

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

    @property
    def deadline(self) -> float | None:
        """When it stops waiting for a trigger, monotonic seconds; None while it does not."""
        return None if self._waiting is None else self._waiting[1]

    def feed(self, data: bytes) -> bytes:
        """Takes bytes in, gives answers out; no bytes: looks at the time."""
        self._line += data
        if len(self._line) > MOST_LINE and b"\n" not in self._line:
            self._line.clear()  # as an instrument whose input buffer runs over
        while (end := self._line.find(b"\n")) >= 0:
            line = bytes(self._line[:end]).decode(errors="replace").strip()
            del self._line[: end + 1]
            if line.upper() == "*TRG":  # the interface sees it, whatever the box is doing
                self._triggered = True
            else:
                self._inbox.append(line)
        out = b""
        while self._waiting is not None or self._inbox:
            if self._waiting is None:
                line = self._inbox.popleft()
                self._take_message()
                self.bench.log.add("command", self.name, text=line)
                out += self._resume(self._execute(line), None)
            elif self._triggered or time.monotonic() >= self._waiting[1]:
                came, self._triggered = self._triggered, False
                self._take_message()
                self._in_message = came
                out += self._resume(self._waiting[0], came)
            else:
                break
        return out

    def _take_message(self) -> None:
        """A message takes its time on the bus, once: what follows a trigger comes with it."""
        if not self._in_message:
            self.bench.advance(self.spec.facts.bus_s)

    def _resume(self, running: Running, came: bool | None) -> bytes:
        self._waiting = None
        try:
            seconds = next(running) if came is None else running.send(came)
        except StopIteration as done:
            return bytes(done.value)
        self._waiting, self._in_message = (running, time.monotonic() + seconds), False
        return b""

    def fail(self, refused: Refused) -> None:
        """Puts an error into the queue."""
        self.bench.log.add("error", self.name, refused.code, refused.text)
        self.queue.append((refused.code, refused.text))

    def _execute(self, line: str) -> Running:
        core = {"*IDN?": self.identity, "*OPC?": lambda: "1", "*STB?": lambda: str(4 if self.queue else 0)}
        if line.upper() in core:
            return core[line.upper()]().encode() + b"\n"
        out = b""
        try:
            for statement in list(parse(line)):
                out += yield from self._run(statement)
        except Refused as refused:
            self.fail(refused)
        return out

    def _run(self, statement: Statement) -> Running:
        match statement:
            case Assign(path, expression):
                value = self._value(expression)
                value = value[0] if isinstance(value, tuple) else value
                if "." in path:
                    self.put(path, value)
                else:
                    self._globals[path] = value
            case Define(name, body):
                self._functions[name] = body
            case Unless(condition, body):
                if not (yield from self._wait(condition)):
                    return (yield from self._block(body))
            case CallTo("print", args):
                return self._print(args)
            case CallTo(path) if path in self._functions:
                return (yield from self._block(self._functions[path]))
            case CallTo():
                value = self._call(statement)
                return value if isinstance(value, bytes) else b""
        return b""

    def _block(self, body: tuple[Statement, ...]) -> Running:
        out = b""
        for statement in body:
            out += yield from self._run(statement)
        return out

    def _wait(self, call: CallTo) -> Generator[float, bool, bool]:
        if call.path != "trigger.wait":
            return bool(self._call(call))
        came = yield self._number(call.args[0])
        return came

    def _print(self, args: tuple[Expression, ...]) -> bytes:
        printed: list[Value] = []
        for argument in args:
            value = self._value(argument)
            printed += list(value) if isinstance(value, tuple) else [value]
        return "\t".join(number_text(v) for v in printed).encode() + b"\n"

    def _value(self, expression: Expression) -> Value | tuple[Value, ...]:
        if isinstance(expression, Name):
            if "." not in expression.path:
                return self._globals.get(expression.path)
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
        if call.path == "trigger.clear":
            self._triggered = False
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
