"""A voltmeter of one's own: facts, driver and virtual twin in one file, registered as `acme-dmm7`."""

from drivers.instruments.boxes import BenchInstrument
from drivers.instruments.readback import confirm, reading
from emulator.instruments.core import ScpiInstrument
from emulator.instruments.meter import MeterInput
from firmware_specs.instruments import Table
from firmware_specs.racks import Facts, Model, Range
from hil import register

COMMANDS = [  # header, parameter, value after *RST, what it acts on, where that is from
    ["VOLT:RANGe", "real 0.1..100 V", "10", "range", "manual"],
    ["VOLT:CYCLes", "real 0.1..10", "1", "nplc", "manual"],
    ["VALue", "?none", "-", "value", "manual"],
]


class Driver(BenchInstrument):
    """Set, then read back; a number comes in through `reading`, which refuses sentinels."""

    def configure(self, *, range_v: float, nplc: float) -> None:
        for header, value in (("VOLT:RANG", range_v), ("VOLT:CYCL", nplc)):
            self.dialogue.write(f"{header} {value:.9g}")
            confirm(header, value, self.dialogue.ask(f"{header}?"), self.name)

    def measure(self) -> float:
        return reading(self.dialogue.ask_tied("VAL?", timeout_s=1.0), "VAL?", self.name)


class Twin(ScpiInstrument):
    """The same commands before an input with the errors that the facts state."""

    def __init__(self, bench, name, spec, inaccuracy):
        super().__init__(bench, name, spec, Table.of(COMMANDS))
        self.input = MeterInput(bench, f"{name}.hi", spec.facts, inaccuracy)
        self.actions["value"] = lambda call: f"{self.input.read(self.number('range'), self.number('nplc')):.6E}"


DMM7 = Model(
    Facts(
        kind="meter",
        identity="ACME,DMM7,{serial},1.0",
        pattern="acme( inc)?,dmm7.*",  # every DMM7, whatever is behind the seven
        volts=tuple(Range(full=10.0**n, gain=5e-5, offset=5e-6 * 10.0**n) for n in (-1, 0, 1, 2)),
        nplc=(0.1, 10.0),
    ),
    driver=Driver,
    twin=Twin,
)
register("instruments", "acme-dmm7", DMM7)
