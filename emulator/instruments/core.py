"""One SCPI instrument whose command set is a table: bytes in, bytes out.

Every command of the table is taken and remembered; what has an effect, the model adds by the name in the table:
`actions` replace what a command does, `hooks` look at a value before it is kept, `computed` answer a query with what is
so now. What is in no table is the instrument's own error -113.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable

from emulator.instruments.call import Action, Call, Key, Reply
from emulator.instruments.common import common_actions
from emulator.instruments.refused import Refused
from emulator.rack.stand import Stand
from firmware_specs.instruments import Command, Table
from firmware_specs.instruments.kinds import Value
from firmware_specs.racks.wiring import Instrument
from firmware_specs.scpi import Overrun, Parameters, ScpiError, Splitter, Unit, errors, units
from firmware_specs.scpi.status import Status, event_bit

TEXTS = errors.TEXTS | {-222: "Parameter data out of range"}
"""SCPI's own, as these instruments word them."""
NOTHING = Refused(-230, "Data corrupt or stale")
OVERFLOW = (-350, "Queue overflow")
PLAIN = re.compile(rb"[^#\"']*\n")
REMEMBERED, REMEMBERED_BYTES = 500, 200
LARGEST = 9e37
"""Whole numbers beyond are written as SCPI writes infinity."""


Hook = Callable[..., object]
"""Called with the value, then the suffixes; refuses by raising `Refused`."""
Computed = Callable[..., Value]
"""Called with the suffixes."""


