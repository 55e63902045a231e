"""Virtual Keysight 34465A: a multimeter that triggers, samples, and keeps its readings in memory."""

from __future__ import annotations

from functools import partial

from emulator.instruments.answers import reals
from emulator.instruments.buffers import Buffer
from emulator.instruments.core import Call, Reply, ScpiInstrument
from emulator.instruments.meter import FREEZING_K, MeterInput, Quantity
from emulator.instruments.refused import Refused
from emulator.instruments.smu import NAN
from emulator.rack.inaccuracy import Inaccuracy
from emulator.rack.stand import Stand
from firmware_specs.instruments import load_table
from firmware_specs.racks.wiring import Instrument
from firmware_specs.scpi import Parameters

FUNCTIONS: dict[str, tuple[str, Quantity, str]] = {
    "VOLT": ("volts", "volts", "VDC"),
    "VOLT:AC": ("volts.ac", "ac", "VAC"),
    "CURR": ("amps", "amps", "ADC"),
    "CURR:AC": ("amps.ac", "ac", "AAC"),
    "RES": ("ohms", "ohms", "OHM"),
    "FRES": ("ohms4", "ohms", "OHM"),
    "FREQ": ("hertz", "ac", "HZ"),
    "PER": ("seconds", "ac", "SEC"),
    "CONT": ("continuity", "ohms", "OHM"),
    "DIOD": ("diode", "diode", "VDC"),
    "TEMP": ("celsius", "kelvin", "C"),
    "CAP": ("farads", "ac", "F"),
}
"""Function -> name of its settings, what the input does, unit."""
UNITS = {"volts": "volts", "amps": "amps", "ohms": "ohms", "ohms4": "ohms"}
INTEGRATING = ("volts", "amps", "ohms", "ohms4", "celsius")
FACTORS = ((0.02, 3e-6), (0.06, 1.5e-6), (0.2, 0.7e-6), (1.0, 0.3e-6), (10.0, 0.1e-6), (100.0, 0.03e-6))
"""Power line cycles there are, and resolution as a share of the range (Operating and Service Guide, QCoDeS)."""
MEMORY = 50_000
STALE = Refused(-230, "Data stale")
DEADLOCK = Refused(-214, "Trigger deadlock")
IGNORED = Refused(-211, "Trigger ignored")
FULL = Refused(531, "Insufficient memory")


