"""Virtual Keysight 34980A: matrix and relay cards, scanned multiplexer before the meter, DAC modules."""

from __future__ import annotations

from emulator.rack.bench import SHUNT, Bench
from emulator.rack.inaccuracy import Inaccuracy
from emulator.rack.scpi import Call, ErrorStyle, Handler, Reply, ScpiBox, ignored
from emulator.rack.sources import DacOutput, Meter, Refused
from firmware_specs.racks.wiring import Instrument

STYLE = ErrorStyle('+0,"No error"', '{code:+d},"{text}"')


class Keysight34980Box(ScpiBox):
    """All its cards at once; a channel is what the rack's wiring says it is."""

    def __init__(self, bench: Bench, name: str, spec: Instrument, inaccuracy: Inaccuracy) -> None:
        self.meter = Meter(bench, name, spec.facts, inaccuracy)
        self._relays = {channel for box, channel in bench.relays if box == name}
        wiring = bench.rack.wiring
        self._scanned = {channel: line for line, channel in wiring.scan.items()}
        self._scanned |= {channel: f"{SHUNT}.{line}" for line, channel in wiring.shunts.items()}
        own = [t.partition(".") for t in wiring.direct.values()]
        self._dacs = {
            c: DacOutput(bench, f"{b}.{c}", spec.facts, inaccuracy) for b, _, c in own if b == name
        }  # fmt: skip
        self._list: list[str] = []
        commands: dict[str, Handler] = {
            "ROUTe:CLOSe": self._close,
            "ROUTe:OPEN": self._open,
            "ROUTe:OPEN:ALL": self._open_all,
            "ROUTe:SCAN": self._scan,
            "CONFigure:VOLTage:DC": self._configure,
            "SENSe:VOLTage:DC:NPLC": self._nplc,
            "SENSe:VOLTage:DC:ZERO:AUTO": self._autozero,
            "READ": self._read,
            "SOURce:VOLTage[:LEVel]": self._level,
            "OUTPut[:STATe]": self._output,
            "SYSTem:CTYPe": ignored,
        }
        super().__init__(bench, name, spec, STYLE, commands)

    def reset(self) -> None:
        """Relays open, outputs off at 0 V."""
        self._move(sorted(self._relays), False)
        for dac in self._dacs.values():
            dac.output(False)
            dac.volts = 0.0
        self._list = []

    def _close(self, call: Call) -> Reply:
        channels = self._known(call.channels(), self._relays)
        if call.query:
            return ",".join(str(int((self.name, c) in self.bench.closed)) for c in channels)
        self._move(channels, True)
        return None

    def _open(self, call: Call) -> Reply:
        channels = self._known(call.channels(), self._relays)
        if call.query:
            return ",".join(str(int((self.name, c) not in self.bench.closed)) for c in channels)
        self._move(channels, False)
        return None

    def _open_all(self, call: Call) -> Reply:
        self._move(sorted(self._relays), False)
        return None

    def _move(self, channels: list[str], close: bool) -> None:
        before = len(self.bench.closed)
        for channel in channels:
            self.bench.switch(self.name, channel, close)
        if len(self.bench.closed) != before:
            self.bench.advance(self.spec.facts.relay_s)

    def _scan(self, call: Call) -> Reply:
        if call.query:
            text = f"(@{','.join(self._list)})"
            return f"#{len(str(len(text)))}{len(text)}{text}"
        self._list = self._known(call.channels(), set(self._scanned))
        return None

    def _configure(self, call: Call) -> Reply:
        self._known(call.channels(), set(self._scanned))
        self.meter.set_range(call.number())
        self._list = call.channels()
        return None

    def _nplc(self, call: Call) -> Reply:
        if call.query:
            return f"{self.meter.nplc:+.8E}"
        low, high = self.spec.facts.nplc
        if not low <= call.number() <= high:
            raise Refused(-222, "Data out of range")
        self.meter.nplc = call.number()
        return None

    def _autozero(self, call: Call) -> Reply:
        self.meter.autozero = call.boolean()
        return None

    def _read(self, call: Call) -> Reply:
        if not self._list:
            raise Refused(-221, "Settings conflict")
        values = []
        for channel in self._list:
            self.bench.advance(self.spec.facts.relay_s)
            values.append(self.meter.read(self._scanned[channel]))
        return ",".join(f"{value:+.8E}" for value in values)

    def _level(self, call: Call) -> Reply:
        channels = self._known(call.channels(), set(self._dacs))
        if call.query:
            return ",".join(f"{self._dacs[c].volts:+.8E}" for c in channels)
        for channel in channels:
            self._dacs[channel].set(call.number())
        self.bench.advance(self.spec.facts.settle_s)
        return None

    def _output(self, call: Call) -> Reply:
        channels = self._known(call.channels(), set(self._dacs))
        if call.query:
            return ",".join(str(int(self._dacs[c].on)) for c in channels)
        for channel in channels:
            self._dacs[channel].output(call.boolean())
        self.bench.advance(self.spec.facts.relay_s)
        return None

    def _known(self, channels: list[str], known: set[str]) -> list[str]:
        if any(channel not in known for channel in channels):
            raise Refused(-222, "Data out of range")
        return channels
