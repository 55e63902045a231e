"""The meter inside a 34980A: functions, ranges and integration a channel, scan list, readings in memory."""

from __future__ import annotations

from functools import partial
from typing import Protocol

from emulator.instruments.answers import reals
from emulator.instruments.call import Key
from emulator.instruments.core import Action, Call, Reply
from emulator.instruments.meter import MeterInput, Quantity
from emulator.instruments.refused import Refused
from emulator.instruments.settings import Settings
from emulator.rack.inaccuracy import Inaccuracy
from firmware_specs.instruments import Command, Table
from firmware_specs.instruments.kinds import Value
from firmware_specs.racks.wiring import Instrument

QUANTITIES: dict[str, tuple[Quantity, str]] = {
    "volts": ("volts", "VOLTage[:DC]"),
    "amps": ("amps", "CURRent[:DC]"),
    "ohms": ("ohms", "RESistance"),
    "ohms4": ("ohms", "FRESistance"),
    "volts.ac": ("ac", "VOLTage:AC"),
    "kelvin": ("kelvin", "TEMPerature"),
}
BY_WORD = {word: name for name, (_, word) in QUANTITIES.items()}
RANGED = {"volts": "volts", "amps": "amps", "ohms": "ohms", "ohms4": "ohms"}
MEMORY = 500_000
CONFLICT = Refused(-221, "Settings conflict")
STALE = Refused(-230, "Data stale")
DEADLOCK = Refused(-214, "Trigger deadlock")


class Mainframe(Settings, Protocol):
    """A box with a meter behind multiplexers.

    Attributes:
        every: Channels of its cards.
        kept: Settings that were changed.
        named: Commands by the name of what they act on.
    """

    name: str
    spec: Instrument
    table: Table
    every: set[str]
    kept: dict[Key, Value]
    named: dict[str, Command]

    def known(self, channels: list[str], there: set[str]) -> list[str]:
        """Channels that there are."""
        ...


