"""Virtual voltmeters: Keithley DAQ6510 and Keysight 34465A; and the bench's clock."""

from __future__ import annotations

from emulator.rack.bench import Bench
from emulator.rack.inaccuracy import Inaccuracy
from emulator.rack.scpi import Call, ErrorStyle, Handler, Reply, ScpiBox, ignored, setting
from emulator.rack.sources import Meter, Refused
from firmware_specs.racks.wiring import Instrument

KEITHLEY = ErrorStyle('0,"No error;0;0 0"', '{code},"{text};1;2026/01/01 00:00:00.000"')
KEYSIGHT = ErrorStyle('+0,"No error"', '{code:+d},"{text}"')


class _MeterBox(ScpiBox):
    def __init__(self, bench: Bench, name: str, spec: Instrument, inaccuracy: Inaccuracy, style: ErrorStyle) -> None:
        self.meter = Meter(bench, f"{name}.hi", spec.facts, inaccuracy)
        super().__init__(bench, name, spec, style, self.commands())

    def commands(self) -> dict[str, Handler]:
        """Header patterns and what they do."""
        raise NotImplementedError

    def reset(self) -> None:
        """Widest sensible defaults."""
        self.meter.full, self.meter.nplc, self.meter.autozero = 10.0, 1.0, True

    def nplc(self, call: Call) -> None:
        """Integration within the model's range."""
        low, high = self.spec.facts.nplc
        if not low <= call.number() <= high:
            raise Refused(-222, "Parameter data out of range")
        self.meter.nplc = call.number()


class Daq6510Box(_MeterBox):
    """The front terminals of a DAQ6510."""

    def __init__(self, bench: Bench, name: str, spec: Instrument, inaccuracy: Inaccuracy) -> None:
        super().__init__(bench, name, spec, inaccuracy, KEITHLEY)

    def commands(self) -> dict[str, Handler]:
        """DC volts only."""
        return {
            "SENSe:FUNCtion[:ON]": setting(lambda: '"VOLT:DC"', self._function),
            "SENSe:VOLTage:RANGe": setting(lambda: self.meter.full, lambda c: self.meter.set_range(c.number())),
            "SENSe:VOLTage:RANGe:AUTO": ignored,
            "SENSe:VOLTage:NPLCycles": setting(lambda: self.meter.nplc, self.nplc),
            "READ": lambda c: f"{self.meter.read(self.meter.name):.8E}",
        }

    def _function(self, call: Call) -> None:
        if call.word() not in ("VOLT", "VOLT:DC"):
            raise Refused(-224, "Illegal parameter value")


class Keysight34465Box(_MeterBox):
    """DC volts of a 34465A."""

    def __init__(self, bench: Bench, name: str, spec: Instrument, inaccuracy: Inaccuracy) -> None:
        super().__init__(bench, name, spec, inaccuracy, KEYSIGHT)

    def commands(self) -> dict[str, Handler]:
        """DC volts only."""
        return {
            "CONFigure:VOLTage:DC": lambda c: self._configure(c),
            "SENSe:VOLTage:DC:RANGe": setting(lambda: self.meter.full, lambda c: self.meter.set_range(c.number())),
            "SENSe:VOLTage:DC:NPLC": setting(lambda: self.meter.nplc, self.nplc),
            "SENSe:VOLTage:DC:ZERO:AUTO": setting(lambda: self.meter.autozero, self._autozero),
            "READ": lambda c: f"{self.meter.read(self.meter.name):+.8E}",
        }

    def _configure(self, call: Call) -> Reply:
        self.meter.set_range(call.number())
        return None

    def _autozero(self, call: Call) -> None:
        self.meter.autozero = call.boolean()


class ClockBox(ScpiBox):
    """The bench's time: `TIME?`, and `WAIT s`, which answers when the time has passed."""

    def __init__(self, bench: Bench, name: str, spec: Instrument, inaccuracy: Inaccuracy) -> None:
        super().__init__(bench, name, spec, KEYSIGHT, {"TIME": lambda c: f"{bench.now_s:.9f}", "WAIT": self._wait})

    def _wait(self, call: Call) -> Reply:
        self.bench.advance(max(0.0, call.number()))
        return "1"
