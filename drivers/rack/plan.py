"""What a run will take, before any output goes on: settles, time from the instruments' figures, pulses, budgets."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil

from drivers.rack.network import Layout
from firmware_specs.racks import Rack
from firmware_specs.racks.facts import Facts

DAC_CHANNELS_A_MESSAGE = 8


@dataclass(frozen=True)
class Work:
    """What a run asks of the rack.

    Attributes:
        free_phases: Settled and scanned without a nudge.
        nudged_phases: Settled and scanned with one.
        updates: Times the cells are written after the first.
    """

    free_phases: int
    nudged_phases: int
    updates: int


@dataclass(frozen=True)
class Plan:
    """The estimate.

    Attributes:
        settle_s: Time of all phases.
        write_s: Time of all writes.
        pulses_per_cell: Pulses an average cell will have had at the end.
        budget: Pulses a cell may have.
        work: What it was made for.
    """

    settle_s: float
    write_s: float
    pulses_per_cell: float
    budget: int
    work: Work

    @property
    def seconds(self) -> float:
        """Time on the bench."""
        return self.settle_s + self.write_s

    def __str__(self) -> str:
        """A few words for people."""
        work = self.work
        return (
            f"{work.free_phases} free and {work.nudged_phases} nudged phases, {work.updates} updates: about "
            f"{_time(self.settle_s)} measuring and {_time(self.write_s)} writing, {_time(self.seconds)} in all; "
            f"about {self.pulses_per_cell:.0f} pulses a cell of the {self.budget} it may have"
        )


def plan(rack: Rack, placed: Layout, work: Work) -> Plan:
    """Estimates a run of a resistive network.

    Args:
        rack: The bench.
        placed: Where the nodes are.
        work: Phases and updates.
    """
    cells = sum(_cells(placed, n) for n in range(len(placed.layers)))
    units = rack.units
    spare = rack.rows * rack.columns - cells
    writes = cells * (1 + work.updates * units.rewritten) + spare
    free, nudged = phase_s(rack, placed)
    # a mode change before and after each write: outputs off and on, relays, DACs
    write_s = writes * cell_s(rack) + (work.updates + 1) * _mode_change_s(rack, placed)
    pulses = (2 * units.pulses_per_write + work.updates * units.rewritten * units.pulses_per_write) if cells else 0.0
    return Plan(
        work.free_phases * free + work.nudged_phases * nudged, write_s, pulses, rack.limits.pulses_per_cell, work
    )


def phase_s(rack: Rack, placed: Layout) -> tuple[float, float]:
    """Seconds of a free and of a nudged phase."""
    timing, meter = rack.timing, rack.instruments[rack.roles.voltmeter].facts
    channels = len(placed.used) + (len(placed.sources) if rack.measures_source_currents else 0)
    scan = channels * (meter.relay_s + timing.meter_nplc / timing.line_frequency_hz) + meter.bus_s
    bank = rack.instruments[rack.roles.drive].facts
    drive = len(placed.sources) * bank.settle_s + ceil(len(placed.sources) / DAC_CHANNELS_A_MESSAGE) * bank.bus_s
    outputs = len(placed.layers[-1])
    nudge = (
        outputs * (2 * _smu(rack, rack.roles.nudge[0]).bus_s + _reading_s(rack, rack.roles.nudge[0]))
        if outputs
        else 0.0
    )
    return drive + timing.line_settle_s + scan, nudge + timing.line_settle_s + scan


def cell_s(rack: Rack) -> float:
    """Seconds to write one cell: route, offsets, then pulses with a verifying read each."""
    timing, roles, limits = rack.timing, rack.roles, rack.limits
    matrix, smu = rack.instruments[rack.wiring.matrix.instrument].facts, _smu(rack, roles.force)
    route = 2 * (matrix.relay_s + 2 * matrix.bus_s) + 2 * matrix.bus_s
    read = timing.line_settle_s + _reading_s(rack, roles.sense) + _reading_s(rack, roles.force)
    pulse = limits.pulse_s / 10 + 4 * smu.bus_s
    return route + 2 * read + rack.units.pulses_per_write * (pulse + read + 2 * smu.bus_s)


def _mode_change_s(rack: Rack, placed: Layout) -> float:
    matrix = rack.instruments[rack.wiring.matrix.instrument].facts
    smu = _smu(rack, rack.roles.force)
    terminals = 3 + len(placed.layers[-1])
    relays = 4 * (matrix.relay_s + 3 * matrix.bus_s) + 4 * rack.instruments[rack.roles.drive].facts.relay_s
    return relays + terminals * 25 * smu.bus_s + 4 * rack.timing.line_settle_s


def _reading_s(rack: Rack, terminal: str) -> float:
    smu = _smu(rack, terminal)
    return smu.settle_s + smu.autozero * rack.timing.nplc / rack.timing.line_frequency_hz + smu.bus_s


def _smu(rack: Rack, terminal: str) -> Facts:
    return rack.instruments[terminal.partition(".")[0]].facts


def _cells(placed: Layout, coupling: int) -> int:
    rows, columns, _ = placed.cells(coupling)
    return (rows.stop - rows.start) * (columns.stop - columns.start)


def _time(seconds: float) -> str:
    minutes = seconds / 60
    return f"{seconds:.0f} s" if minutes < 2 else f"{minutes:.0f} min" if minutes < 120 else f"{minutes / 60:.1f} h"
