"""Virtual Keithley 2450 in its TSP command set: scripts, settings of each function, buffers, sweeps, trigger blocks."""

from __future__ import annotations

import math
import re
import struct
from functools import partial
from importlib import resources
from typing import Any

from emulator.instruments.buffers import EPOCH_S, Entry
from emulator.instruments.models.keithley2450_blocks import Blocks
from emulator.instruments.models.keithley2450_engine import Engine
from emulator.instruments.models.keithley2450_lists import ConfigLists
from emulator.instruments.models.keithley2450_settings import FunctionTree, wire
from emulator.instruments.models.keithley2450_sweeps import Sweeps
from emulator.instruments.models.keithley2450_tsp_buffers import COLUMNS, NAMES, NUMERIC, TspBuffers
from emulator.instruments.refused import Refused
from emulator.instruments.smu import NAN, SmuChannel
from emulator.instruments.tsp.box import TspBox
from emulator.instruments.tsp.common import whole
from emulator.rack.inaccuracy import Inaccuracy
from emulator.rack.stand import Stand
from firmware_specs.instruments.kinds import Value
from firmware_specs.racks.wiring import Instrument

TABLE = "keithley-2450-tsp"
LANGUAGE = re.compile(r"\*LANG(\?|\s+(SCPI|SCPI2400|TSP)\s*$)", re.IGNORECASE)
SILENT = (
    "display.settext", "display.clear", "display.changescreen", "display.delete", "display.prompt", "beeper.beep",
    "display.waitevent", "display.input.number", "display.input.option", "display.input.prompt",
    "display.input.string", "smu.measure.autozero.once", "status.clear", "status.preset", "status.operation.setmap",
    "status.questionable.setmap", "eventlog.post", "eventlog.suppress", "buffer.clearstats", "localnode.settime",
    "lan.ipconfig", "trigger.model.pause", "trigger.model.resume",
)  # fmt: skip
"""Taken, without effect."""
OTHERS = ("errorqueue.next", "errorqueue.clear", "timer.reset", "timer.measure.t", "status.reset")
"""Functions of the 2600B's that this box has not."""
ERROR = 1
MOST_OUTSIDE = 1000
"""Values that `printbuffer` makes up beyond the end of a buffer."""


