"""Instruments, the parts they play, and the wires between them and the lines of a crossbar.

Lines are called `row0`, `row1`, ... and `col0`, `col1`, ...; terminals are `instrument.channel` (`smu1.a`) or one of
the fixtures `ground`, `floor` and `ceiling` (diodes that keep a line at or above, at or below, 0 V).
"""

from __future__ import annotations

from functools import cached_property

from pydantic import Field, PositiveInt, model_validator

from firmware_specs.addresses import refuse_handlers
from firmware_specs.datasheet.section import NonNegative, Section
from firmware_specs.racks.facts import Facts
from firmware_specs.racks.model import facts

GROUND = "ground"
FLOOR = "floor"
CEILING = "ceiling"


class Instrument(Section):
    """One box.

    Attributes:
        model: A registered model (`hil list instruments`), or `module:attribute` of one's own.
        serial: Serial number it must answer with; empty: any.
        address: VISA resource; empty in a virtual rack's file, which fills it in.
        modules: Cards of a mainframe in a laboratory, slot 1 first; empty text: an empty slot.
    """

    model: str
    serial: str = ""
    address: str = ""
    modules: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _known(self) -> Instrument:
        facts(self.model)
        refuse_handlers(f"visa:{self.address}")
        return self

    @cached_property
    def facts(self) -> Facts:
        """What the model can do."""
        return facts(self.model)


class Roles(Section):
    """Who does what; a role that is left out is work the rack cannot do.

    Attributes:
        force: SMU terminal that drives the selected row.
        sense: SMU terminal that holds the selected column and measures its current.
        bias: SMU terminal that parks unselected lines at half the voltage.
        nudge: SMU terminals that inject nudge currents, one an output.
        drive: Mainframe whose DACs are wired to lines (`wiring.direct`).
        voltmeter: Meter that reads node voltages.
        clock: Time base of a virtual rack.
        stage: Temperature stage of the crossbar.
    """

    force: str
    sense: str
    bias: str = ""
    nudge: tuple[str, ...] = ()
    drive: str = ""
    voltmeter: str = ""
    clock: str = ""
    stage: str = ""


class Matrix(Section):
    """A switch matrix: terminals on its rows, lines on its columns.

    Attributes:
        instrument: Which box.
        slot: First slot used; further columns go on in the next ones.
        columns_per_slot: Columns of one card.
        rows: Terminal on each matrix row, by the row's name at the box (`A` or `1`).
        lines: Lines on the columns, in order.
    """

    instrument: str
    slot: PositiveInt = 1
    columns_per_slot: PositiveInt = 12
    rows: dict[str, str]
    lines: tuple[str, ...]


class Wiring(Section):
    """How terminals reach lines.

    Attributes:
        matrix: The switch matrix.
        direct: Lines with a DAC channel of their own: line -> `instrument.channel`.
        scan: Channels of the voltmeter's multiplexer: line -> channel.
        floor: Single relays from a line to a diode that keeps it at or above 0 V: line -> `instrument.channel`.
        ceiling: The same for a diode that keeps it at or below 0 V.
        shunts: Scanned channels on the DAC's side of the resistors in series with directly wired lines.
        shunt_ohm: Those resistors; 0: there are none.
    """

    matrix: Matrix
    direct: dict[str, str] = Field(default_factory=dict)
    scan: dict[str, str] = Field(default_factory=dict)
    floor: dict[str, str] = Field(default_factory=dict)
    ceiling: dict[str, str] = Field(default_factory=dict)
    shunts: dict[str, str] = Field(default_factory=dict)
    shunt_ohm: NonNegative = 0.0
