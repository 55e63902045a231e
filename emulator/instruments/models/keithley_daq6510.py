"""Virtual Keithley DAQ6510: a multimeter with named buffers, channels of its cards, scans."""

from __future__ import annotations

import datetime
from functools import partial

from emulator.instruments.buffers import EPOCH, Entry
from emulator.instruments.core import Call, Reply, ScpiInstrument
from emulator.instruments.keithley_buffers import Buffers
from emulator.instruments.meter import MeterInput, Quantity
from emulator.instruments.refused import Refused
from emulator.rack.inaccuracy import Inaccuracy
from emulator.rack.stand import Stand
from firmware_specs.instruments import load_table
from firmware_specs.racks.wiring import Instrument
from firmware_specs.scpi import Parameters

FUNCTIONS: dict[str, tuple[str, Quantity, str]] = {
    "VOLT:DC": ("volts", "volts", "V"),
    "VOLT:AC": ("volts.ac", "ac", "V"),
    "CURR:DC": ("amps", "amps", "A"),
    "CURR:AC": ("amps.ac", "ac", "A"),
    "RES": ("ohms", "ohms", "Ohm"),
    "FRES": ("ohms4", "ohms", "Ohm"),
    "TEMP": ("kelvin", "kelvin", "C"),
    "FREQ:VOLT": ("hertz", "ac", "Hz"),
    "PER:VOLT": ("seconds", "ac", "s"),
    "CAP": ("farads", "ac", "F"),
    "DIOD": ("diode", "diode", "V"),
    "CONT": ("continuity", "ohms", "Ohm"),
    "VOLT:DC:RAT": ("ratio", "ac", "V/V"),
    "NONE": ("none", "ac", ""),
}
"""What a function answers to `SENSe:FUNCtion?` -> name of its settings, what the input does, unit."""
RANGED = {"volts": "volts", "amps": "amps", "ohms": "ohms", "ohms4": "ohms"}
CARD = ("7700", 101, 122, 300, "20 Ch Mux w/CJC")
PSEUDO = ("2000", 1, 10, 110, "Pseudo 10 Ch Mux")
"""A 20-channel multiplexer in slot 1, or the pseudo card that a script asks for: model, channels, volts, words."""
BAD_CHANNEL = Refused(-222, "Parameter data out of range; no such channel")