class Keithley2450Tsp(TspBox):
    """One channel, `smu`; its settings are those of the function in use."""

    columns = " ".join(COLUMNS)
    tree: FunctionTree

    def __init__(self, bench: Stand, name: str, spec: Instrument, inaccuracy: Inaccuracy) -> None:
        self.smu = SmuChannel(bench, f"{name}.1", spec.facts, inaccuracy)
        self.buffers = TspBuffers()
        self.engine = Engine(self, self.smu)
        self.language = "TSP"
        super().__init__(bench, name, spec, TABLE)
        self.reset()

    def make_tree(self, table: str) -> FunctionTree:
        """Settings by function."""
        return FunctionTree(table, self.smu)

    def furnish(self) -> None:
        """Channel, buffers, lists, trigger model."""
        tree, methods = self.tree, self.methods
        for path in OTHERS:
            methods.pop(path, None)
        methods |= dict.fromkeys(SILENT, lambda *_: None)
        methods |= {
            "smu.reset": lambda *_: self.reset_smu(),
            "smu.measure.read": lambda *given: self._read(*given)[0],
            "smu.measure.readwithtime": self._read,
            "smu.measure.rel.acquire": lambda *_: self._acquire(),
            "smu.measure.limit.1.clear": lambda *_: self._clear_limit(1),
            "smu.measure.limit.2.clear": lambda *_: self._clear_limit(2),
            "eventlog.next": self._next_event,
            "eventlog.getcount": lambda mask=ERROR, *_: len(self.queue) if whole(mask) & ERROR else 0,
            "eventlog.clear": lambda *_: self.queue.clear(),
            "timer.cleartime": lambda *_: self._start_timer(),
            "timer.gettime": lambda *_: self.bench.now_s - self._timer_s,
            "localnode.gettime": lambda *_: EPOCH_S + self.bench.now_s,
            "buffer.getstats": lambda path=None, *_: self.buffers.statistics(path),
            "buffer.delete": lambda path=None, *_: self.buffers.delete(path),
        }
        for kind in ("source", "measure"):
            methods[f"smu.{kind}.getattribute"] = partial(self._attribute, kind)
            methods[f"smu.{kind}.setattribute"] = partial(self._set_attribute, kind)
        lists = {kind: ConfigLists(tree, kind) for kind in ("source", "measure")}
        methods |= lists["source"].methods() | lists["measure"].methods()
        methods |= Sweeps(self, lists["source"]).methods() | Blocks(self, lists).methods()
        wire(tree, self.smu, self.engine)
        tree.computed["localnode.model"] = lambda: "2450"
        tree.computed["localnode.version"] = lambda: self.identity().rpartition(",")[2]
        super().furnish()
        for path in ("defbuffer1", "defbuffer2"):
            self.lua.make("buffer", path)
        self.lua.make("maker", "buffer.make")
        for name in ("shared", "interactive"):
            self.lua.run((resources.files("emulator.instruments.tsp") / f"{name}.lua").read_text("utf-8"))

    def reset(self) -> None:
        """`reset()` and `*RST`: everything to defaults, output off."""
        super().reset()
        self.buffers.reset()
        self.reset_smu()

    def reset_smu(self) -> None:
        """The channel to its defaults, output off."""
        self.tree.forget("smu.")
        self.smu.reset()
        self.smu.limit = {"amps": 1.05e-4, "volts": 21.0}
        self.smu.set_output(False)
        self.engine.sweep, self.engine.fails = None, {}

    @property
    def quantity(self) -> str:
        """What is measured."""
        return self.tree.measured

    def setting(self, name: str, function: str, *numbers: int) -> Value:
        """As the engine asks for it."""
        return self.tree.setting(name, function, *numbers)

    def add(self, buffer: str, entry: Entry) -> None:
        """Keeps a reading in a buffer."""
        self.buffers.add(buffer, entry)

    def empty(self, buffer: str) -> None:
        """Takes all readings out of a buffer."""
        self.buffers.of(buffer).entries.clear()

    def names(self, path: str) -> str:
        """Buffers have attributes of their own."""
        return NAMES if path in self.buffers else super().names(path)

    def item(self, path: str, index: float) -> Any:
        """A value of a buffer by its number; nil where there is none."""
        values = self.buffers.column(path)
        if values is None:
            return self.tree.get(f"{path}.{whole(index)}")  # userdelay[N]
        return values[int(index) - 1] if 1 <= index <= len(values) else None

    def other(self, path: str, *given: Any) -> Any:
        """`clear` of a buffer."""
        owner, _, verb = path.rpartition(".")
        if verb == "clear" and owner in self.buffers:
            self.empty(owner)
            return None
        return super().other(path, *given)

    def make_buffer(self, size: float) -> str:
        """A buffer of a script's own."""
        return self.buffers.make(size)

    def _host(self, verb: str, *given: Any) -> Any:
        """Attributes of buffers are their own; `userdelay[3] = 1` puts by a number."""
        if verb in ("get", "put") and given[0] in self.buffers and isinstance(given[1], str):
            return self.buffers.get(*given[:2]) if verb == "get" else self.buffers.put(*given[:3])
        if verb == "put" and isinstance(given[1], float):
            given = (given[0], whole(given[1]), *given[2:])
        return super()._host(verb, *given)

    def text(self, value: object) -> str:
        """As `print` writes it: numbers by the format's digits, as Lua does where it leaves them to the box."""
        digits = whole(self.tree.get("format.asciiprecision"))
        if isinstance(value, int | float) and not isinstance(value, bool) and not digits:
            return f"{float(value):.14g}"
        return super().text(value)

    def printbuffer(self, *given: Any) -> None:
        """`first, last, column, ...`: values in turn; what is outside is no number, and an event."""
        first, last = (whole(given[i] if len(given) > i else None) for i in (0, 1))
        columns = [(str(path), self.buffers.column(str(path))) for path in given[2:]]
        if any(values is None for _, values in columns):
            raise Refused(-286, "TSP Runtime error at line 1: a reading buffer was expected")
        if last - first > max((len(values or ()) for _, values in columns), default=0) + MOST_OUTSIDE:
            raise Refused(-222, "Parameter data out of range")
        text, values = self.tree.get("format.data") == "format.ASCII", []
        outside = False
        for i in range(first - 1, last):
            for path, column in columns:
                inside = 0 <= i < len(column or ())
                numeric = text or path.rpartition(".")[2] in NUMERIC or path in self.buffers
                values.append((column or [])[i] if inside and numeric else NAN)
                outside |= not inside
        self.write_numbers(values)
        if outside:
            raise Refused(-222, "Parameter data out of range")

    def write_numbers(self, values: Any) -> None:
        """Text with commas, or an indefinite block."""
        values, form = list(values), self.tree.get("format.data")
        if form == "format.ASCII":
            self.say((", ".join(self.text(v) for v in values) + "\n").encode("latin-1", errors="replace"))
            return
        order = "<" if self.tree.get("format.byteorder") == "format.LITTLEENDIAN" else ">"
        self.say(b"#0" + struct.pack(f"{order}{len(values)}{'f' if form == 'format.REAL32' else 'd'}", *values) + b"\n")

    def _execute(self, line: str) -> None:
        """`*LANG` works in every command set; the next one comes with the next start."""
        asked = LANGUAGE.match(line)
        if asked is None:
            super()._execute(line)
        elif asked[2]:
            self.language = asked[2].upper()
        else:
            self.say(f"{self.language}\n".encode())

    def _prompt(self) -> None:
        """Events and the prompt after a command, where somebody switched them on."""
        if whole(self.tree.get("localnode.showevents")) & ERROR:
            while self.queue:
                code, text = self.queue.popleft()
                self.say(f"{code}, {text}\n".encode())
        if self.tree.get("localnode.prompts") == "localnode.ENABLE":
            self.say(b"TSP>\n")

    def _next_event(self, mask: Any = 7, *_: Any) -> tuple[Any, ...]:
        """Number, message, severity, node, seconds, nanoseconds."""
        if not self.queue or not whole(mask) & ERROR:
            return 0, "No error", 0, 0, 0, 0
        code, text = self.queue.popleft()
        now = EPOCH_S + self.bench.now_s
        return code, text, ERROR, 0, math.floor(now), int(now % 1 * 1e9)

    def _read(self, buffer: Any = None, *_: Any) -> tuple[float, float, float]:
        """`smu.measure.count` readings; the last one, with the time it was taken."""
        path = "defbuffer1" if buffer is None else buffer
        self.engine.take(path, whole(self.tree.get("smu.measure.count")))
        last = self.buffers.of(path).entries[-1]
        now = EPOCH_S + last.at_s
        return last.value, float(math.floor(now)), now % 1

    def _acquire(self) -> float:
        """A reading without offset, which becomes the offset."""
        self.tree.put("smu.measure.rel.enable", "smu.OFF")
        value = self._read()[0]
        self.tree.put("smu.measure.rel.level", value)
        return value

    def _clear_limit(self, number_: int) -> None:
        self.engine.fails.pop((self.quantity, number_), None)

    def _attribute(self, kind: str, function: Any = None, name: Any = None, *_: Any) -> Any:
        with self.tree.as_function(kind, function):
            return self.tree.get(self.tree.named(name))

    def _set_attribute(self, kind: str, function: Any = None, name: Any = None, value: Any = None, *_: Any) -> None:
        with self.tree.as_function(kind, function):
            self.tree.put(self.tree.named(name), value)
