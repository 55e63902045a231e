"""The reading buffers of Keithley's touch-screen boxes: TRACe commands, and readings as text or as a block."""

from __future__ import annotations

from functools import partial

from emulator.instruments.answers import reals
from emulator.instruments.buffers import ELEMENTS, NUMERIC, Buffer, Entry, element
from emulator.instruments.core import Action, Call, Reply, ScpiInstrument
from emulator.instruments.refused import Refused
from firmware_specs.scpi import Parameters

DEFAULT_SIZE, LARGEST = 100_000, 6_875_000
DEFAULTS = ("defbuffer1", "defbuffer2")
MOST_BUFFERS = 100
NO_BUFFER = Refused(-224, "Illegal parameter value")


class Buffers:
    """All buffers of one box."""

    def __init__(self, box: ScpiInstrument) -> None:
        self._box = box
        self._named: dict[str, Buffer] = {}
        self.reset()

    def reset(self) -> None:
        """The two default buffers, empty."""
        self._named = {name: Buffer(DEFAULT_SIZE) for name in DEFAULTS}

    def actions(self) -> dict[str, Action]:
        """Commands by name."""
        found: dict[str, Action] = {
            "trace.make": self._make,
            "trace.delete": self._delete,
            "trace.clear": lambda c: self.of(self.name(c.p)).entries.clear(),
            "trace.points": self._points,
            "trace.mode": self._mode,
            "trace.actual": lambda c: str(len(self.of(self.name(c.p)).entries)),
            "trace.start": lambda c: str(min(1, len(self.of(self.name(c.p)).entries))),
            "trace.end": lambda c: str(len(self.of(self.name(c.p)).entries)),
            "trace.data": self._data,
            "statistics.clear": lambda c: self.name(c.p) and None,
        }
        for which in ("mean", "max", "min", "sd", "span"):
            found[f"statistics.{which}"] = partial(self._statistic, which)
        return found

    def of(self, name: str) -> Buffer:
        """A buffer by name."""
        found = self._named.get(name)
        if found is None:
            raise NO_BUFFER
        return found

    def name(self, p: Parameters) -> str:
        """The buffer a message names next, `defbuffer1` where it names none."""
        name = p.string() if p.left else DEFAULTS[0]
        self.of(name)
        return name

    def asked(self, p: Parameters) -> tuple[str, list[str]]:
        """Buffer and elements that a message asks for."""
        return self.name(p), [p.spelled(ELEMENTS) for _ in range(p.left)] or ["READing"]

    def add(self, name: str, entry: Entry) -> None:
        """Keeps a reading of the box."""
        if not self.of(name).add(entry):
            raise Refused(4915, f"Reading buffer {name} is full")

    def reset_readings(self, name: str) -> None:
        """A sweep begins with an empty buffer."""
        self.of(name).entries.clear()

    def last(self, p: Parameters) -> bytes | str:
        """FETCh?: the last reading of a buffer."""
        name, wanted = self.asked(p)
        entries = self.of(name).entries
        if not entries:
            raise Refused(-230, "Data corrupt or stale")
        return self.write(name, entries[-1:], wanted)

    def write(self, name: str, entries: list[Entry], wanted: list[str]) -> bytes | str:
        """Readings in the present format; only numbers go into blocks."""
        box = self._box
        first_s = self.of(name).entries[0].at_s
        reading = box.table.style.reading
        values = [element(what, entry, first_s, reading) for entry in entries for what in wanted]
        form = box.get("format.data")
        if form == "ASCii":
            return ",".join(v if isinstance(v, str) else self._number(v) for v in values)
        if set(wanted) - set(NUMERIC):
            raise Refused(-221, "Settings conflict; text does not go into a binary format")
        numbers = [float(v) for v in values]
        swapped = box.get("format.order") == "SWAPped"
        return reals(numbers, double=form == "REAL", swapped=swapped, definite=False)

    def _number(self, value: float) -> str:
        digits = int(self._box.number("format.precision"))
        return f"{value:.{digits - 1}E}" if digits else self._box.table.style.reading.format(value)

    def _statistic(self, which: str, call: Call) -> Reply:
        return self._number(self.of(self.name(call.p)).statistic(which))

    def _make(self, call: Call) -> Reply:
        name, size = call.p.string(), call.p.integer(1, LARGEST)
        if call.p.left:
            call.p.spelled(("STANdard", "COMPact", "FULL", "WRITable", "FULLWRITable"))
        if name in self._named or len(self._named) >= MOST_BUFFERS or not name.isidentifier():
            raise NO_BUFFER
        self._named[name] = Buffer(size)
        return None

    def _delete(self, call: Call) -> Reply:
        name = self.name(call.p)
        if name in DEFAULTS:
            raise NO_BUFFER
        del self._named[name]
        return None

    def _points(self, call: Call) -> Reply:
        if call.query:
            return str(self.of(self.name(call.p)).size)
        size = call.p.integer(0, LARGEST)
        self.of(self.name(call.p)).resize(size or LARGEST)
        return None

    def _mode(self, call: Call) -> Reply:
        if call.query:
            return "ONCE" if self.of(self.name(call.p)).once else "CONT"
        once = call.p.spelled(("CONTinuous", "ONCE")) == "ONCE"
        self.of(self.name(call.p)).once = once
        return None

    def _data(self, call: Call) -> Reply:
        p = call.p
        first, last = p.integer(1), p.integer(1)
        name, wanted = self.asked(p)
        entries = self.of(name).entries
        if not first <= last <= len(entries):
            raise Refused(-222, "Parameter data out of range")
        return self.write(name, entries[first - 1 : last], wanted)
