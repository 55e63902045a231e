"""Writing conductances with pulses and verifying reads, every pulse counted against the cell's budget.

The pulse voltage falls on one cell: its row is pulsed, its column held at 0 V, all other lines wait at half the
voltage. How far a pulse moves a cell is learned while writing: from the last pulses, as a fraction of the way left
per second.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from drivers.errors import OutOfRange
from drivers.rack.cells import measure_range, pair, select
from drivers.rack.checks import finite, within
from drivers.rack.rig import Rig
from firmware_specs.deeds import Deeds

Array = NDArray[np.float64]


@dataclass
class PulseLaw:
    """What has been learned of the cells' answer to pulses.

    Attributes:
        rate_hz: Fraction of the way left that a pulse covers per second, upwards and downwards, `1 - exp(-rate t)`.
    """

    rate_hz: dict[bool, float] = field(default_factory=lambda: {True: 1000.0, False: 1000.0})

    def width_s(self, now_s: float, target_s: float, end_s: float) -> float:
        """Pulse width that leads from here to the target, if the law holds."""
        left, wanted = abs(end_s - now_s), abs(target_s - now_s)
        share = min(wanted / max(left, 1e-15), 0.9)
        return -float(np.log1p(-share)) / self.rate_hz[end_s > now_s]

    def learn(self, before_s: float, after_s: float, end_s: float, width_s: float) -> None:
        """Takes one more pulse into account; one that did not move the cell counts as slow, not as stuck."""
        up = end_s > before_s
        moved = (after_s - before_s) / (end_s - before_s)
        seen = -float(np.log1p(-min(max(moved, 0.0), 0.99))) / width_s
        self.rate_hz[up] = float(np.clip(np.sqrt(self.rate_hz[up] * max(seen, self.rate_hz[up] / 16)), 1e-2, 1e9))


@dataclass(frozen=True)
class Written:
    """What a write did.

    Attributes:
        g_s: Last verified conductance of each cell, NaN where nothing was asked, (rows, columns).
        pulses: Pulses spent, (rows, columns).
        missed: (n, 2) cells that did not reach their target.
        seconds: By the bench's clock.
    """

    g_s: Array
    pulses: NDArray[np.int64]
    missed: NDArray[np.int64]
    seconds: float


def pulse_mode(rig: Rig) -> None:
    """Force, sense and bias on at 0 V, in ranges that hold the pulse.

    Raises:
        OutOfRange: nobody has chosen the pulses, no bias source, or the force source cannot time pulses.
    """
    roles, rack = rig.rack.roles, rig.rack
    if not roles.bias:
        raise OutOfRange("programming needs roles.bias, to keep unselected lines at half the pulse", device=rack.name)
    if not rack.instruments[roles.force.partition(".")[0]].facts.pulse:
        raise OutOfRange(f"{roles.force} does not time pulses", device=rack.name)
    if unsaid := [name for name in ("pulse_v", "pulse_s") if name not in rack.limits.model_fields_set]:
        raise OutOfRange(
            f"nobody has chosen the pulses of this crossbar: limits.{' and limits.'.join(unsaid)} are not given, and "
            "writing uses them; nothing was sent",
            device=rack.name,
            todo="Give them in the rack file: pulses go out at pulse_v, of pulse_s at most",
        )
    wanted = {roles.force: rig.limits.pulse_v, roles.sense: rig.limits.read_v, roles.bias: rig.limits.pulse_v}
    if set(rig.outputs.sources) == set(wanted) and rig.mode == "pulse":
        return
    rig.rest()
    with rig.pulsing([roles.force, roles.bias]):
        for terminal, range_v in wanted.items():
            volts = rig.limits.read_v if terminal == roles.sense else rig.limits.pulse_v
            rig.outputs.source_volts(terminal, range_v=range_v, measure_a=measure_range(rig, terminal, volts))
    rig.mode = "pulse"


def pulse(rig: Rig, volts: float, width_s: float, count: int, row: int, column: int) -> None:
    """Pulses on the selected cell, positive on the row; the budget is charged before they go out.

    Raises:
        OutOfRange: beyond `limits.pulse_v` or `limits.pulse_s`. BudgetSpent: the cell has had its pulses.
    """
    limits, roles = rig.limits, rig.rack.roles
    within("pulse", volts, limits.pulse_v, "V", rig.rack.name)
    within("pulse width", width_s, limits.pulse_s, "s", rig.rack.name)
    if width_s <= 0 or count < 1:
        raise OutOfRange(f"{count} pulses of {width_s:g} s: both must be positive", device=rig.rack.name)
    rig.spent.charge(row, column, count, volts, width_s)
    with rig.pulsing([roles.force, roles.bias]):
        rig.outputs.set_level(roles.bias, volts / 2)
        try:
            rig.outputs.sync()
            up, down = (count, 0) if volts > 0 else (0, count)
            done = Deeds(pulses_up=up, pulses_down=down, device_s=width_s * count)
            rig.accounts.run([done], lambda: rig.outputs.smu(roles.force).pulse(volts, width_s, count))
        finally:
            rig.outputs.set_level(roles.bias, 0.0)


def write(
    rig: Rig, target_s: Array, law: PulseLaw | None = None, *, tolerance: float = 0.02, tries: int = 40
) -> Written:
    """Writes cells and verifies each.

    Args:
        rig: A rack that can program.
        target_s: (rows, columns), siemens; NaN leaves a cell alone.
        law: What is known of the pulses; grows with the write.
        tolerance: Accepted error, as a fraction of the conductance range.
        tries: Pulses a cell may take before it is given up as stuck.

    Raises:
        OutOfRange: a target is outside `limits.g_min_s .. g_max_s`. BudgetSpent: a cell has had its pulses.
    """
    rack, limits, law = rig.rack, rig.limits, law or PulseLaw()
    targets = np.asarray(target_s, dtype=np.float64)
    if targets.shape != (rack.rows, rack.columns):
        raise OutOfRange(
            f"targets of shape {targets.shape}, the crossbar is {rack.rows} x {rack.columns}", device=rack.name
        )
    asked = ~np.isnan(targets)
    finite("target conductances", targets[asked], rack.name)
    if (targets[asked] < limits.g_min_s * (1 - 1e-6)).any() or (targets[asked] > limits.g_max_s * (1 + 1e-6)).any():
        raise OutOfRange(f"target conductances outside {limits.g_min_s:g} .. {limits.g_max_s:g} S", device=rack.name)
    begin = rig.clock.now_s()
    seen = np.full(targets.shape, np.nan)
    before = rig.spent.pulses.copy()
    missed = []
    pulse_mode(rig)
    within_s = tolerance * (limits.g_max_s - limits.g_min_s)
    for row, column in np.argwhere(asked):
        reached = _write_cell(rig, int(row), int(column), float(targets[row, column]), law, within_s, tries)
        seen[row, column] = reached
        if abs(reached - targets[row, column]) > within_s:
            missed.append((row, column))
    rig.quiet()
    rig.check_errors()
    rig.accounts.add(Deeds(written=int(asked.sum()), write_pulses=int((rig.spent.pulses - before).sum())))
    cells = np.array(missed, dtype=np.int64).reshape(-1, 2)
    return Written(seen, rig.spent.pulses - before, cells, rig.clock.now_s() - begin)


def _write_cell(rig: Rig, row: int, column: int, target_s: float, law: PulseLaw, within_s: float, tries: int) -> float:
    limits = rig.limits
    select(rig, row, column, "half")
    zero = pair(rig)
    now = _read(rig, zero)
    for _ in range(tries):
        if abs(now - target_s) <= within_s:
            break
        up = target_s > now
        end = limits.g_max_s if up else limits.g_min_s
        width = float(np.clip(law.width_s(now, target_s, end), limits.pulse_s / 1000, limits.pulse_s))
        pulse(rig, limits.pulse_v if up else -limits.pulse_v, width, 1, row, column)
        after = _read(rig, zero)
        if abs(end - now) > within_s / 4:
            law.learn(now, after, end, width)
        now = after
    rig.quiet()
    return now


def _read(rig: Rig, zero: tuple[float, float]) -> float:
    """Conductance of the selected cell, other lines at 0 V on the bias source."""
    rig.outputs.set_level(rig.rack.roles.force, rig.limits.read_v)
    amps, volts = pair(rig)
    rig.outputs.set_level(rig.rack.roles.force, 0.0)
    return (zero[0] - amps) / (volts - zero[1])