class Keysight34465A(ScpiInstrument):
    """One multimeter at its front terminals."""

    def __init__(self, bench: Stand, name: str, spec: Instrument, inaccuracy: Inaccuracy) -> None:
        super().__init__(bench, name, spec, load_table("keysight-34465a"))
        self.input = MeterInput(bench, f"{name}.hi", spec.facts, inaccuracy)
        self.memory: list[float] = []
        self.form = "ASC,9"
        self._waiting = False
        self.actions |= {
            "*TRG": lambda c: self._triggered(),
            "system.version": lambda c: "1994.0",
            "options": lambda c: "0",
            "licenses": lambda c: '""',
            "temperature": lambda c: f"{bench.kelvin() - FREEZING_K + 10:+.8E}",
            "uptime": lambda c: "{:+d},{:+d},{:+d},{:+d}".format(0, 0, *divmod(int(bench.now_s), 60)),
            "text.clear": lambda c: self.keep("text", ""),
            "format.data": self._format,
            "configured": lambda c: self._configured(),
            "initiate": lambda c: self._initiate(),
            "abort": lambda c: self._abort(),
            "read": lambda c: self._read(),
            "fetch": lambda c: self._fetch(),
            "remove": lambda c: self._remove(c.p),
            "data.points": lambda c: f"{len(self.memory):+d}",
            "data.last": lambda c: self._last(),
            "sample.timer": self._timer,
            "statistic.clear": lambda c: self.memory.clear(),
            "statistic.count": lambda c: f"{float(len(self.memory)):+.8E}",
        }
        for which in ("mean", "max", "min", "sd", "span"):
            self.actions[f"statistic.{which}"] = partial(self._statistic, which)
        self.computed["system.line"] = lambda: int(bench.line_hz)
        self.hooks["sense.function"] = lambda word: self._connect()
        for answer, (setting, _, _) in FUNCTIONS.items():
            self.actions[f"configure.{answer}"] = partial(self._configure, answer)
            self.actions[f"measure.{answer}"] = partial(self._measure, answer)
            self._wire(setting)
        self.actions["measure."] = partial(self._measure, "VOLT")
        self.hooks["sense.function"] = self._choose
        self.reset()

    def reset(self) -> None:
        """DC volts, automatic, idle, nothing in memory."""
        self.form, self._waiting = "ASC,9", False
        self.memory.clear()
        self._connect()

    @property
    def function(self) -> str:
        """What is measured, as it is answered."""
        return self.named["sense.function"].kind.answer(str(self.get("sense.function")))

    def _choose(self, word: str) -> None:
        self.keep("sense.function", word)
        self._connect()

    def _connect(self) -> None:
        self.input.connect(FUNCTIONS[self.function][1])

    def _wire(self, setting: str) -> None:
        if setting in UNITS:
            self.computed[f"range.{setting}"] = lambda: self._full(setting)
        if setting in (*UNITS, "volts.ac", "amps.ac"):
            self.hooks[f"range.{setting}"] = lambda value: self.keep(f"auto.{setting}", "OFF")
        if setting not in INTEGRATING:
            return
        hz = self.bench.line_hz
        self.computed[f"nplc.{setting}"] = lambda: self._nplc(setting)
        self.hooks[f"nplc.{setting}"] = lambda value: self.keep(f"aperture.on.{setting}", False)
        self.hooks[f"aperture.{setting}"] = lambda value: self.keep(f"aperture.on.{setting}", True)
        self.computed[f"aperture.{setting}"] = lambda: (
            self.get(f"aperture.{setting}") if self.get(f"aperture.on.{setting}") else self._nplc(setting) / hz
        )
        self.computed[f"resolution.{setting}"] = lambda: self._full(setting) * self._factor(setting)
        self.actions[f"resolution.{setting}"] = partial(self._resolution, setting)

    def _nplc(self, setting: str) -> float:
        """The cycles there are that hold those asked for."""
        if self.get(f"aperture.on.{setting}"):
            return self.number(f"aperture.{setting}") * self.bench.line_hz
        wanted = self.number(f"nplc.{setting}")
        return next((cycles for cycles, _ in FACTORS if wanted <= cycles * (1 + 1e-9)), FACTORS[-1][0])

    def _factor(self, setting: str) -> float:
        cycles = self._nplc(setting)
        return next((factor for there, factor in reversed(FACTORS) if cycles >= there * (1 - 1e-9)), FACTORS[0][1])

    def _full(self, setting: str) -> float:
        unit = UNITS.get(setting)
        value = abs(self.number(f"range.{setting}")) if f"range.{setting}" in self.named else 1.0
        return value if unit is None else self.input.range(unit, value).full  # type: ignore[arg-type]

    def _auto(self, setting: str) -> bool:
        return f"auto.{setting}" not in self.named or self._on(f"auto.{setting}")

    def _on(self, name: str) -> bool:
        return name in self.named and self.get(name) in (True, "ON", "1")

    def _resolution(self, setting: str, call: Call) -> Reply:
        """Asked for, it is the range's share; set, it chooses the cycles that resolve it."""
        full = self._full(setting)
        if call.query:
            return f"{full * self._factor(setting):+.8E}"
        word = call.p.maybe("MINimum", "MAXimum", "DEFault")
        wanted = {"MINIMUM": 0.0, "MAXIMUM": full, "DEFAULT": full * 1e-7}.get(word or "")
        wanted = call.p.number() if wanted is None else wanted
        fitting = (cycles for cycles, factor in FACTORS if factor * full <= wanted * (1 + 1e-6))
        self.keep(f"nplc.{setting}", next(fitting, FACTORS[-1][0]))
        self.keep(f"aperture.on.{setting}", False)
        return None

    def _format(self, call: Call) -> Reply:
        if call.query:
            return self.form
        word = call.p.spelled(("ASCii", "REAL"))
        size = call.p.integer(0, 64) if call.p.left else (9 if word == "ASCii" else 32)
        self.form = f"ASC,{size}" if word == "ASCii" else f"REAL,{64 if size == 64 else 32}"
        return None

    def _configure(self, answer: str, call: Call) -> None:
        """One reading at once, everything but range and resolution at its default."""
        kind = self.named["sense.function"].kind
        word = next(spelled for spelled, said in kind.words.items() if said == answer)
        setting = FUNCTIONS[answer][0]
        for name in ("trigger.", "sample.", f"nplc.{setting}", f"aperture.on.{setting}", f"zero.{setting}"):
            self.forget(name)
        self._choose(word)
        p = call.p
        chosen = p.maybe("AUTO", "MINimum", "MAXimum", "DEFault") if p.left else "AUTO"
        if chosen is None:
            value = p.number()
            if f"range.{setting}" in self.named:
                self.keep(f"range.{setting}", value)
                self.keep(f"range.{setting}", self._full(setting))
            self.keep(f"auto.{setting}", "OFF")
        elif chosen in ("MINIMUM", "MAXIMUM") and setting in UNITS:
            ranges = getattr(self.spec.facts, UNITS[setting])
            self.keep(f"range.{setting}", ranges[0 if chosen == "MINIMUM" else -1].full)
            self.keep(f"auto.{setting}", "OFF")
        else:
            self.keep(f"auto.{setting}", "ON")
        if p.left:
            if setting in INTEGRATING:
                self._resolution(setting, Call(call.command, (), p, False))
            else:
                p.maybe("MINimum", "MAXimum", "DEFault") or p.number()

    def _configured(self) -> str:
        setting = FUNCTIONS[self.function][0]
        full = self._full(setting)
        resolution = full * (self._factor(setting) if setting in INTEGRATING else 1e-6)
        return f'"{self.function} {full:+.8E},{resolution:+.8E}"'

    def _measure(self, answer: str, call: Call) -> Reply:
        self._configure(answer, call)
        return self._read()

    def _initiate(self) -> None:
        if self._count() > MEMORY:
            raise FULL
        self.memory.clear()
        if self.get("trigger.source") == "BUS":
            self._waiting = True
        else:
            self._run()

    def _triggered(self) -> None:
        if not self._waiting:
            raise IGNORED
        self._waiting = False
        self._run()

    def _abort(self) -> None:
        self._waiting = False

    def _count(self) -> int:
        return int(min(self.number("trigger.count"), 1e9) * self.number("sample.count"))

    def _run(self) -> None:
        """Trigger delay, then samples one after the other or one a timer's tick."""
        setting = FUNCTIONS[self.function][0]
        nplc = self._nplc(setting) if setting in INTEGRATING else 1.0
        zero = (
            self.spec.facts.autozero if f"zero.{setting}" in self.named and self.get(f"zero.{setting}") == "ON" else 1
        )
        full = None if self._auto(setting) else self._full(setting)
        delay = 0.0 if self.get("trigger.auto") else self.number("trigger.delay")
        timed = self.get("sample.source") == "TIMer"
        null = (
            self.number(f"null.{setting}")
            if f"null.on.{setting}" in self.named and self.get(f"null.on.{setting}")
            else 0.0
        )
        for _ in range(self._count()):
            began = self.bench.now_s
            self.memory.append(self.input.read(full, nplc, conversions=zero, delay_s=delay) - null)
            if timed:
                self.bench.advance(self.number("sample.timer") - (self.bench.now_s - began))

    def _read(self) -> Reply:
        if self.get("trigger.source") == "BUS":
            raise DEADLOCK
        self._initiate()
        return self._write(self.memory)

    def _fetch(self) -> Reply:
        if not self.memory:
            raise STALE
        return self._write(self.memory)

    def _remove(self, p: Parameters) -> Reply:
        """The oldest readings, which leave the memory; `R?` answers a block."""
        count = p.integer(1, MEMORY) if p.left else len(self.memory)
        taken, self.memory[:count] = self.memory[:count], []
        text = self._write(taken)
        if isinstance(text, bytes):
            return text
        return text or "#10"

    def _last(self) -> str:
        if not self.memory:
            return f"{NAN:.8E}"
        return f"{self.memory[-1]:+.8E} {FUNCTIONS[self.function][2]}"

    def _timer(self, call: Call) -> Reply:
        """The shortest interval is what one sample takes."""
        if call.query and call.p.maybe("MINimum"):
            setting = FUNCTIONS[self.function][0]
            return f"{self._nplc(setting) / self.bench.line_hz if setting in INTEGRATING else 0.02:+.8E}"
        if call.query:
            return self._ask(call)
        self._put(call)
        return None

    def _statistic(self, which: str, call: Call) -> Reply:
        return f"{Buffer(1).statistic(which, self.memory):+.8E}"

    def _write(self, values: list[float]) -> bytes | str:
        if self.form.startswith("ASC"):
            return ",".join(self.table.style.reading.format(value) for value in values)
        swapped = self.get("format.order") == "SWAPped"
        return reals(values, double=self.form.endswith("64"), swapped=swapped, definite=True)
