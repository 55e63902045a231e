"""A whole rack: instruments around one crossbar, and what must fit together."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, model_validator

from firmware_specs.datasheet.section import Section
from firmware_specs.racks.dut import Dut
from firmware_specs.racks.limits import RackLimits, Timing, Units
from firmware_specs.racks.wiring import CEILING, FLOOR, GROUND, Instrument, Roles, Wiring


class Rack(Section):
    """A whole rack around one crossbar.

    Attributes:
        name: What it is called in errors and reports.
        rows: Lines on one side of the crossbar.
        columns: Lines on the other.
        instruments: Instruments by the name that roles and wiring use.
        roles: Which terminal does what.
        wiring: Which terminal hangs at which line.
        dut: What a virtual rack has in its socket.
        chip: Which crossbar is in the socket: the pulses of its cells are counted by this name, else by the rack's.

    Raises:
        ValueError: on construction, naming the terminal, line or role that does not fit.
    """

    name: str
    chip: str = ""
    rows: Annotated[int, Field(gt=0, le=4096)]
    columns: Annotated[int, Field(gt=0, le=4096)]
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
    def unwatched(self) -> list[str]:
        """Instruments that drive lines and cannot turn their outputs off by themselves."""
        roles = self.roles
        terminals = [roles.force, roles.sense, roles.bias, *roles.nudge, roles.drive]
        boxes = dict.fromkeys(t.partition(".")[0] for t in terminals if t)
        return [box for box in boxes if not self.instruments[box].facts.watch]

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
        for role, kinds in (
            ("drive", ("mainframe",)),
            ("voltmeter", ("meter", "mainframe")),
            ("clock", ("meter",)),
            ("stage", ("stage",)),
        ):
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