class ScanMeter:
    """The meter of one mainframe.

    Args:
        box: Whose it is.
        inaccuracy: Its errors.
        scanned: Channel -> what it reads, where that is not the box's own terminal of that name.
    """

    def __init__(self, box: Mainframe, inaccuracy: Inaccuracy, scanned: dict[str, str]) -> None:
        self._box, self._scanned, self._inaccuracy = box, scanned, inaccuracy
        self._scan: list[str] = []
        self._memory: list[float] = []
        self._waiting = False
        self._form = "ASC"
        self._input = MeterInput(box.bench, box.name, box.spec.facts, inaccuracy)

    def reset(self) -> None:
        """Nothing to scan, nothing in memory."""
        self._scan, self._waiting, self._form = [], False, "ASC"
        self._memory.clear()

    def actions(self) -> dict[str, Action]:
        """Commands by name."""
        found: dict[str, Action] = {
            "scan": self._list,
            "scan.size": lambda c: f"{len(self._scan):+d}",
            "read": self._read,
            "initiate": lambda c: self._initiate(),
            "abort": lambda c: self._abort(),
            "fetch": lambda c: self._fetch(),
            "remove": self._remove,
            "data.points": lambda c: f"{len(self._memory):+d}",
            "data.last": lambda c: self._write(self._memory[-1:]) if self._memory else "+9.91000000E+37",
            "format.data": self._format,
            "configured": self._configured,
        }
        for name in QUANTITIES:
            found[f"configure.{name}"] = partial(self._configure, name)
            found[f"measure.{name}"] = partial(self._measure, name)
        return found

    def triggered(self) -> None:
        """`*TRG`: a scan that waits for it begins."""
        if not self._waiting:
            raise Refused(-211, "Trigger ignored")
        self._waiting = False
        self._run()

    def _of(self, channel: str, name: str) -> Value:
        """A setting of a channel, or of the meter where the channel has none of its own."""
        box = self._box
        found = box.kept.get((name, (), channel))
        return box.get(name) if found is None else found

    def _channels(self, call: Call) -> list[str]:
        box = self._box
        there = set(self._scanned) or box.every
        return box.known(call.p.channels(), there)

    def _list(self, call: Call) -> Reply:
        if call.query:
            text = f"(@{','.join(self._scan)})"
            return f"#{len(str(len(text)))}{len(text)}{text}"
        self._scan = self._channels(call)
        return None

    def _configure(self, name: str, call: Call) -> None:
        """Function, range and resolution of channels, everything else at its default; they become the scan list."""
        p, box = call.p, self._box
        chosen = "AUTO"
        full = 0.0
        if p.left and not p.at_channels:
            word = p.maybe("AUTO", "MINimum", "MAXimum", "DEFault")
            if word is None:
                full, chosen = p.number(), "FIXED"
            elif word in ("MINIMUM", "MAXIMUM") and name in RANGED:
                ranges = getattr(box.spec.facts, RANGED[name])
                full, chosen = ranges[0 if word == "MINIMUM" else -1].full, "FIXED"
        if p.left and not p.at_channels and p.maybe("MINimum", "MAXimum", "DEFault") is None:
            p.number()
        channels = self._channels(call) if p.left else [""]
        if chosen == "FIXED" and name in RANGED:
            full = self._input.range(RANGED[name], abs(full)).full  # type: ignore[arg-type]
        for channel in channels:
            for key in [key for key in box.kept if key[2] == channel and not key[0].startswith(("keep.", "channel."))]:
                if channel:
                    del box.kept[key]
            box.keep("sense.function", QUANTITIES[name][1], channel=channel)
            if name in RANGED:
                box.keep(f"auto.{name}", chosen == "AUTO", channel=channel)
                if chosen == "FIXED":
                    box.keep(f"range.{name}", full, channel=channel)
        if channels != [""]:
            self._scan = channels

    def _measure(self, name: str, call: Call) -> Reply:
        self._configure(name, call)
        return self._go()

    def _configured(self, call: Call) -> str:
        channels = self._channels(call) if call.p.left else self._scan or [""]
        answers = []
        for channel in channels:
            name = BY_WORD[str(self._of(channel, "sense.function"))]
            full = float(self._of(channel, f"range.{name}")) if name in RANGED else 0.0  # type: ignore[arg-type]
            word = self._box.named["sense.function"].kind.answer(QUANTITIES[name][1])
            answers.append(f'"{word} {full:+.8E},{full * 3e-7:+.8E}"')
        return ",".join(answers)

    def _read(self, call: Call) -> Reply:
        if call.p.left:
            self._scan = self._channels(call)
        return self._go()

    def _go(self) -> Reply:
        if self._box.get("trigger.source") == "BUS":
            raise DEADLOCK
        self._run()
        return self._write(self._memory)

    def _initiate(self) -> None:
        if self._box.get("trigger.source") == "BUS":
            self._waiting = True
        else:
            self._run()

    def _abort(self) -> None:
        self._waiting = False

    def _run(self) -> None:
        """Scans the list, as often as triggers and samples say."""
        if not self._scan:
            raise CONFLICT
        box = self._box
        rounds = int(min(box.number("trigger.count"), MEMORY) * box.number("sample.count"))
        if rounds * len(self._scan) > MEMORY:
            raise Refused(-225, "Out of memory")
        self._memory = [self._one(channel) for _ in range(rounds) for channel in self._scan]

    def _one(self, channel: str) -> float:
        box = self._box
        box.bench.advance(box.spec.facts.relay_s)
        name = BY_WORD[str(self._of(channel, "sense.function"))]
        quantity = QUANTITIES[name][0]
        node = self._scanned.get(channel, f"{box.name}.{channel}")
        if quantity == "volts":
            meter, where = self._input, node
        else:
            meter, where = MeterInput(box.bench, node, box.spec.facts, self._inaccuracy), ""
        meter.connect(quantity)
        ranged = name in RANGED
        full = float(self._of(channel, f"range.{name}")) if ranged and not self._of(channel, f"auto.{name}") else None  # type: ignore[arg-type]
        nplc = float(self._of(channel, f"nplc.{name}")) if ranged else 1.0  # type: ignore[arg-type]
        zero = (
            box.spec.facts.autozero if f"zero.{name}" in box.named and self._of(channel, f"zero.{name}") == "ON" else 1
        )
        value = meter.read(full, nplc, conversions=zero, node=where)
        if quantity == "amps":
            meter.connect("volts")
        return value

    def _fetch(self) -> Reply:
        if not self._memory:
            raise STALE
        return self._write(self._memory)

    def _remove(self, call: Call) -> Reply:
        count = call.p.integer(1, MEMORY) if call.p.left else len(self._memory)
        taken, self._memory = self._memory[:count], self._memory[count:]
        return self._write(taken) if taken else "#10"

    def _format(self, call: Call) -> Reply:
        if call.query:
            return self._form
        word = call.p.spelled(("ASCii", "REAL"))
        size = call.p.integer(0, 64) if call.p.left else 32
        self._form = "ASC" if word == "ASCii" else f"REAL,{64 if size == 64 else 32}"
        return None

    def _write(self, values: list[float]) -> bytes | str:
        if self._form == "ASC":
            return ",".join(self._box.table.style.reading.format(value) for value in values)
        swapped = self._box.get("format.order") == "SWAPped"
        return reals(values, double=self._form.endswith("64"), swapped=swapped, definite=True)