class ScpiInstrument:
    """One instrument.

    Args:
        bench: What it stands on.
        name: As the bench calls it.
        spec: Model and serial.
        table: Its command set.

    Attributes:
        actions: What commands do, by name.
        hooks: What looks at a value before it is kept, by name.
        computed: What answers a query, by name.
        kept: Settings that were changed, by name, suffixes and channel.
        named: Commands by the name of what they act on.
        saved: Settings saved by `*SAV`.
        service: Called when the status byte begins to ask for service.
    """

    deadline: float | None = None
    """It never waits for anything."""

    def __init__(self, bench: Stand, name: str, spec: Instrument, table: Table) -> None:
        self.bench, self.name, self.spec, self.table = bench, name, spec, table
        self.status = Status()
        self.queue: deque[tuple[int, str]] = deque()
        self.actions: dict[str, Action] = common_actions(self)
        self.hooks: dict[str, Hook] = {}
        self.computed: dict[str, Computed] = {}
        self.service: Callable[[], None] = lambda: None
        self.kept: dict[Key, Value] = {}
        self.named = {command.name: command for command in reversed(table.commands)}
        self._splitter = Splitter()
        self._read_before: dict[bytes, list[Unit]] = {}
        self._asked = False
        self._bus_s = spec.facts.bus_s
        self.saved: dict[int, dict[Key, Value]] = {}

    def identity(self) -> str:
        """Answer to `*IDN?`."""
        if f"identity:{self.name}" in self.bench.faults:
            return "ACME,WRONG BOX,0,0"
        return self.spec.facts.identity.format(serial=self.spec.serial or "1000001")

    def reset(self) -> None:
        """What `*RST` does beside forgetting settings; models add theirs."""

    def get(self, name: str, *suffixes: int, channel: str = "") -> Value:
        """Present value of a setting."""
        value = self.kept.get((name, suffixes, channel))
        if value is None:
            value = self.named[name].reset
        if value is None:
            raise NOTHING
        return value

    def number(self, name: str, *suffixes: int) -> float:
        """`get`, of a numeric setting."""
        return float(self.get(name, *suffixes))  # type: ignore[arg-type]

    def numbers(self, name: str, *suffixes: int) -> tuple[float, ...]:
        """`get`, of a setting that is a list of numbers."""
        value = self.get(name, *suffixes)
        return value if isinstance(value, tuple) else ()

    def keep(self, name: str, value: Value, *suffixes: int, channel: str = "") -> None:
        """Changes a setting from inside."""
        self.kept[name, suffixes, channel] = value

    def recall(self, settings: dict[Key, Value]) -> None:
        """Settings as they were saved; an output does not go on by itself."""
        self.forget()
        self.reset()
        for (name, suffixes, channel), value in settings.items():
            if name != "output":
                self.hooks.get(name, lambda *_: None)(value, *suffixes)
                self.keep(name, value, *suffixes, channel=channel)

    def forget(self, prefix: str = "") -> None:
        """Settings back to what the table says, those whose name begins with `keep.` excepted."""
        self.kept = {k: v for k, v in self.kept.items() if k[0].startswith("keep.") or not k[0].startswith(prefix)}

    def feed(self, data: bytes) -> bytes:
        """Takes bytes in, gives answers out."""
        if not self._splitter.pending and data.find(b"\n") == len(data) - 1 and PLAIN.fullmatch(data):
            return self._message(data[:-1])  # one whole line without strings or blocks, as most are
        return b"".join(self._message(message) for message in self._splitter.feed(data))

    def feed_message(self, data: bytes) -> bytes:
        """The same where the interface marks the end of a message."""
        return self.feed(data) + b"".join(self._message(message) for message in self._splitter.end())

    def clear(self) -> None:
        """Device clear: what is half received is forgotten."""
        self._splitter.clear()

    def trigger(self) -> bytes:
        """A trigger of the bus."""
        return self.feed(b"*TRG\n")

    def status_byte(self, message: bool = False) -> int:
        """As a serial poll reads it."""
        return self.status.byte(bool(self.queue), message)

    def fail(self, code: int, text: str) -> None:
        """Puts an error into the queue."""
        self.bench.log.add("error", self.name, code, text)
        self.status.events |= event_bit(code)
        if len(self.queue) < self.table.style.depth:
            self.queue.append((code, text))
        else:
            self.queue[-1] = OVERFLOW

    def _message(self, message: bytes | Overrun) -> bytes:
        self.bench.advance(self._bus_s)
        if isinstance(message, Overrun):
            self.fail(-363, TEXTS[-363])
            return b""
        if self.bench.log.commands:
            self.bench.log.add("command", self.name, text=message.decode(errors="replace").strip())
        try:
            found = self._units(message)
        except ValueError:
            self.fail(-102, TEXTS[-102])
            return b""
        before = self._asked
        replies = [reply for unit in found if (reply := self._unit(unit)) is not None]
        self._asked = self.status.service_enable > 0 and bool(self.status_byte() & 64)
        if self._asked and not before:
            self.service()
        return b";".join(r.encode() if isinstance(r, str) else r for r in replies) + b"\n" if replies else b""

    def _units(self, message: bytes) -> list[Unit]:
        """Units of a message; those of short ones are remembered, since scripts repeat themselves."""
        found = self._read_before.get(message)
        if found is None:
            found = units(message.replace(b":*", b"*").strip())
            if len(message) < REMEMBERED_BYTES and len(self._read_before) < REMEMBERED:
                self._read_before[message] = found
        return found

    def _unit(self, unit: Unit) -> Reply:
        try:
            return self._carry_out(unit)
        except ScpiError as error:
            self.fail(error.code, TEXTS.get(error.code, "Execution error"))
        except Refused as refused:
            self.fail(refused.code, refused.text)
        return None

    def _carry_out(self, unit: Unit) -> Reply:
        try:
            command, given = self.table.find(unit.header)
        except LookupError as error:
            raise ScpiError(-113, unit.header) from error
        except ValueError as error:
            raise ScpiError(-114, unit.header) from error
        if not (command.asks if unit.query else command.sets):
            raise ScpiError(-113, unit.header)
        suffixes = tuple(1 if suffix is None else suffix for suffix in given)
        call = Call(command, suffixes, Parameters(unit.parameters), unit.query)
        action = self.actions.get(command.name)
        reply = (action or (self._ask if unit.query else self._put))(call)
        call.p.end()
        return reply

    def _ask(self, call: Call) -> Reply:
        command, p = call.command, call.p
        extreme = command.kind.extreme(p, command.reset)
        channels = p.channels() if p.at_channels else [""]
        if extreme is not None:
            return self.written(command, extreme)
        compute = self.computed.get(command.name)
        values = [
            self.get(command.name, *call.suffixes, channel=c) if compute is None else compute(*call.suffixes)
            for c in channels
        ]
        return ",".join(self.written(command, value) for value in values)

    def _put(self, call: Call) -> None:
        command, p = call.command, call.p
        if command.kind.name == "none":
            return
        value = command.kind.read(p, command.reset)
        channels = p.channels() if command.channels and p.at_channels else [""]
        p.end()
        for channel in channels:
            hook = self.hooks.get(command.name)
            if hook is not None and not channel:
                hook(value, *call.suffixes)
            self.keep(command.name, value, *call.suffixes, channel=channel)

    def written(self, command: Command, value: Value) -> str:
        """A value as this model answers it."""
        style, kind = self.table.style, command.kind
        if isinstance(value, bool):
            return str(int(value))
        if isinstance(value, tuple):
            return ",".join(style.real.format(v) for v in value)
        if isinstance(value, str):
            text = kind.answer(value)
            quotes = kind.name == "string" or (kind.name == "quoted" and style.quotes)
            return f'"{text}"' if quotes else text
        return (
            style.whole.format(round(value)) if kind.name == "int" and abs(value) < 9e37 else style.real.format(value)
        )

    def next_error(self) -> str:
        """The oldest entry of the error queue, in the model's words."""
        if not self.queue:
            return self.table.style.empty
        code, text = self.queue.popleft()
        return self.table.style.error.format(code=code, text=text)