class KeithleyDaq6510(ScpiInstrument):
    """One multimeter at its front terminals; `READ?` takes readings into a buffer and answers the last one."""

    def __init__(self, bench: Stand, name: str, spec: Instrument, inaccuracy: Inaccuracy) -> None:
        super().__init__(bench, name, spec, load_table("keithley-daq6510"))
        self.input = MeterInput(bench, f"{name}.hi", spec.facts, inaccuracy)
        self.buffers = Buffers(self)
        self.card = CARD
        self.scan: list[str] = []
        self._clock = datetime.timedelta(0)
        self.actions |= self.buffers.actions() | {
            "*TRG": lambda c: None,
            "system.version": lambda c: "1999.0",
            "options": lambda c: "0",
            "system.time": self._time,
            "card.identity": lambda c: f"{self.card[0]},{self.card[4]},0,00000000",
            "card.first": lambda c: str(self.card[1]),
            "card.last": lambda c: str(self.card[2]),
            "card.volts": lambda c: str(self.card[3]),
            "card.pseudo": self._pseudo,
            "close": partial(self._relay, True),
            "open": partial(self._relay, False),
            "open.all": lambda c: self._open_all(),
            "scan.list": self._scan_list,
            "read": lambda c: self._read(c.p),
            "measure.now": lambda c: self._read(c.p),
            "fetch": lambda c: self.buffers.last(c.p),
            "initiate": lambda c: self._initiate(),
            "abort": lambda c: None,
            "trigger.state": lambda c: "IDLE;IDLE;0",
            "trace.trigger": lambda c: self._take(self.buffers.name(c.p)),
        }  # fmt: skip
        self.computed["system.line"] = lambda: int(bench.line_hz)
        self.hooks["sense.function"] = self._connect
        for answer, (setting, _, _) in FUNCTIONS.items():
            self.actions[f"measure.as.{answer}"] = partial(self._measure_as, answer)
            self.actions[f"relative.acquire.{setting}"] = partial(self._acquire, setting)
            self._wire(setting)
        self.reset()

    def reset(self) -> None:
        """DC volts, automatic; relays open, buffers empty."""
        self._open_all()
        self.buffers.reset()
        self.scan = []
        self.input.connect("volts")

    @property
    def function(self) -> str:
        """What is measured, as it is answered."""
        spelled = str(self.get("sense.function"))
        return self.named["sense.function"].kind.answer(spelled)

    def _wire(self, setting: str) -> None:
        """Ranges: the smallest that holds a value; setting one ends the automatic choice."""
        if setting in ("volts", "amps", "ohms", "ohms4", "volts.ac", "amps.ac", "farads", "ratio"):
            self.hooks[f"range.{setting}"] = lambda value: self.keep(f"auto.{setting}", False)
        if setting in RANGED:
            self.computed[f"range.{setting}"] = lambda: self._full(setting) or self.number(f"range.{setting}")
        if f"nplc.{setting}" in self.named:
            self.hooks[f"aperture.{setting}"] = lambda s: self.keep(f"nplc.{setting}", float(s) * self.bench.line_hz)
            self.computed[f"aperture.{setting}"] = lambda: self.number(f"nplc.{setting}") / self.bench.line_hz

    def _full(self, setting: str) -> float | None:
        """The range a setting stands for, by the model's facts."""
        unit = RANGED.get(setting)
        if unit is None:
            return None
        return self.input.range(unit, abs(self.number(f"range.{setting}"))).full  # type: ignore[arg-type]

    def _connect(self, word: str) -> None:
        kind = self.named["sense.function"].kind
        self.input.connect(FUNCTIONS[kind.answer(word)][1])

    def _one(self) -> Entry:
        setting, _, unit = FUNCTIONS[self.function]
        auto = f"auto.{setting}" not in self.named or self.get(f"auto.{setting}")
        nplc = self.number(f"nplc.{setting}") if f"nplc.{setting}" in self.named else 1.0
        zero = self.spec.facts.autozero if self._on(f"autozero.{setting}") else 1
        count = int(self.number(f"filter.count.{setting}")) if self._on(f"filter.on.{setting}") else 1
        value = self.input.read(
            None if auto else self._full(setting), nplc, conversions=zero * count, bias_a=self.number("bias")
        )
        if self._on(f"relative.on.{setting}"):
            value -= self.number(f"relative.{setting}")
        return Entry(value, unit, 0.0, "", self.bench.now_s)

    def _on(self, name: str) -> bool:
        return name in self.named and bool(self.get(name))

    def _take(self, buffer: str) -> None:
        for _ in range(int(self.number("sense.count"))):
            self.buffers.add(buffer, self._one())

    def _read(self, p: Parameters) -> bytes | str:
        name, wanted = self.buffers.asked(p)
        self._take(name)
        return self.buffers.write(name, self.buffers.of(name).entries[-1:], wanted)

    def _measure_as(self, answer: str, call: Call) -> Reply:
        kind = self.named["sense.function"].kind
        word = next(spelled for spelled, said in kind.words.items() if said == answer)
        self.keep("sense.function", word)
        self._connect(word)
        return self._read(call.p)

    def _acquire(self, setting: str, call: Call) -> None:
        self.keep(f"relative.on.{setting}", False)
        self.keep(f"relative.{setting}", self._one().value)

    def _initiate(self) -> None:
        """A scan of the list, as often as asked; without one, readings as `SENSe:COUNt` says."""
        if not self.scan:
            self._take("defbuffer1")
            return
        for _ in range(max(1, int(self.number("scan.count")))):
            for channel in self.scan:
                self.bench.switch(self.name, channel, True)
                self.bench.advance(self.spec.facts.relay_s)
                self.buffers.add("defbuffer1", self._one())
                self.bench.switch(self.name, channel, False)
            self.bench.advance(self.number("scan.interval"))

    def _known(self, channels: list[str]) -> list[str]:
        first, last = self.card[1], self.card[2]
        own = {channel for box, channel in self.bench.relays if box == self.name}
        if any(channel not in own and not first <= int(channel) <= last for channel in channels):
            raise BAD_CHANNEL
        return channels

    def _relay(self, close: bool, call: Call) -> Reply:
        if call.query and not call.p.left:
            return f"(@{','.join(sorted(c for box, c in self.bench.closed if box == self.name))})"
        channels = self._known(call.p.channels())
        if call.query:
            return ",".join(str(int(((self.name, c) in self.bench.closed) == close)) for c in channels)
        for channel in channels:
            self.bench.switch(self.name, channel, close)
        self.bench.advance(self.spec.facts.relay_s)
        return None

    def _open_all(self) -> None:
        for box, channel in sorted(self.bench.closed):
            if box == self.name:
                self.bench.switch(box, channel, False)

    def _scan_list(self, call: Call) -> Reply:
        if call.query:
            return f"(@{','.join(self.scan)})"
        self.scan = self._known(call.p.channels())
        return None

    def _pseudo(self, call: Call) -> Reply:
        if call.query:
            return self.card[0] if self.card is PSEUDO else "0"
        self.card = PSEUDO if call.p.integer(0, 9999) else CARD
        return None

    def _time(self, call: Call) -> Reply:
        """`year, month, day, hour, minute, second`, or the time of the day alone; asked with 1 for the date as text."""
        now = EPOCH + datetime.timedelta(seconds=self.bench.now_s) + self._clock
        if call.query:
            style = call.p.integer(0, 1) if call.p.left else 0
            return now.strftime("%a %b %d %H:%M:%S %Y") if style else str(int((now - EPOCH).total_seconds()))
        parts = [call.p.integer(0, 9999) for _ in range(call.p.left)]
        date = parts[:-3] or [now.year, now.month, now.day]
        try:
            self._clock += datetime.datetime(*date, *parts[-3:]) - now  # type: ignore[arg-type]
        except (TypeError, ValueError) as error:
            raise Refused(-222, "Parameter data out of range") from error
        return None
