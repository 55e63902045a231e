"""A rack: instruments, the parts they play, the wires between them and the lines of a crossbar, and the limits.

Lines are called `row0`, `row1`, ... and `col0`, `col1`, ...; terminals are `instrument.channel` (`smu1.a`) or one of
the fixtures `ground`, `floor` and `ceiling` (diodes that keep a line at or above, at or below, 0 V).
"""

from __future__ import annotations

import re
from typing import Literal

from pydantic import Field, PositiveInt, model_validator

from firmware_specs.datasheet.section import Fraction, NonNegative, Positive, Section
from firmware_specs.racks.facts import Facts, facts

GROUND = "ground"
FLOOR = "floor"
CEILING = "ceiling"


class Instrument(Section):
    """One box.

    Attributes:
        model: A model the facts know.
        serial: Serial number it must answer with; empty: any.
        address: VISA resource; empty in a virtual rack's file, which fills it in.
    """

    model: str
    serial: str = ""
    address: str = ""

    @model_validator(mode="after")
    def _known(self) -> Instrument:
        facts(self.model)
        return self

    @property
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
    """

    force: str
    sense: str
    bias: str = ""
    nudge: tuple[str, ...] = ()
    drive: str = ""
    voltmeter: str = ""
    clock: str = ""


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


class RackLimits(Section):
    """What nothing on this bench may exceed; the cells are the delicate part.

    Attributes:
        read_v: Largest voltage across a cell while reading.
        drive_v: Largest voltage of a source node of a resistive network.
        pulse_v: Largest programming pulse.
        pulse_s: Longest programming pulse.
        current_a: Compliance of every source.
        nudge_a: Largest nudge current.
        nudge_v: Voltage compliance of a nudge.
        pulses_per_cell: Lifetime budget of one cell.
        switch_v: Largest voltage across a relay that may close.
        g_min_s: Lowest conductance to program.
        g_max_s: Highest conductance to program.
    """

    read_v: Positive = 0.2
    drive_v: Positive = 1.0
    pulse_v: Positive = 2.0
    pulse_s: Positive = 1.0e-3
    current_a: Positive = 1.0e-3
    nudge_a: Positive = 1.0e-4
    nudge_v: Positive = 2.0
    pulses_per_cell: PositiveInt = 1_000_000
    switch_v: Positive = 0.01
    g_min_s: Positive = 1.0e-5
    g_max_s: Positive = 1.0e-3

    @model_validator(mode="after")
    def _ordered(self) -> RackLimits:
        if not self.g_min_s < self.g_max_s:
            raise ValueError(f"g_min_s < g_max_s is needed, got {self.g_min_s} .. {self.g_max_s}")
        return self


class Timing(Section):
    """How long a reading integrates.

    Attributes:
        line_frequency_hz: Of the mains.
        nplc: Integration of SMU readings, power line cycles.
        meter_nplc: Integration of the voltmeter, power line cycles.
        line_settle_s: Wait after a set-point changed: at least 5 R C of cables and cells.
        wire_ohm: Resistance of a line from cell to cell, for the correction; 0: not corrected.
        contact_ohm: Resistance of a relay path, for the correction.
    """

    line_frequency_hz: Literal[50, 60] = 50
    nplc: Positive = 0.1
    meter_nplc: Positive = 0.2
    line_settle_s: NonNegative = 1.0e-3
    wire_ohm: NonNegative = 0.0
    contact_ohm: NonNegative = 0.0


class Units(Section):
    """Model units of a network on this crossbar.

    Attributes:
        state_v: Voltage of a state or source of 1.0.
        weight_s: Conductance of a weight of 1.0.
        tolerance: Accepted error of a written cell, as a fraction of the conductance range; a cell whose target moved
            by less is left alone.
        rewritten: Share of the cells an update is expected to move beyond the tolerance, for the plan.
        pulses_per_write: Pulses a moved cell is expected to take, for the plan.
    """

    state_v: Positive = 0.1
    weight_s: Positive = 1.0e-4
    tolerance: Fraction = 0.02
    rewritten: Fraction = 0.3
    pulses_per_write: Positive = 2.0

    @property
    def current_a(self) -> float:
        """Current of 1.0."""
        return self.state_v * self.weight_s


class Dut(Section):
    """The crossbar behind a virtual rack: what the bench is there to find out.

    Attributes:
        seed: Which specimen.
        initial: Start of the cells: all at the lowest conductance, or spread at random over the range.
        wire_ohm: Resistance of a line from cell to cell.
        contact_ohm: Resistance of a closed relay.
        stuck: Fraction of cells stuck at a random conductance.
        open: Fraction of cells that conduct nothing.
        threshold_v: Voltage below which a cell keeps its conductance.
        pulse_step: Fraction of the remaining range a pulse of 1 V over threshold and 100 us moves.
        pulse_noise: Cycle-to-cycle spread of that step, relative.
        diode_knee_v: Forward voltage of the diodes.
        diode_ohm: Series resistance of the diodes.
    """

    seed: int = 0
    initial: Literal["low", "spread"] = "low"
    wire_ohm: NonNegative = 0.0
    contact_ohm: Positive = 0.1
    stuck: Fraction = 0.0
    open: Fraction = 0.0
    threshold_v: Positive = 1.05
    pulse_step: Positive = 0.2
    pulse_noise: NonNegative = 0.05
    diode_knee_v: NonNegative = 0.0
    diode_ohm: Positive = 1.0


class Rack(Section):
    """A whole rack around one crossbar.

    Raises:
        ValueError: on construction, naming the terminal, line or role that does not fit.
    """

    name: str
    rows: PositiveInt
    columns: PositiveInt
    instruments: dict[str, Instrument]
    roles: Roles
    wiring: Wiring
    limits: RackLimits = RackLimits()
    timing: Timing = Timing()
    units: Units = Units()
    dut: Dut | None = None

    @property
    def measures_source_currents(self) -> bool:
        """True where the currents of sources are read over shunts."""
        return self.wiring.shunt_ohm > 0

    @property
    def lines(self) -> tuple[str, ...]:
        """All lines, rows first."""
        return tuple(f"row{i}" for i in range(self.rows)) + tuple(f"col{j}" for j in range(self.columns))

    @model_validator(mode="after")
    def _fits(self) -> Rack:
        known = set(self.lines)
        matrix = self.wiring.matrix
        self._box("wiring.matrix.instrument", matrix.instrument, ("matrix", "mainframe"))
        for row, terminal in matrix.rows.items():
            self._terminal(f"wiring.matrix.rows.{row}", terminal)
        for where, lines in (("matrix.lines", matrix.lines), ("direct", self.wiring.direct), ("scan", self.wiring.scan),
                             ("floor", self.wiring.floor), ("ceiling", self.wiring.ceiling)):  # fmt: skip
            for line in lines:
                if line not in known:
                    raise ValueError(
                        f"wiring.{where}: no line {line!r}; there are {self.rows} rows and {self.columns} columns"
                    )
        if (self.wiring.shunt_ohm > 0) != bool(self.wiring.shunts) or set(self.wiring.shunts) - set(self.wiring.direct):
            raise ValueError("wiring.shunts: channels and wiring.shunt_ohm belong together, on lines of wiring.direct")
        if len(set(matrix.lines)) != len(matrix.lines):
            raise ValueError("wiring.matrix.lines: a line is named twice")
        for role in ("force", "sense", "bias"):
            if terminal := getattr(self.roles, role):
                self._on_matrix(f"roles.{role}", terminal)
        for terminal in self.roles.nudge:
            self._on_matrix("roles.nudge", terminal)
        if GROUND not in matrix.rows.values() and not self.roles.bias:
            raise ValueError("wiring.matrix.rows: unselected lines need a 'ground' row or a bias SMU to be parked at")
        for role, kinds in (("drive", ("mainframe",)), ("voltmeter", ("meter", "mainframe")), ("clock", ("meter",))):
            if box := getattr(self.roles, role):
                self._box(f"roles.{role}", box, kinds)
        return self

    def _box(self, where: str, name: str, kinds: tuple[str, ...]) -> None:
        if name not in self.instruments:
            raise ValueError(f"{where}: no instrument {name!r}; there are {', '.join(self.instruments)}")
        if (kind := self.instruments[name].facts.kind) not in kinds:
            raise ValueError(f"{where}: {name!r} is a {kind}, expected {' or '.join(kinds)}")

    def _terminal(self, where: str, terminal: str) -> None:
        if terminal == GROUND:
            return
        box, _, channel = terminal.partition(".")
        if box not in self.instruments:
            raise ValueError(
                f"{where}: {terminal!r} is neither 'ground' nor a terminal of {', '.join(self.instruments)}"
            )
        found = self.instruments[box].facts
        if found.kind == "smu" and channel not in found.channels:
            raise ValueError(f"{where}: {box!r} has channels {', '.join(found.channels)}, not {channel!r}")

    def _on_matrix(self, where: str, terminal: str) -> None:
        self._terminal(where, terminal)
        if terminal not in self.wiring.matrix.rows.values():
            raise ValueError(f"{where}: {terminal!r} is on no row of the matrix, so it reaches no line")

    def crosspoint(self, terminal: str, line: str) -> str:
        """Matrix channel that joins a terminal and a line, as the box writes it.

        Raises:
            ValueError: the matrix does not join the two.
        """
        matrix = self.wiring.matrix
        rows = {t: row for row, t in matrix.rows.items()}
        if terminal not in rows or line not in matrix.lines:
            raise ValueError(f"the matrix does not join {terminal!r} and {line!r}")
        slot, column = divmod(matrix.lines.index(line), matrix.columns_per_slot)
        return f"{matrix.slot + slot}{rows[terminal]}{column + 1:02d}"

    def relays(self) -> dict[tuple[str, str], tuple[str, str]]:
        """Every relay of the rack: (instrument, channel) -> the two nodes it joins."""
        matrix = self.wiring.matrix
        joined = {
            (matrix.instrument, self.crosspoint(terminal, line)): (terminal, line)
            for terminal in matrix.rows.values()
            for line in matrix.lines
        }
        for kind, switches in ((FLOOR, self.wiring.floor), (CEILING, self.wiring.ceiling)):
            for line, switch in switches.items():
                box, _, channel = switch.partition(".")
                joined[box, channel] = (line, f"{kind}.{line}")
        return joined


def line_index(line: str) -> tuple[str, int]:
    """`row3` -> ("row", 3)."""
    match = re.fullmatch(r"(row|col)(\d+)", line)
    if match is None:
        raise ValueError(f"{line!r} is not a line: row0, row1, ..., col0, col1, ...")
    return match[1], int(match[2])
