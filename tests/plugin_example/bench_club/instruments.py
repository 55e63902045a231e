"""A voltmeter with its twin, and a part to measure."""

from dataclasses import dataclass

from drivers.instruments.boxes import BenchInstrument
from drivers.instruments.readback import reading
from emulator.instruments.core import ScpiInstrument
from emulator.instruments.meter import MeterInput
from firmware_specs.instruments import Table
from firmware_specs.racks import Facts, Model, Range


class Meter(BenchInstrument):
    """A voltmeter with one range."""

    def configure(self, *, range_v, nplc):
        self.dialogue.write("BEGIN")

    def measure(self):
        return reading(self.dialogue.ask("VALUE?"), "VALUE?", self.name)


class MeterTwin(ScpiInstrument):
    """The same, virtual."""

    def __init__(self, bench, name, spec, inaccuracy):
        rows = [["BEGin", "none", "-", "begin", "manual"], ["VALue", "?none", "-", "value", "manual"]]
        super().__init__(bench, name, spec, Table.of(rows))
        self.input = MeterInput(bench, f"{name}.hi", spec.facts, inaccuracy)
        self.actions |= {"begin": lambda call: None, "value": lambda call: f"{self.input.read(10.0, 1.0):.6E}"}


METER = Model(
    Facts(kind="meter", identity="Bench Club,M1,{serial},1", volts=(Range(full=10.0, gain=1e-4, offset=1e-4),)),
    driver=Meter,
    twin=MeterTwin,
)


@dataclass
class Lamp:
    """A lamp whose resistance rises with the voltage."""

    ohm: float

    def amps(self, volts):
        return volts / (self.ohm * (1 + volts * volts))
