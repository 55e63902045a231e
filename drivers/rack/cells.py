"""Single cells and whole maps: I-V curves, conductances with their stated uncertainty, products by column.

The selected column is held at 0 V by an SMU that measures its current; the selected row is forced; all other lines are
parked. What offsets and half-selected cells add is measured with the row at its parking voltage and taken off, so no
sneak current is left in a difference of two readings of a linear array.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from drivers.errors import OutOfRange
from drivers.rack.checks import finite, within
from drivers.rack.correct import remove_wires
from drivers.rack.relays import Path
from drivers.rack.rig import Rig
from firmware_specs.deeds import Deeds
from firmware_specs.racks.facts import Facts

Array = NDArray[np.float64]
Parking = Literal["ground", "half"]
OPEN_FRACTION = 0.2
"""A cell below this fraction of the lowest programmable conductance is called open."""


@dataclass(frozen=True)
class Curve:
    """An I-V curve of one cell: volts (n,) across it as measured, amps (n,) through it."""

    volts: Array
    amps: Array


@dataclass(frozen=True)
class Map:
    """Conductances of the whole crossbar.

    Attributes:
        g_s: (rows, columns), siemens.
        uncertainty_s: What the instruments' stated accuracy and resolution allow, (rows, columns).
        sneak_s: Largest conductance that neighbours and wires would have added without the correction.
        open_cells: (n, 2) row and column of cells that conduct next to nothing.
        seconds: How long it took, by the bench's clock.
    """

    g_s: Array
    uncertainty_s: Array
    sneak_s: float
    open_cells: NDArray[np.int64]
    seconds: float


def read_mode(rig: Rig, parking: Parking = "ground") -> None:
    """Force, sense and (for half-voltage parking) bias sources on at 0 V, in fixed ranges.

    Raises:
        OutOfRange: another parking, or the rack has no bias source or no ground row.
    """
    roles, limits = rig.rack.roles, rig.limits
    if parking not in get_args(Parking):
        raise OutOfRange(f"parking {parking!r}: 'ground' or 'half' is expected", device=rig.rack.name)
    if parking == "half" and not roles.bias:
        raise OutOfRange("parking at half the voltage needs roles.bias", device=rig.rack.name)
    wanted = [roles.force, roles.sense] + ([roles.bias] if parking == "half" else [])
    if rig.mode == f"read {parking}":
        return
    rig.rest()
    for terminal in wanted:
        rig.outputs.source_volts(
            terminal, range_v=limits.read_v, measure_a=measure_range(rig, terminal, limits.read_v, parking)
        )
    rig.mode = f"read {parking}"


def select(rig: Rig, row: int, column: int, parking: Parking = "ground") -> None:
    """Routes force to a row and sense to a column, parks the rest."""
    _inside(rig, row, column)
    roles = rig.rack.roles
    mine = {(roles.force, f"row{row}"), (roles.sense, f"col{column}")}
    others = [line for line in rig.rack.lines if line not in (f"row{row}", f"col{column}")]
    parked: set[Path] = rig.park(others) if parking == "ground" else {(roles.bias, line) for line in others}
    rig.quiet()
    rig.route(mine | parked)


def curve(rig: Rig, row: int, column: int, volts: Array) -> Curve:
    """I-V curve of one cell, grounded parking; offsets at 0 V are taken off.

    Raises:
        OutOfRange: a voltage is beyond `limits.read_v`, or not finite.
    """
    levels = np.asarray(volts, dtype=np.float64)
    finite("I-V voltages", levels, rig.rack.name)
    within("I-V voltage", float(np.abs(levels).max(initial=0.0)), rig.limits.read_v, "V", rig.rack.name)
    read_mode(rig)
    select(rig, row, column)
    zero_a, zero_v = pair(rig)
    across, through = [], []
    for level in levels:
        rig.outputs.set_level(rig.rack.roles.force, float(level))
        amps, volts_now = pair(rig)
        across.append(volts_now - zero_v)
        through.append(zero_a - amps)
    rig.quiet()
    rig.check_errors()
    return Curve(np.array(across), np.array(through))


def conductance_map(rig: Rig, read_v: float | None = None, parking: Parking = "ground") -> Map:
    """Reads every cell.

    Args:
        rig: The rack.
        read_v: Voltage across a cell; `limits.read_v` when omitted.
        parking: Unselected lines at 0 V, or at half the read voltage (half the stress on the rest of the row).

    Raises:
        OutOfRange: the voltage is beyond the limit, or the rack cannot park this way.
    """
    volts = rig.limits.read_v if read_v is None else read_v
    within("read voltage", volts, rig.limits.read_v, "V", rig.rack.name)
    roles, begin = rig.rack.roles, rig.clock.now_s()
    read_mode(rig, parking)
    rest_v = volts / 2 if parking == "half" else 0.0
    raw = np.empty((rig.rack.rows, rig.rack.columns))
    spread = np.empty_like(raw)
    sneak = 0.0
    for column in range(rig.rack.columns):
        base_a = base_v = 0.0
        for row in range(rig.rack.rows):
            select(rig, row, column, parking)
            if parking == "half":
                rig.outputs.set_level(roles.bias, rest_v)
            if row == 0:
                rig.outputs.set_level(roles.force, rest_v)
                base_a, base_v = pair(rig)
            rig.outputs.set_level(roles.force, volts)
            amps, forced = pair(rig)
            raw[row, column] = (base_a - amps) / (forced - base_v)
            spread[row, column] = _uncertainty(rig, raw[row, column], forced - base_v, amps, parking)
            sneak = max(sneak, abs(base_a / (forced - base_v)))
    rig.quiet()
    rig.check_errors()
    timing = rig.rack.timing
    g_s = remove_wires(raw, timing.wire_ohm, timing.contact_ohm)
    spread *= np.maximum(1.0, g_s / np.maximum(raw, 1e-12))
    dead = np.argwhere(g_s < OPEN_FRACTION * rig.limits.g_min_s)
    sneak = max(sneak, float(np.abs(g_s - raw).max()))
    return Map(g_s, spread, sneak, dead, rig.clock.now_s() - begin)


def product(rig: Rig, volts: Array) -> tuple[Array, Array]:
    """Column currents for row voltages: rows on their DACs, one column after the other on the sense SMU.

    Args:
        rig: A rack whose rows have DACs.
        volts: (rows,).

    Returns:
        Row voltages as the voltmeter saw them (as set where there is none), and column currents (columns,).

    Raises:
        OutOfRange: a row has no DAC, a voltage is beyond `limits.read_v`.
    """
    rack, roles = rig.rack, rig.rack.roles
    wanted = np.asarray(volts, dtype=np.float64)
    if wanted.shape != (rack.rows,):
        raise OutOfRange(f"{rack.rows} row voltages are needed, got shape {wanted.shape}", device=rack.name)
    finite("row voltages", wanted, rack.name)
    within("row voltage", float(np.abs(wanted).max()), rig.limits.read_v, "V", rack.name)
    if not roles.drive:
        raise OutOfRange("products need roles.drive: a voltage source for every row", device=rack.name)
    rig.rest()
    rig.outputs.source_volts(
        roles.sense, range_v=rig.limits.read_v, measure_a=measure_range(rig, roles.force, rig.limits.read_v)
    )
    currents = np.empty(rack.columns)
    seen = wanted
    columns = [f"col{j}" for j in range(rack.columns)]
    rows = {f"row{i}": float(v) for i, v in enumerate(wanted)}
    rig.outputs.drive(dict.fromkeys(rows, 0.0))
    for index, column in enumerate(columns):
        rig.quiet()
        rig.route({(roles.sense, column)} | rig.park(c for c in columns if c != column))
        watched = index == 0 and bool(rack.wiring.scan)
        zero = _scan(rig, rows) if watched else 0.0
        base = rig.measure(roles.sense).amps
        rig.outputs.drive(rows)
        rig.wait(rack.timing.line_settle_s)
        currents[index] = base - rig.measure(roles.sense).amps
        if watched:
            seen = _scan(rig, rows) - zero
    rig.rest()
    rig.check_errors()
    return seen, currents


def _scan(rig: Rig, lines: Iterable[str]) -> Array:
    """Voltages of lines, by the scanned meter."""
    meter = rig.boxes[rig.rack.roles.voltmeter]
    meter.configure(range_v=rig.limits.read_v, nplc=rig.rack.timing.meter_nplc)
    readings: Array = meter.scan([rig.rack.wiring.scan[line] for line in lines])
    return readings


def pair(rig: Rig) -> tuple[float, float]:
    """Current into the sensed column, and the voltage from row to column."""
    rig.wait(rig.rack.timing.line_settle_s)
    sense, force = rig.measure(rig.rack.roles.sense), rig.measure(rig.rack.roles.force)
    rig.accounts.add(Deeds(reads=1, adc=2, device_s=rig.rack.timing.line_settle_s))
    return sense.amps, force.volts - sense.volts


def _inside(rig: Rig, row: int, column: int) -> None:
    if not (0 <= row < rig.rack.rows and 0 <= column < rig.rack.columns):
        raise OutOfRange(
            f"cell ({row}, {column}) is outside {rig.rack.rows} x {rig.rack.columns}", device=rig.rack.name
        )


def facts_of(rig: Rig, terminal: str) -> Facts:
    """Facts of the instrument a terminal belongs to."""
    return rig.rack.instruments[terminal.partition(".")[0]].facts


def measure_range(rig: Rig, terminal: str, volts: float, parking: Parking = "ground") -> float:
    """Range of a current reading: one cell at its highest, with room, for the sense; a whole line for the others.

    With half-voltage parking the half-selected cells of the column flow through the sense too.
    """
    whole = max(rig.rack.rows, rig.rack.columns)
    cells: float = whole if terminal != rig.rack.roles.sense else (1 + whole / 2 if parking == "half" else 1)
    wanted = min(cells * volts * rig.limits.g_max_s * 1.05, rig.limits.current_a)
    return facts_of(rig, terminal).range_for("amps", wanted).full


def _uncertainty(rig: Rig, g_s: float, volts: float, amps: float, parking: Parking) -> float:
    """Stated accuracy and resolution of both instruments as a conductance; that offsets cancel is not counted on."""
    sense, force, limits = facts_of(rig, rig.rack.roles.sense), facts_of(rig, rig.rack.roles.force), rig.limits
    current = sense.range_for("amps", measure_range(rig, rig.rack.roles.sense, limits.read_v, parking))
    voltage = force.range_for("volts", limits.read_v)
    resolution, nplc = current.full * 1e-6 + 1e-5 * abs(amps), rig.rack.timing.nplc
    of_current = sense.uncertainty(current, amps, nplc) + resolution
    return of_current / abs(volts) + abs(g_s) * force.uncertainty(voltage, volts, nplc) / abs(volts)
