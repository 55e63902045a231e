"""Virtual Keysight 34980A: cards in slots, relays, a scanned multiplexer before its meter, DAC outputs."""

from __future__ import annotations

from collections import Counter
from functools import partial

from emulator.instruments import cards
from emulator.instruments.core import Call, Reply, ScpiInstrument
from emulator.instruments.dac import DacOutput
from emulator.instruments.models.keysight34980a_meter import ScanMeter
from emulator.instruments.refused import Refused
from emulator.rack.inaccuracy import Inaccuracy
from emulator.rack.stand import Stand
from firmware_specs.instruments import load_table
from firmware_specs.racks.wiring import Instrument

DEFAULT = {1: "34932A", 2: "34951A"}
OUT_OF_RANGE = Refused(-222, "Data out of range")
NO_CHANNEL = Refused(-222, "Data out of range")
SLOTS = range(1, 9)


class Keysight34980A(ScpiInstrument):
    """A mainframe; a channel is slot and three digits, `1001`."""

    def __init__(self, bench: Stand, name: str, spec: Instrument, inaccuracy: Inaccuracy) -> None:
        super().__init__(bench, name, spec, load_table("keysight-34980a"))
        fixtures = bench.fixtures(name)
        self.modules = fixtures.modules or DEFAULT
        self.every = {f"{slot}{number}" for slot, card in self.modules.items() for number in cards.channels(card)}
        own = {slot for slot, card in self.modules.items() if card.partition("-")[0] in cards.DACS}
        outputs = sorted(channel for channel in self.every if int(channel[0]) in own)
        self._dacs = {
            channel: DacOutput(bench, f"{name}.{channel}", spec.facts, inaccuracy, fixtures.series_ohm)
            for channel in outputs
        }
        self._relays = self.every - set(self._dacs) | {channel for box, channel in bench.relays if box == name}
        self._cycles: Counter[str] = Counter()
        self._labels: dict[str, str] = {}
        self.meter = ScanMeter(self, inaccuracy, fixtures.scanned)
        self.computed["system.line"] = lambda: int(bench.line_hz)
        self.actions |= self.meter.actions() | {
            "*TRG": lambda c: self.meter.triggered(),
            "system.version": lambda c: "1994.0",
            "options": lambda c: "DMM",
            "system.date": lambda c: "2026,01,01",
            "system.time": lambda c: "00,00,00.000",
            "card": lambda c: self._card(self._slot(c)),
            "card.words": lambda c: f'"{cards.WORDS.get(self.modules.get(self._slot(c), "")[:6], "")}"',
            "card.terminal": lambda c: cards.terminal(self.modules.get(self._slot(c), "")) or "NONE",
            "card.protection": self._protection,
            "card.reset": lambda c: self._reset_card(c),
            "close": partial(self._relay, True),
            "open": partial(self._relay, False),
            "close.only": self._only,
            "open.all": self._open_all,
            "open.bus": self._open_bus,
            "done": lambda c: "1",
            "channel.label": self._label,
            "cycles": lambda c: ",".join(f"{self._cycles[channel]:+d}" for channel in c.p.channels()),
            "level": self._level,
            "output": self._output,
            "dac.function": lambda c: self._function(c),
        }
        self.reset()

    def reset(self) -> None:
        """Relays open, outputs off at 0 V."""
        self._move(self._closed(), False)
        for dac in self._dacs.values():
            dac.output(False)
            dac.volts = 0.0
        self.meter.reset()

    def _slot(self, call: Call) -> int:
        return call.p.integer(1, 8)

    def _card(self, slot: int) -> str:
        card = self.modules.get(slot)
        if card is None:
            return '"Agilent Technologies,0,0,0"'
        return f'"Agilent Technologies,{card},{self.spec.serial or "AB1000000"}{slot},1.00"'

    def _protection(self, call: Call) -> Reply:
        slot = self._slot(call)
        if not self.modules.get(slot, "").startswith("34934A"):
            raise OUT_OF_RANGE
        if call.query:
            return str(self.kept.get(("protection", (slot,), ""), "AUTO100"))
        self.keep("protection", call.p.spelled(("AUTO100", "AUTO0", "FIX", "ISO")), slot)
        return None

    def _closed(self) -> list[str]:
        return sorted(channel for box, channel in self.bench.closed if box == self.name)

    def _relay(self, close: bool, call: Call) -> Reply:
        channels = self.known(call.p.channels(), self._relays)
        if call.query:
            return ",".join(str(int(((self.name, c) in self.bench.closed) == close)) for c in channels)
        self._move(channels, close)
        return None

    def _only(self, call: Call) -> Reply:
        wanted = self.known(call.p.channels(), self._relays)
        slots = {channel[0] for channel in wanted}
        self._move([c for c in self._closed() if c not in wanted and c[0] in slots], False)
        self._move(wanted, True)
        return None

    def _open_all(self, call: Call) -> Reply:
        slot = "" if not call.p.left or call.p.maybe("ALL") else str(call.p.integer(1, 8))
        self._move([channel for channel in self._closed() if channel.startswith(slot)], False)
        return None

    def _open_bus(self, call: Call) -> None:
        """The analog buses carry nothing here."""
        if call.p.left and call.p.maybe("ALL") is None:
            call.p.integer(1, 4)

    def _reset_card(self, call: Call) -> None:
        slot = "" if call.p.maybe("ALL") else str(call.p.integer(1, 8))
        self._move([channel for channel in self._closed() if channel.startswith(slot)], False)
        for channel, dac in self._dacs.items():
            if channel.startswith(slot):
                dac.output(False)
                dac.volts = 0.0

    def _move(self, channels: list[str], close: bool) -> None:
        before = len(self.bench.closed)
        for channel in channels:
            was = (self.name, channel) in self.bench.closed
            self.bench.switch(self.name, channel, close)
            self._cycles[channel] += was != close
        if len(self.bench.closed) != before:
            self.bench.advance(self.spec.facts.relay_s)

    def _label(self, call: Call) -> Reply:
        if call.query:
            call.p.maybe("USER", "FACTory")
            return ",".join(f'"{self._labels.get(channel, "")}"' for channel in call.p.channels())
        text = call.p.string()
        self._labels.update(dict.fromkeys(self.known(call.p.channels(), self.every), text))
        return None

    def _level(self, call: Call) -> Reply:
        if call.query:
            return ",".join(f"{self._dacs[c].volts:+.8E}" for c in self.known(call.p.channels(), set(self._dacs)))
        volts = call.p.number()
        for channel in self.known(call.p.channels(), set(self._dacs)):
            self._dacs[channel].set(volts)
        self.bench.advance(self.spec.facts.settle_s)
        return None

    def _output(self, call: Call) -> Reply:
        if call.query:
            return ",".join(str(int(self._dacs[c].on)) for c in self.known(call.p.channels(), set(self._dacs)))
        on = call.p.switch()
        for channel in self.known(call.p.channels(), set(self._dacs)):
            self._dacs[channel].output(on)
        self.bench.advance(self.spec.facts.relay_s)
        return None

    def _function(self, call: Call) -> Reply:
        """Voltage only: the current mode of the card is left out."""
        if call.query:
            return ",".join("VOLT" for _ in self.known(call.p.channels(), set(self._dacs)))
        call.p.spelled(("VOLTage",))
        self.known(call.p.channels(), set(self._dacs))
        return None

    def known(self, channels: list[str], there: set[str]) -> list[str]:
        """Channels that there are; `Refused` where one is not."""
        if any(channel not in there for channel in channels):
            raise NO_CHANNEL
        return channels
