"""One `smua` of a 2600B: its attributes act on the channel; measurements, and sweeps by its trigger model."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any, Protocol

from emulator.instruments.models.keithley2600_buffers import ReadingBuffer
from emulator.instruments.models.keithley2600_overlapped import Overlapped
from emulator.instruments.refused import Refused
from emulator.instruments.smu import INFINITE, OffMode, SmuChannel, SmuReading, Unit
from emulator.instruments.sweeps import linear, logarithmic
from emulator.instruments.tsp.box import Method
from emulator.instruments.tsp.common import number, whole
from emulator.instruments.tsp.tree import TOO_BIG, TOO_SMALL, Tree
from emulator.rack.stand import Stand

UNITS: dict[str, Unit] = {"v": "volts", "i": "amps"}
OFF: dict[int, OffMode] = {0: "normal", 1: "zero", 2: "himp"}
VOLTAGE_LIMIT, CURRENT_LIMIT = 1, 2
IN_COMPLIANCE = 64
"""Status bit of a reading (compliance); U."""
QUANTITIES = "virp"
LOW_V = 40.0
"""Models that reach so far (2601B, 2602B, 2604B) limit to 40 V and 1 A after a reset, the others to 20 V and 0.1 A."""
FINE_A = 1e-7
"""Models with a range below this (2634B to 2636B) limit to 1.5 A at most, the others to 3 A (manual, 9-244)."""
NO_LIST = Refused(-286, "TSP Runtime error at line 1: a table of numbers was expected")
MOST_READINGS = 1_000_000


class Scripted(Protocol):
    """A box whose scripts see its channels."""

    bench: Stand
    tree: Tree
    methods: dict[str, Method]
    overlapped: Overlapped

    def buffer(self, path: Any) -> ReadingBuffer:
        """A buffer a script hands over."""
        ...


class SmuObject:
    """A channel as scripts see it.

    Args:
        box: Whose it is.
        path: `smua` or `smub`.
        channel: Its analog half.
    """

    def __init__(self, box: Scripted, path: str, channel: SmuChannel) -> None:
        self.box, self.path, self.channel = box, path, channel
        self.sweep: tuple[Unit, tuple[float, ...]] | None = None
        self.into: dict[str, str] = {}

    def wire(self) -> None:
        """Attributes and functions."""
        tree, path, channel = self.box.tree, self.path, self.channel
        methods: dict[str, Method] = {f"measure.{q}": partial(self.measure, q) for q in (*QUANTITIES, "iv")}
        methods |= {
            "reset": lambda *_: self.reset(),
            "abort": lambda *_: self.box.overlapped.forget(path),
            "trigger.initiate": lambda *_: self.initiate(),
            **{f"measure.overlapped{q}": partial(self.measure, q) for q in (*QUANTITIES, "iv")},
            **{f"trigger.measure.{q}": partial(self._into, q) for q in (*QUANTITIES, "iv")},
        }
        for letter, unit in UNITS.items():
            methods |= {
                f"trigger.source.linear{letter}": partial(self._linear, unit),
                f"trigger.source.log{letter}": partial(self._log, unit),
                f"trigger.source.list{letter}": partial(self._list, unit),
                f"measure{letter}andstep": partial(self._and_step, letter),
            }
            self._wire_unit(letter, unit)
        self.box.methods |= {f"{path}.{name}": method for name, method in methods.items()}
        tree.hooks |= {
            f"{path}.source.func": lambda v: channel.set_source("volts" if v else "amps"),
            f"{path}.source.output": lambda v: self._output(int(v)),
            f"{path}.source.offmode": lambda v: channel.set_off_mode(OFF[int(v)]),
        }
        tree.computed |= {
            f"{path}.source.func": lambda: int(channel.source == "volts"),
            f"{path}.source.output": lambda: int(channel.on),
            f"{path}.source.compliance": channel.limited,
            f"status.measurement.instrument.{path}.condition": self.condition,
        }
        facts = channel.facts
        fine = facts.amps[0].full < FINE_A
        channel.reach = {"volts": facts.volts[-1].full, "amps": 1.5 if fine else 3.0}
        for letter, unit in UNITS.items():
            lowest = getattr(facts, unit)[0].full
            tree.defaults |= {f"{path}.{side}.lowrange{letter}": lowest for side in ("source", "measure")}
        tree.defaults[f"{path}.measure.delay"] = -1 if fine else 0
        self.reset()

    def reset(self) -> None:
        """Defaults."""
        self.box.tree.forget(f"{self.path}.")
        self.channel.reset()
        low = self.channel.facts.volts[-1].full <= LOW_V
        self.channel.limit = {"amps": 1.0, "volts": 40.0} if low else {"amps": 0.1, "volts": 20.0}
        self.channel.set_output(False)
        self.box.overlapped.forget(self.path)
        self.sweep, self.into = None, {}

    def condition(self) -> int:
        """Bit 0 the voltage limit, bit 1 the current limit."""
        if not self.channel.limited():
            return 0
        return CURRENT_LIMIT if self.channel.source == "volts" else VOLTAGE_LIMIT

    def measure(self, quantity: str, *buffers: Any) -> float | tuple[float, float]:
        """`measure.count` readings into buffers; the last one is returned, current before voltage."""
        into = [self.box.buffer(path) for path in buffers if path is not None]
        for buffer in into:
            buffer.begin()
        count = int(self._get("measure.count"))
        if count > min([MOST_READINGS, *(b.capacity for b in into)]):
            raise Refused(1103, "Parameter too big")
        interval = float(self._get("measure.interval"))
        last: tuple[float, ...] = (0.0,)
        for number_ in range(count):
            began = self.box.bench.now_s
            reading = self.read()
            last = self._values(quantity, reading)
            for buffer, value in zip(into, last, strict=False):
                status = IN_COMPLIANCE if reading.limited else 0
                buffer.add(value, reading.at_s, reading.level, status)
            if number_ + 1 < count:
                self.box.bench.advance(interval - (self.box.bench.now_s - began))
        return last[0] if len(last) == 1 else (last[0], last[1])

    def read(self) -> SmuReading:
        """One reading by the present settings."""
        channel = self.channel
        channel.nplc = float(self._get("measure.nplc"))
        channel.averages = int(self._get("measure.filter.count")) if self._get("measure.filter.enable") else 1
        channel.autozero = bool(self._get("measure.autozero"))
        channel.delay_s = max(0.0, float(self._get("source.delay"))) + max(0.0, float(self._get("measure.delay")))
        return channel.read()

    def initiate(self) -> None:
        """The trigger model: at once, or when the event comes that its arm layer waits for."""
        if self.sweep is None and self._get("trigger.source.action"):
            raise Refused(-221, "Settings conflict")
        if self._get("trigger.arm.stimulus"):
            self.box.overlapped.arm(self)
            return
        for _ in self.steps():
            pass

    def steps(self) -> Iterator[None]:
        """A level, then a reading, for every point of the sweep, `trigger.count` of them an arm."""
        unit, levels = self.sweep or (self.channel.source, (self.channel.level[self.channel.source],))
        count, arms = int(self._get("trigger.count")), max(1, int(self._get("trigger.arm.count")))
        if count * arms > MOST_READINGS:
            raise Refused(1103, "Parameter too big")
        before = self.channel.level[unit]
        for path in self.into.values():
            self.box.buffer(path).begin()
        for number_ in range(count * arms):
            if self._get("trigger.source.action") and self.sweep:
                self.channel.set_level(unit, levels[number_ % len(levels)])
            yield
            if self._get("trigger.measure.action"):
                self._store(self.read())
            yield
        if not self._get("trigger.endsweep.action"):
            self.channel.set_level(unit, before)

    def _store(self, reading: SmuReading) -> None:
        for quantity, path in self.into.items():
            value = self._values(quantity, reading)[0]
            status = IN_COMPLIANCE if reading.limited else 0
            self.box.buffer(path).add(value, reading.at_s, reading.level, status)

    def _values(self, quantity: str, reading: SmuReading) -> tuple[float, ...]:
        power = reading.volts * reading.amps if max(abs(reading.volts), abs(reading.amps)) < INFINITE else INFINITE
        every = {"v": reading.volts, "i": reading.amps, "r": reading.ohms, "p": power}
        return tuple(
            every[q] - (float(self._get(f"measure.rel.level{q}")) if self._get(f"measure.rel.enable{q}") else 0.0)
            for q in quantity
        )

    def _get(self, name: str) -> Any:
        return self.box.tree.get(f"{self.path}.{name}")

    def _wire_unit(self, letter: str, unit: Unit) -> None:
        tree, path, channel = self.box.tree, self.path, self.channel
        tree.hooks |= {
            f"{path}.source.level{letter}": lambda v: channel.set_level(unit, v),
            f"{path}.source.range{letter}": lambda v: channel.set_range(unit, v),
            f"{path}.source.autorange{letter}": lambda v: channel.set_auto(unit, bool(v)),
            f"{path}.source.limit{letter}": lambda v: self._limit(unit, v),
            f"{path}.measure.range{letter}": lambda v: channel.set_measure(unit, v),
            f"{path}.measure.autorange{letter}": lambda v: channel.set_measure(
                unit, None if v else channel.measure_range(unit)
            ),
        }
        tree.computed |= {
            f"{path}.source.level{letter}": lambda: channel.level[unit],
            f"{path}.source.range{letter}": lambda: channel.full[unit],
            f"{path}.source.autorange{letter}": lambda: int(channel.auto[unit]),
            f"{path}.source.limit{letter}": lambda: channel.limit[unit],
            f"{path}.measure.range{letter}": lambda: channel.measure_range(unit),
            f"{path}.measure.autorange{letter}": lambda: int(channel.measure[unit] is None),
        }

    def _output(self, state: int) -> None:
        if state == 2:  # open the relay, whatever the off mode
            self.channel.set_output(False)
            self.channel.set_off_mode("himp")
            return
        self.channel.set_off_mode(OFF[int(self._get("source.offmode"))])
        self.channel.set_output(bool(state))

    def _limit(self, unit: Unit, value: float) -> None:
        """From a tenth of the lowest range up to the model's reach (manual, 9-244)."""
        if value < getattr(self.channel.facts, unit)[0].full / 10 * (1 - 1e-9):
            raise TOO_SMALL
        if value > self.channel.reach[unit] * (1 + 1e-9):
            raise TOO_BIG
        self.channel.set_limit(unit, min(value, self.channel.reach[unit]))

    def _into(self, quantity: str, *buffers: Any) -> None:
        self.into = dict(zip(quantity, (str(path) for path in buffers if self.box.buffer(path)), strict=False))

    def _linear(self, unit: Unit, start: Any, stop: Any, points: Any) -> None:
        self.sweep = unit, linear(number(start), number(stop), whole(points))

    def _log(self, unit: Unit, start: Any, stop: Any, points: Any, asymptote: Any = 0.0) -> None:
        self.sweep = unit, logarithmic(number(start), number(stop), whole(points), number(asymptote or 0.0))

    def _list(self, unit: Unit, values: Any) -> None:
        try:
            levels = tuple(number(values[i + 1]) for i in range(len(values)))
        except TypeError as error:
            raise NO_LIST from error
        if not levels:
            raise NO_LIST
        self.sweep = unit, levels

    def _and_step(self, letter: str, level: Any) -> float:
        """A reading, then the next level."""
        last = self.measure("i" if letter == "v" else "v")
        self.channel.set_level(self.channel.source, number(level))
        return last if isinstance(last, float) else last[0]
