"""A TSP instrument: lines in, what `print` prints out; scripts, error queue, waiting for a trigger.

A box that waits for a trigger carries out nothing else until `*TRG` arrives or its time is over. That time is real
time, not the bench's: it is about a host that has fallen silent.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any

from emulator.instruments.refused import Refused
from emulator.instruments.tsp.common import common, number
from emulator.instruments.tsp.lua import Lua
from emulator.instruments.tsp.scripts import Loading
from emulator.instruments.tsp.tree import Tree
from emulator.rack.stand import Stand
from firmware_specs.racks.wiring import Instrument
from firmware_specs.scpi.status import Status, event_bit

Method = Callable[..., Any]
QUEUE = 100
LINE_LIMIT = 1 << 16
SEVERE = 20.0


class TspBox:
    """One TSP instrument. Models fill its tree with attributes and its `methods` with functions.

    Args:
        bench: What it stands on.
        name: As the bench calls it.
        spec: Model and serial.
        table: Name of its attribute table.

    Attributes:
        tree: Attributes by path.
        methods: Functions by path.
        queue: Error queue: code and text.
        service: Called when the status byte begins to ask for service.
    """

    columns = "readings timestamps sourcevalues statuses units"
    """What a reading buffer holds beside its attributes."""

    def __init__(self, bench: Stand, name: str, spec: Instrument, table: str) -> None:
        self.bench, self.name, self.spec = bench, name, spec
        self.queue: deque[tuple[int, str]] = deque()
        self.status = Status()
        self.tree = self.make_tree(table)
        self.service: Callable[[], None] = lambda: None
        self.methods: dict[str, Method] = {
            "errorqueue.next": self._next_error,
            "errorqueue.clear": lambda *_: self.queue.clear(),
            "trigger.clear": self._forget_trigger,
            "reset": lambda *_: self.reset(),
            "status.reset": lambda *_: None,
            "opc": self._complete,
            "waitcomplete": lambda *_: None,
            "beeper.beep": lambda *_: None,
            "timer.reset": lambda *_: self._start_timer(),
            "timer.measure.t": lambda *_: self.bench.now_s - self._timer_s,
        }
        self.tree.computed["errorqueue.count"] = lambda: len(self.queue)
        self.tree.computed["localnode.linefreq"] = lambda: bench.line_hz
        self.tree.computed["localnode.serialno"] = lambda: spec.serial or "1000001"
        self.tree.computed["status.condition"] = self.status_byte
        self.lua = Lua(self._host, self.furnish)
        self._bus_s, self._timer_s = spec.facts.bus_s, 0.0
        self._line = bytearray()
        self._inbox: deque[str] = deque()
        self._script: Loading | None = None
        self._output: list[bytes] = []
        self._triggered = self._in_message = self._asked = False
        self._until: float | None = None
        self.furnish()

    def make_tree(self, table: str) -> Tree:
        """The box's attributes."""
        return Tree(table, self.spec.facts.channels)

    def furnish(self) -> None:
        """Gives a new interpreter the box's objects; models add theirs."""
        self.lua.make("builtin", "")
        for path in self.tree.objects(self.methods):
            self.lua.make("object", path)
        for path in self.methods:
            if path not in ("trigger.clear", "opc", "waitcomplete"):
                self.lua.make("method", path)
        for path, value in self.tree.constants.items():
            self.lua.set(path, value)

    def identity(self) -> str:
        """Answer to `*IDN?`."""
        if f"identity:{self.name}" in self.bench.faults:
            return "ACME,WRONG BOX,0,0"
        return self.spec.facts.identity.format(serial=self.spec.serial or "1000001")

    def reset(self) -> None:
        """`reset()`: attributes back to what the table says; models add theirs."""
        self.tree.forget()

    @property
    def deadline(self) -> float | None:
        """When it stops waiting for a trigger, monotonic seconds; None while it does not."""
        return self._until

    def status_byte(self, message: bool = False) -> int:
        """As a serial poll reads it."""
        return self.status.byte(bool(self.queue), message)

    def clear(self) -> None:
        """Device clear: what is half received and what waits is forgotten."""
        self._line.clear()
        self._inbox.clear()
        self._script, self._until = None, None

    def feed(self, data: bytes) -> bytes:
        """Takes bytes in, gives answers out; no bytes: looks at the time."""
        self._line += data
        while (end := self._line.find(b"\n")) >= 0:
            self._arrived(bytes(self._line[:end]).decode("latin-1").strip())
            del self._line[: end + 1]
        if len(self._line) > LINE_LIMIT:
            self._line.clear()
            self.fail(-363, "Input buffer overrun")
        while self._until is not None or self._inbox:
            if self._until is None:
                self._take_message()
                self._execute(self._inbox.popleft())
                if self._until is None and self._script is None:
                    self._prompt()
            elif self._triggered or time.monotonic() >= self._until:
                came, self._triggered = self._triggered, False
                self._take_message()
                self._in_message = came
                self._advance(self.lua.go, came)
            else:
                break
        said, self._output = b"".join(self._output), []
        asked = self.status.service_enable > 0 and bool(self.status_byte() & 64)
        if asked and not self._asked:
            self.service()
        self._asked = asked
        return said

    def feed_message(self, data: bytes) -> bytes:
        """The same where the interface marks the end of a message."""
        return self.feed(data if data.endswith(b"\n") else data + b"\n")

    def _prompt(self) -> None:
        """After a command: errors and the prompt, where somebody switched them on (2600B manual; form from memory)."""
        if self.tree.was_set("localnode.showerrors"):
            while self.queue:
                self.say(("\t".join(self.text(value) for value in self._next_error()) + "\n").encode())
        if self.tree.was_set("localnode.prompts"):
            self.say(b"TSP>\n")

    def fail(self, code: int, text: str) -> None:
        """Puts an error into the queue."""
        self.bench.log.add("error", self.name, code, text)
        self.status.events |= event_bit(code)
        if len(self.queue) < QUEUE:
            self.queue.append((code, text))
        else:
            self.queue[-1] = (-350, "Queue overflow")

    def say(self, data: bytes) -> None:
        """What goes out as it is."""
        self._output.append(data)

    def _arrived(self, line: str) -> None:
        if line.upper() == "*TRG":  # the interface sees it, whatever the box is doing
            self._triggered = True
        elif line:
            self._inbox.append(line)

    def _take_message(self) -> None:
        """A message takes its time on the bus, once: what follows a trigger comes with it."""
        if not self._in_message:
            self.bench.advance(self._bus_s)

    def _execute(self, line: str) -> None:
        if self.bench.log.commands:
            self.bench.log.add("command", self.name, text=line)
        if self._script is not None:
            self._collect(self._script, line)
        elif line[:4].lower() == "load" and (script := Loading.begun(line)):
            self._script = script
        elif line.startswith("*"):
            common(self, line.upper())
        else:
            self.chunk(line)

    def chunk(self, text: str) -> None:
        """Runs a piece of Lua."""
        self._advance(self.lua.start, text)

    def _advance(self, run: Callable[..., float | None], *given: object) -> None:
        self._until = None
        try:
            seconds = run(*given)
        except Refused as refused:
            self.fail(refused.code, refused.text)
            return
        if seconds is not None:
            self._until, self._in_message = time.monotonic() + seconds, False

    def _collect(self, script: Loading, line: str) -> None:
        try:
            chunks = script.take(line)
        except Refused as refused:
            self._script = None
            self.fail(refused.code, refused.text)
            return
        if chunks is not None:
            self._script = None
            for chunk in chunks:
                self.chunk(chunk)

    def _host(self, verb: str, *given: Any) -> Any:
        """What the prelude calls."""
        match verb:
            case "get":
                return self.tree.get(f"{given[0]}.{given[1]}") if isinstance(given[1], str) else self.item(*given)
            case "put":
                self.tree.put(f"{given[0]}.{given[1]}", given[2])
            case "names":
                return self.names(given[0])
            case "call":
                return self.methods[given[0]](*given[1:]) if given[0] in self.methods else self.other(*given)
            case "print":
                self.say(("\t".join(self.text(value) for value in given) + "\n").encode("latin-1", errors="replace"))
            case "printnumber" | "printbuffer":
                getattr(self, verb)(*given)
            case "delay":
                self.bench.advance(max(0.0, number(given[0] if given else None)))
            case "time":
                return 1_767_225_600 + int(self.bench.now_s)
            case "clock":
                return self.bench.now_s
            case "makebuffer":
                return self.make_buffer(number(given[0] if given else None))
            case "columns":
                return self.columns
        return None

    def text(self, value: object) -> str:
        """A value as `print` writes it: numbers as `1.00000e-03`."""
        if isinstance(value, bool):
            return "true" if value else "false"
        if isinstance(value, int | float):
            digits = int(number(self.tree.get("format.asciiprecision")))
            return f"{float(value):.{max(0, digits - 1)}e}"
        return "nil" if value is None else str(value)

    def names(self, path: str) -> str:
        """Attributes of an object, with `=` behind those that may be set."""
        return self.tree.names(path)

    def item(self, path: str, index: float) -> Any:
        """An element of an object by number."""
        raise Refused(-286, f"TSP Runtime error at line 1: attempt to index {path!r}")

    def other(self, path: str, *given: Any) -> Any:
        """A function that is not in `methods`."""
        raise Refused(-286, f"TSP Runtime error at line 1: attempt to call {path!r}")

    def make_buffer(self, size: float) -> str:
        """A new reading buffer, by its path; a box without buffers has no such function."""
        return str(self.other("makebuffer", size))

    def printnumber(self, *values: Any) -> None:
        """Numbers in the present format."""
        self.write_numbers([number(value) for value in values])

    def printbuffer(self, *given: Any) -> None:
        """Columns of buffers; a box without buffers has no such function."""
        self.other("printbuffer", *given)

    def write_numbers(self, values: Iterable[float]) -> None:
        """Text with commas, or a block open to the end of the message."""
        raise NotImplementedError

    def _next_error(self, *_: object) -> tuple[float, str, float, float]:
        code, text = self.queue.popleft() if self.queue else (0, "Queue Is Empty")
        return float(code), text, SEVERE if code else 0.0, 1.0

    def _start_timer(self) -> None:
        self._timer_s = self.bench.now_s

    def _forget_trigger(self, *_: object) -> None:
        self._triggered = False

    def _complete(self, *_: object) -> None:
        self.status.events |= 1
