"""Pulse response: potentiation and depression, asymmetry, number of states, spread over cycles and cells."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, ClassVar

import numpy as np
from pydantic import Field

from firmware_specs.codes import Capability
from firmware_specs.datasheet import Datasheet
from firmware_specs.datasheet.pulses import Pulses as Law
from hil.measuring import robust
from hil.measuring.characterize import health
from hil.measuring.characterize.figure import Figure
from hil.measuring.characterize.items.item import ARITHMETIC, READS, Array, Settings
from hil.measuring.characterize.items.ramps import Ramp, ended, ramp
from hil.measuring.characterize.probe import Probe
from hil.measuring.characterize.steps import Deed, Pulses, Step, Write
from hil.measuring.estimate import Estimate

if TYPE_CHECKING:
    import xarray as xr

CROSSED = 0.2
"""Share of the range that a ramp is to cross."""
BOUNDS = 0.1
"""Spread of the ends of cells' own ranges, shares of the range, where nobody says it."""
GROWN = 64
"""Most pulses of a group where nobody says how far one moves."""
LOST = 0.5
"""Share of its change that a cell loses which stops at an end of its own range somewhere on the way."""


class PulseResponse(Settings):
    """Cycles of pulses up and down, read after every few.

    Attributes:
        start: Level that is written first.
        groups: Readings on the way up, and as many on the way down.
        pulses: Pulses between two readings; 0: by the datasheet what crosses a fifth of the range in either direction,
            without one a number that grows from 1, so that small steps and large ones are seen.
        cycles: Ways up and down.
        reads: Readings of every cell after each group.
        amplitude_v: Height; 0: the nominal one of the datasheet or of the device itself. Nobody else chooses one.
        width_s: Width; 0: likewise.
    """

    NAME: ClassVar[str] = "pulse_response"
    NEEDS: ClassVar[tuple[Capability, ...]] = (Capability.WRITE, Capability.MEASURE, Capability.PULSE, Capability.USAGE)
    DIMS: ClassVar[Mapping[str, tuple[str, ...]]] = {"level": READS}
    UNITS: ClassVar[Mapping[str, str]] = {
        "level": "1",
        "direction": "1",
        "pulses": "1",
        "cycle": "1",
        "amplitude": "V",
        "width": "s",
    }

    start: Annotated[float, Field(ge=0, le=1)] = 0.4
    groups: Annotated[int, Field(ge=2)] = 20
    pulses: Annotated[int, Field(ge=0)] = 0
    cycles: Annotated[int, Field(ge=1)] = 1
    reads: Annotated[int, Field(ge=2)] = 8
    amplitude_v: Annotated[float, Field(ge=0)] = 0.0
    width_s: Annotated[float, Field(ge=0)] = 0.0

    def steps(self, probe: Probe) -> Sequence[Step]:
        """A write, then groups of pulses; `direction` is 0 at the beginning, then +1 or -1."""
        height, width = self.chosen(probe)
        rows = [self._step((Write(self.start),), 0, 0, 0, height, width)]
        for cycle in range(self.cycles):
            for direction in (1, -1):
                for count in self._counts(probe, direction > 0, height, width):
                    pulses = (Pulses(plane, direction > 0, count, height, width) for plane in range(probe.shape[0]))
                    rows.append(self._step(tuple(pulses), cycle, direction, count, height, width))
        return rows

    def refusal(self, probe: Probe) -> str:
        """No cell gets a pulse that nobody chose, or that a limit forbids."""
        height, width = self.chosen(probe)
        missing = [name for name, value in (("amplitude_v", height), ("width_s", width)) if not value]
        if missing:
            return (
                f"nobody has chosen {' and '.join(missing)} of its pulses: name a datasheet with a pulse law "
                "(--datasheet), or set them in the plan (pulse_response) or with --pulse-v and --pulse-s"
            )
        limits = probe.crossbar.session.guard.limits
        beyond = [
            str(most)
            for value, most in ((height, limits.max_pulse_v), (width, limits.max_pulse_s))
            if value > most.value
        ]
        return f"its pulses of {height:g} V, {width:g} s are beyond {' and '.join(beyond)}" if beyond else ""

    def chosen(self, probe: Probe) -> tuple[float, float]:
        """Height and width by plan, datasheet, device; 0 where nobody says."""
        law = _law(probe.sheet)
        said = (law.amplitude_v, law.width_s) if law is not None else probe.crossbar.info.nominal_pulse or (0.0, 0.0)
        return self.amplitude_v or said[0], self.width_s or said[1]

    def _step(
        self, deeds: tuple[Deed, ...], cycle: int, direction: int, count: int, height: float, width: float
    ) -> Step:
        at = {"cycle": float(cycle), "direction": float(direction), "pulses": float(count)}
        return Step(lambda p: {"level": p.read(self.reads)}, deeds, at | {"amplitude": height, "width": width})

    def _counts(self, probe: Probe, up: bool, height: float, width: float) -> list[int]:
        """Pulses of every group of one direction."""
        law = _law(probe.sheet)
        if self.pulses:
            return [self.pulses] * self.groups
        if law is None:
            return [min(2 ** (k // 2), GROWN) for k in range(self.groups)]
        step = law.middle_step(up) * law.effort(height, width)
        return [max(1, round(CROSSED / (self.groups * max(step, 1e-9))))] * self.groups

    def conclude(self, data: xr.Dataset, sheet: Datasheet | None) -> list[Figure]:
        """Step at mid-range, asymmetry, slopes with level, spreads."""
        law = _law(sheet)
        zero = 0.5 if law is None else law.zero
        found = response(data, zero, BOUNDS if law is None else law.bounds_d2d)
        stated = {} if law is None else _stated(law, float(data["amplitude"][0]), float(data["width"][0]))
        out = health.left_out(data)
        if "slope_up" in found and "slope_down" not in found:
            stated |= {"step": stated.get("step_up")}
            out = f"{out}; " if out else ""
            out += "up only: down pulses are resets, or leave the range at once"
        return [Figure(f"{self.NAME}.{name}", value, stated.get(name), out) for name, value in found.items()]


def _law(sheet: Datasheet | None) -> Law | None:
    return None if sheet is None or sheet.pulses.law == "none" else sheet.pulses


def _stated(law: Law, amplitude_v: float, width_s: float) -> dict[str, float | None]:
    """What a law says at `zero`: of any law, by its response there and next to it."""
    effort, zero, near = law.effort(amplitude_v, width_s), law.zero, 1e-4
    up, down = (float(law.response(zero, direction)) for direction in (True, False))
    slope_up = (law.response(zero + near, True) - law.response(zero - near, True)) / (2 * near)
    slope_down = (law.response(zero + near, False) - law.response(zero - near, False)) / (2 * near)
    rise, fall = up * (1 + law.asymmetry), down * (1 - law.asymmetry)
    alike = abs(up - down) < 1e-9
    return {
        "step": law.step * effort * (rise + fall) / 2,
        "step_up": law.step * effort * rise,
        "asymmetry": (rise - fall) / (rise + fall),
        "c2c": law.c2c,
        "step_d2d": law.step_d2d,
        "asymmetry_d2d": law.asymmetry_d2d if alike else None,
        "slope_up": -(1 - zero) * float(slope_up) / up,
        "slope_down": zero * float(slope_down) / down,
    }


def response(data: xr.Dataset, zero: float = 0.5, bounds: float = BOUNDS) -> dict[str, Estimate]:
    """Figures of the pulse law, from the change of every cell between readings.

    The mean step of a pulse at level `x` is fitted as `a (1 + beta (x - zero))`, up and down. The constant, linear and
    soft-bounds laws have this form: `step = (a_up + a_down) / 2`, `asymmetry = (a_up - a_down) / (a_up + a_down)`,
    and the slopes of `firmware_specs.datasheet.pulses` follow from `beta`. A direction whose pulses are resets is left
    out: figures are then those of the other one, and there is no asymmetry.

    Args:
        data: Of `PulseResponse`.
        zero: Level at which the step is stated.
        bounds: Spread of the ends of cells' own ranges between cells, shares of the range.

    Raises:
        ValueError: neither direction has a law that can be seen.
    """
    rising, falling = (ramp(data, d, zero) for d in (1, -1))
    if rising is not None and falling is not None:
        return _both(rising, falling, zero, bounds)
    only = rising or falling
    if only is None:
        raise ValueError(
            "pulse_response: too few cells stay within 5 .. 95 % of their range for 4 groups of pulses of which each "
            "moves them by less than a tenth: give fewer pulses, or lower ones"
        )
    slope = "slope_up" if rising is not None else "slope_down"
    end, lean = ended(only, bounds), abs(only.beta_sigma * only.mean_level)
    return _step_of(only.cells, only.bend, only.error2, only.error2_sigma, lean, end) | {
        slope: _slope(only, -(1 - zero) if rising is not None else zero, end),
        "c2c": _c2c([only], float(np.nanmedian(only.cells)), lean, end),
    }


def _both(rising: Ramp, falling: Ramp, zero: float, bounds: float) -> dict[str, Estimate]:
    steps = (rising.cells + falling.cells) / 2
    bend = float(np.hypot(rising.bend, falling.bend)) / 2
    both = np.isfinite(steps)
    error2_sigma = float(np.hypot(rising.error2_sigma, falling.error2_sigma)) / 4
    error2 = (rising.error2 + falling.error2) / 4
    ends = [ended(r, bounds) for r in (rising, falling)]
    slopes = math.hypot(*(r.beta_sigma * r.mean_level for r in (rising, falling))) / 2
    found = _step_of(steps, bend, error2, error2_sigma, slopes, math.hypot(*ends) / 2)
    usual = both & robust.typical(steps)
    up, down = rising.cells[usual], falling.cells[usual]
    asymmetry = float((up - down).sum() / (up + down).sum())
    off = up - down - asymmetry * (up + down)
    sigma = float(off.std(ddof=1) * np.sqrt(off.size) / (up + down).sum())
    found["asymmetry"] = Estimate(asymmetry, math.hypot(sigma, slopes), freedom=off.size - 1.0).widened(
        shape_of_the_response=np.hypot(rising.bend, falling.bend) / 2,
        ends_of_cells_ranges=math.hypot(*ends) / 2,
        arithmetic=ARITHMETIC,
    )
    found["slope_up"] = _slope(rising, -(1 - zero), ends[0])
    found["slope_down"] = _slope(falling, zero, ends[1])
    found["c2c"] = _c2c([rising, falling], found["step"].value, slopes, math.hypot(*ends) / 2)
    # of the difference less its mean share, which is linear in the steps: a ratio of noisy steps would be too wide
    noise2 = (1 - asymmetry) ** 2 * rising.error2 + (1 + asymmetry) ** 2 * falling.error2
    square = float(((up + down) ** 2).mean()) - rising.error2 - falling.error2
    spread = robust.spread(off, noise2)
    variance = (spread.value**2) if spread.value else float(off.var(ddof=1)) - noise2
    error = float(np.hypot(off.var(ddof=1) * np.sqrt(2 / off.size), 4 * error2_sigma))
    found["asymmetry_d2d"] = robust.root(variance / square, error / square).widened(
        shape_of_the_response=bend / 4, ends_of_cells_ranges=math.hypot(*ends) / 4
    )
    return found


def _step_of(
    steps: Array, bend: float, error2: float, error2_sigma: float, lean: float, end: float
) -> dict[str, Estimate]:
    """Step, states and spread of the steps of cells; `lean` and `end` are relative errors of all of them together."""
    mean = robust.mean(steps)
    mean = Estimate(mean.value, math.hypot(mean.sigma, lean * mean.value), freedom=mean.freedom).widened(
        shape_of_the_response=bend * mean.value, ends_of_cells_ranges=end * mean.value, arithmetic=ARITHMETIC / 10
    )
    usual = steps[robust.typical(steps)]
    spread = robust.spread(usual, error2)
    variance = float(usual.var(ddof=1)) - error2
    error = float(np.hypot(2 * max(spread.value, 1e-30) * spread.statistical, error2_sigma))
    error = max(error, float(usual.var(ddof=1)) * np.sqrt(2 / usual.size))
    d2d = robust.root(variance, error, freedom=usual.size - 1.0).scaled(1 / mean.value)
    return {
        "step": mean,
        "states": replace(mean.scaled(1 / mean.value**2), value=1 / mean.value),
        "step_d2d": d2d.widened(
            shape_of_the_response=bend / 4,
            ends_of_cells_ranges=math.hypot(d2d.value, math.sqrt(end * LOST)) - d2d.value,
        ),
    }


def _slope(found: Ramp, factor: float, end: float) -> Estimate:
    slope = Estimate(found.beta * factor, found.beta_sigma * abs(factor))
    ends = end / found.half * abs(factor)
    return slope.widened(shape_of_the_response=found.beta_bend * abs(factor), ends_of_cells_ranges=ends)


def _c2c(found: Sequence[Ramp], step: float, lean: float, end: float) -> Estimate:
    """Mean over directions, a share of the step with its relative errors; arithmetic is of levels, beside a step."""
    variance = float(np.mean([r.c2c2 for r in found]))
    sigma = float(np.sqrt(np.sum([r.c2c2_sigma**2 for r in found]))) / len(found)
    bend = max(r.bend for r in found)
    share = robust.root(variance, sigma)
    return replace(share, sigma=math.hypot(share.sigma, lean * share.value)).widened(
        shape_of_the_response=bend / 2, ends_of_cells_ranges=end * share.value, arithmetic=ARITHMETIC / step
    )


def steps_by_cell(data: xr.Dataset, zero: float = 0.5) -> Array:
    """Mean step of every cell at `zero`, shares of the range, flat; NaN where it left the middle of its range."""
    found = [r.cells for r in (ramp(data, d, zero) for d in (1, -1)) if r is not None]
    return np.asarray(np.mean(found, axis=0)) if found else np.full(int(health.of(data).size), np.nan)
