"""Lake Shore temperature controllers of the 33x series, on PyMeasure's `LakeShore3xx`: input A, output 1, in kelvin."""

from __future__ import annotations

from collections.abc import Sequence

from pymeasure.instruments.lakeshore.lakeshore3xx import LakeShore3xx as Maintained

from drivers.instruments.boxes import BenchInstrument
from drivers.instruments.dialogue import Dialogue
from drivers.instruments.pymeasure_adapter import adapted
from drivers.instruments.readback import confirm, reading
from firmware_specs.racks.facts import Facts

OUTPUT = "1"
TEMPERATURE = "KRDG? A"


class LakeShore33x(BenchInstrument):
    """A `TemperatureStage`."""

    def __init__(self, dialogue: Dialogue, name: str, line_hz: float = 50.0, facts: Facts | None = None) -> None:
        super().__init__(dialogue, name, line_hz, facts, lambda _: [])
        self.maintained = adapted(Maintained, dialogue, name)

    def left_on(self, outputs: Sequence[str] = ()) -> list[str]:
        """The heater, where it is on."""
        return [OUTPUT] if self.maintained.output_1.range != "off" else []

    def set_temperature(self, kelvin: float) -> None:
        """Set-point, read back, then heater on; returns at once."""
        heater = self.maintained.output_1
        heater.setpoint = kelvin
        confirm("the set-point", kelvin, heater.setpoint, self.name)
        heater.range = "medium"
        confirm("the heater (medium)", 1.0, float(heater.range == "medium"), self.name)

    def temperature(self) -> float:
        """Input A, kelvin; `*OPC?` follows, whose answer is no temperature: a late one is found before it is used."""
        answer = self.dialogue.ask(TEMPERATURE)
        self.dialogue.barrier()
        return reading(answer, TEMPERATURE, self.name)

    def _off_lines(self) -> list[str]:
        return [f"RANGE {OUTPUT},0"]
