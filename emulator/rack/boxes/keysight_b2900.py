"""Virtual Keysight B2902A: SCPI, two channels, list sweeps, pulses, definite blocks with a byte order."""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import TypeVar

from emulator.rack.bench import Bench
from emulator.rack.boxes.keithley2400 import NAMES, set_nplc
from emulator.rack.inaccuracy import Inaccuracy
from emulator.rack.scpi import Call, ErrorStyle, Handler, Reply, ScpiBox, definite, ignored
from emulator.rack.sources import Refused, SmuChannel, Unit
from firmware_specs.racks.wiring import Instrument

_T = TypeVar("_T")
_Get = Callable[[SmuChannel], float | str | bool]
_Put = Callable[[SmuChannel, Call], None]
STYLE = ErrorStyle('+0,"No error"', '{code:+d},"{text}"')


class KeysightB2902Box(ScpiBox):
    """Channels 1 and 2."""

    def __init__(self, bench: Bench, name: str, spec: Instrument, inaccuracy: Inaccuracy) -> None:
        self.channels = {n: SmuChannel(bench, f"{name}.{n}", spec.facts, inaccuracy) for n in (1, 2)}
        self._swapped, self._form = False, "ASC"
        self._lists: dict[int, list[float]] = {1: [], 2: []}
        self._auto_on = {1: True, 2: True}
        self._mode = {1: "FIX", 2: "FIX"}
        self._shape = {1: "DC", 2: "DC"}
        self._trigger = {1: 1, 2: 1}
        self._pulse = {1: (1e-3, 0.0), 2: (1e-3, 0.0)}
        self._fetched: dict[int, list[float]] = {1: [], 2: []}
        super().__init__(bench, name, spec, STYLE, self._commands())

    def reset(self) -> None:
        """Channels to defaults."""
        for channel in self.channels.values():
            channel.reset()
        self._swapped, self._form = False, "ASC"
        self._auto_on.update({1: True, 2: True})

    def _commands(self) -> dict[str, Handler]:
        commands: dict[str, Handler] = {
            "SOURce#:FUNCtion:MODE": self._number_or_word(
                lambda ch: NAMES[ch.source], lambda ch, c: ch.set_source("volts" if c.word() == "VOLT" else "amps")
            ),
            "OUTPut#[:STATe]": self._number_or_word(lambda ch: ch.on, lambda ch, c: ch.set_output(c.boolean())),
            "OUTPut#:ON:AUTO": self._store(self._auto_on, lambda c: c.boolean()),
            "MEASure": self._measure,
            "FORMat[:DATA]": self._format,
            "FORMat:BORDer": self._order,
            "FORMat:ELEMents:SENSe": ignored,
            "SOURce#:VOLTage:MODE": self._store(self._mode, lambda c: c.word()),
            "SOURce#:FUNCtion:SHAPe": self._store(self._shape, lambda c: c.word()),
            "SOURce#:LIST:VOLTage": self._store(self._lists, lambda c: [float(a) for a in c.args]),
            "TRIGger#:COUNt": self._store(self._trigger, lambda c: int(c.number())),
            "TRIGger#:TIMer": ignored,
            "SOURce#:PULSe:WIDTh": self._pulse_width,
            "SOURce#:VOLTage:TRIGgered": self._pulse_level,
            "INITiate": self._initiate,
            "FETCh:ARRay:CURRent": self._fetch,
        }
        for unit, name in (("volts", "VOLTage"), ("amps", "CURRent")):
            commands |= self._by_unit("volts" if unit == "volts" else "amps", name)
        return commands

    def _by_unit(self, unit: Unit, name: str) -> dict[str, Handler]:
        both = self._number_or_word
        return {
            f"SOURce#:{name}[:LEVel]": both(lambda ch: ch.level[unit], lambda ch, c: ch.set_level(unit, c.number())),
            f"SOURce#:{name}:RANGe": both(lambda ch: ch.full[unit], lambda ch, c: ch.set_range(unit, c.number())),
            f"SOURce#:{name}:RANGe:AUTO": ignored,
            f"SENSe#:{name}:RANGe": both(
                lambda ch: ch.measure[unit] or ch.full[unit], lambda ch, c: ch.set_measure(unit, c.number())
            ),
            f"SENSe#:{name}:PROTection": both(lambda ch: ch.limit[unit], lambda ch, c: ch.set_limit(unit, c.number())),
            f"SENSe#:{name}:PROTection:TRIPped": lambda c: str(int(self._limited(self._one(c)))),
            f"SENSe#:{name}:NPLCycles": both(lambda ch: ch.nplc, lambda ch, c: set_nplc(ch, c.number())),
        }

    def _number_or_word(self, get: _Get, put: _Put) -> Handler:
        def handle(call: Call) -> Reply:
            channel = self._one(call)
            if not call.query:
                put(channel, call)
                return None
            value = get(channel)
            if isinstance(value, bool):
                return str(int(value))
            return value if isinstance(value, str) else f"{value:+.9E}"

        return handle

    def _store(self, where: dict[int, _T], convert: Callable[[Call], _T]) -> Handler:
        def handle(call: Call) -> Reply:
            if call.query:
                return str(where[call.suffixes[0] or 1])
            where[call.suffixes[0] or 1] = convert(call)
            return None

        return handle

    def _one(self, call: Call) -> SmuChannel:
        number = call.suffixes[0] or 1
        if number not in self.channels:
            raise Refused(-114, "Header suffix out of range")
        return self.channels[number]

    def _limited(self, channel: SmuChannel) -> bool:
        port = self.bench.ports.get(channel.terminal)
        return channel.on and bool(
            getattr(port, "limited", lambda _: False)(self.bench.terminal_volts(channel.terminal))
        )

    def _measure(self, call: Call) -> Reply:
        values = []
        for number in call.channels():
            channel = self.channels[int(number)]
            self._go_on(int(number))
            if not channel.on:
                raise Refused(-221, "Settings conflict")
            seen = channel.read()
            values += [seen.volts, seen.amps]
        return ",".join(f"{value:+.6E}" for value in values)

    def _go_on(self, number: int) -> None:
        """The default of the box: what is measured or triggered has its output switched on."""
        if self._auto_on[number] and not self.channels[number].on:
            self.channels[number].set_output(True)

    def _format(self, call: Call) -> Reply:
        if call.query:
            return self._form
        self._form = "REAL,64" if call.word().startswith("REAL") else "ASC"
        return None

    def _order(self, call: Call) -> Reply:
        if call.query:
            return "SWAP" if self._swapped else "NORM"
        self._swapped = call.word().startswith("SWAP")
        return None

    def _pulse_width(self, call: Call) -> Reply:
        number = call.suffixes[0] or 1
        self._pulse[number] = (call.number(), self._pulse[number][1])
        return None

    def _pulse_level(self, call: Call) -> Reply:
        number = call.suffixes[0] or 1
        if abs(call.number()) > self.channels[number].full["volts"] * 1.05:
            raise Refused(-222, "Parameter data out of range")
        self._pulse[number] = (self._pulse[number][0], call.number())
        return None

    def _initiate(self, call: Call) -> Reply:
        for number in (int(n) for n in call.channels()):
            channel = self.channels[number]
            self._go_on(number)
            if self._shape[number].startswith("PULS"):
                width, level = self._pulse[number]
                for _ in range(self._trigger[number]):
                    channel.pulse(level, width)
                    self.bench.advance(width)
            elif self._mode[number] == "LIST":
                self._fetched[number] = []
                for level in self._lists[number][: self._trigger[number]]:
                    channel.set_level("volts", level)
                    self._fetched[number].append(channel.read().amps)
        return None

    def _fetch(self, call: Call) -> Reply:
        values = [v for number in call.channels() for v in self._fetched[int(number)]]
        if self._form == "ASC":
            return ",".join(f"{value:+.6E}" for value in values)
        return definite(struct.pack(f"{'<' if self._swapped else '>'}{len(values)}d", *values))
