"""Pulse response: potentiation and depression, asymmetry, number of states, spread over cycles and cells."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
import xarray as xr
from pydantic import Field

from firmware_specs.codes import Capability
from firmware_specs.datasheet import Datasheet
from firmware_specs.datasheet.pulses import Pulses as Law
from hil.measuring.characterize.figure import Figure
from hil.measuring.characterize.items.item import READS, Array, Settings
from hil.measuring.characterize.probe import Probe
from hil.measuring.characterize.steps import Deed, Pulses, Step, Write
from hil.measuring.estimate import Estimate

MODEL = 0.003
"""Error of taking the response as a straight line over a group of pulses and over the levels of one way, relative."""


class PulseResponse(Settings):
    """Cycles of pulses up and down, read after every few.

    Attributes:
        start: Level that is written first.
        groups: Readings on the way up, and as many on the way down.
        pulses: Pulses between two readings; 0: by the datasheet, what crosses a third of the range; else 1.
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

    start: Annotated[float, Field(ge=0, le=1)] = 0.3
    groups: Annotated[int, Field(ge=2)] = 20
    pulses: Annotated[int, Field(ge=0)] = 0
    cycles: Annotated[int, Field(ge=1)] = 1
    reads: Annotated[int, Field(ge=2)] = 8
    amplitude_v: Annotated[float, Field(ge=0)] = 0.0
    width_s: Annotated[float, Field(ge=0)] = 0.0

    def steps(self, probe: Probe) -> Sequence[Step]:
        """A write, then groups of pulses; `direction` is 0 at the beginning, then +1 or -1."""
        height, width, count = self._pulse(probe)

        def deeds(up: bool) -> tuple[Deed, ...]:
            return tuple(Pulses(plane, up, count, height, width) for plane in range(probe.shape[0]))

        def step(done: tuple[Deed, ...], cycle: int, direction: int) -> Step:
            at = {"cycle": float(cycle), "direction": float(direction), "pulses": float(count)}
            at |= {"amplitude": height, "width": width}
            return Step(lambda p: {"level": p.read(self.reads)}, done, at)

        rows = [step((Write(self.start),), 0, 0)]
        for cycle in range(self.cycles):
            rows += [step(deeds(direction > 0), cycle, direction) for direction in (1, -1) for _ in range(self.groups)]
        return rows

    def refusal(self, probe: Probe) -> str:
        """No cell gets a pulse that nobody chose, or that a limit forbids."""
        height, width = self._chosen(probe)
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

    def _chosen(self, probe: Probe) -> tuple[float, float]:
        """Height and width by plan, datasheet, device; 0 where nobody says."""
        law = _law(probe)
        said = (law.amplitude_v, law.width_s) if law is not None else probe.crossbar.info.nominal_pulse or (0.0, 0.0)
        return self.amplitude_v or said[0], self.width_s or said[1]

    def _pulse(self, probe: Probe) -> tuple[float, float, int]:
        """Height, width and number of the pulses between two readings."""
        height, width = self._chosen(probe)
        law = _law(probe)
        if self.pulses or law is None:
            return height, width, self.pulses or 1
        return height, width, max(1, round(0.3 / (self.groups * law.step * law.effort(height, width))))

    def conclude(self, data: xr.Dataset, sheet: Datasheet | None) -> list[Figure]:
        """Step at mid-range, asymmetry, slopes with level, spreads."""
        law = None if sheet is None or sheet.pulses.law == "none" else sheet.pulses
        found = response(data, 0.5 if law is None else law.zero)
        known = law is not None and law.law != "exponential"
        effort = 1.0
        if law is not None:
            effort = law.effort(float(data["amplitude"][0]), float(data["width"][0]))
        stated = {
            "step": law.step * effort if law is not None and known else None,
            "asymmetry": law.asymmetry if law is not None and known else None,
            "c2c": law.c2c if law is not None and known else None,
            "step_d2d": law.step_d2d if law is not None and known else None,
            "asymmetry_d2d": law.asymmetry_d2d if law is not None and known else None,
            "slope_up": _stated_slope(law, up=True),
            "slope_down": _stated_slope(law, up=False),
        }
        return [Figure(f"{self.NAME}.{name}", value, stated.get(name)) for name, value in found.items()]


def _law(probe: Probe) -> Law | None:
    return None if probe.sheet is None or probe.sheet.pulses.law == "none" else probe.sheet.pulses


def _stated_slope(law: Law | None, *, up: bool) -> float | None:
    if law is None or law.law == "exponential":
        return None
    return {"constant": 0.0, "soft_bounds": 1.0}.get(law.law, law.slope_up if up else law.slope_down)


def response(data: xr.Dataset, zero: float = 0.5) -> dict[str, Estimate]:
    """Figures of the pulse law, from the change of every cell between readings.

    The mean step of a pulse at level `x` is fitted as `a + b (x - zero)`, up and down. The constant, linear and
    soft-bounds laws have this form: `step = (a_up + a_down) / 2`, `asymmetry = (a_up - a_down) / (a_up + a_down)`,
    and the slopes of `firmware_specs.datasheet.pulses` follow from `b`.
    """
    rising, falling = (_direction(data, d, zero) for d in (1, -1))
    both = np.isfinite(rising.cells) & np.isfinite(falling.cells)
    steps = (rising.cells[both] + falling.cells[both]) / 2
    asymmetries = (rising.cells[both] - falling.cells[both]) / (2 * steps)
    error2 = (rising.error2 + falling.error2) / 4
    up, down = rising.found, falling.found
    mean, count = float(steps.mean()), int(both.sum())
    slopes2 = (up["a"].sigma ** 2 + down["a"].sigma ** 2) / 4
    step = Estimate(mean, float(np.hypot(steps.std(ddof=1) / np.sqrt(count), np.sqrt(slopes2))))
    asymmetry = (up["a"].value - down["a"].value) / (up["a"].value + down["a"].value)
    error = float(np.sqrt(asymmetries.var(ddof=1) / count + slopes2 / mean**2 + MODEL**2))
    return {
        "step": step,
        "asymmetry": Estimate(asymmetry, error),
        "states": Estimate(1 / step.value, step.sigma / step.value**2),
        "slope_up": _scaled(up["b"], -(1 - zero) / up["a"].value),
        "slope_down": _scaled(down["b"], zero / down["a"].value),
        "c2c": _mean_of(up["c2c"], down["c2c"]),
        "step_d2d": _spread(steps, error2, float(np.median(steps))),
        "asymmetry_d2d": _spread(asymmetries, error2 / float(np.median(steps)) ** 2, 1.0),
    }


def steps_by_cell(data: xr.Dataset, zero: float = 0.5) -> Array:
    """Mean step of every cell at `zero`, shares of the range, flat; NaN where it left the middle of its range."""
    return (_direction(data, 1, zero).cells + _direction(data, -1, zero).cells) / 2


def _spread(values: Array, error2: float, unit: float) -> Estimate:
    """Spread between cells with the error of each taken out, in a unit; robust against cells that do not move."""
    inside = np.abs(values - np.median(values)) < 6 * np.median(np.abs(values - np.median(values)))
    seen = float(values[inside].var(ddof=1))
    spread = float(np.sqrt(max(seen - error2, 0.0)))
    error = seen * np.sqrt(2 / inside.sum()) / (2 * max(spread, np.sqrt(seen) / 10))
    return Estimate(spread / unit, float(error) / unit)


@dataclass(frozen=True)
class _Direction:
    """Figures of one direction, the step of every cell at `zero` (NaN where it cannot be said), and its variance."""

    found: dict[str, Estimate]
    cells: Array
    error2: float


def _scaled(value: Estimate, factor: float) -> Estimate:
    return Estimate(value.value * factor, float(np.hypot(value.sigma * factor, MODEL)))


def _direction(data: xr.Dataset, direction: int, zero: float) -> _Direction:
    """Mean step and its slope, spread between cells and between pulses, of one direction."""
    readings, pulses = data["level"].to_numpy(), float(data["pulses"][0])
    means = readings.reshape(*readings.shape[:2], -1).mean(axis=1)
    variance = readings.reshape(*readings.shape[:2], -1).var(axis=1, ddof=1) / readings.shape[1]
    chosen = np.flatnonzero(data["direction"].to_numpy()[1:] == direction) + 1
    inside = (means[chosen] > 0.05) & (means[chosen] < 0.95) & (means[chosen - 1] > 0.05) & (means[chosen - 1] < 0.95)
    change = np.where(inside, direction * (means[chosen] - means[chosen - 1]) / pulses, np.nan)
    middle = np.where(inside, (means[chosen] + means[chosen - 1]) / 2 - zero, np.nan)
    usable = inside.sum(axis=0) >= 4
    if not usable.any():
        raise ValueError("pulse_response: no cell stays within 5 .. 95 % of its range for 4 groups of pulses")
    x, y = middle[:, usable], change[:, usable]
    count = np.isfinite(x).sum(axis=0)
    x0, y0 = np.nanmean(x, axis=0), np.nanmean(y, axis=0)
    width = float(np.nansum((x - x0) ** 2))
    b = float(np.nansum((x - x0) * (y - y0))) / width
    a = y0 - b * x0
    residual2 = np.nansum((y - a - b * x) ** 2, axis=0) / (count - 1)
    b_error = float(np.sqrt(residual2.mean() / width))
    # successive changes share a reading: their errors add up at the ends only
    # every reading ends one change and begins the next: the noise of a row of n changes is that of its two ends, and
    # about their mean it counts (n + 1) / n times
    noise2 = float((variance[chosen] + variance[chosen - 1])[inside].mean()) / pulses**2
    per_pulse2 = max(float((residual2 - noise2 * (count + 1) / count).mean()), 0.0) * pulses
    a_error2 = per_pulse2 / pulses / count + noise2 / count**2
    typical = float(np.median(a))
    c2c = float(np.sqrt(per_pulse2) / typical)
    # of a variance, 2 s^4 / nu; neighbouring changes share a reading, which costs a third of the freedom
    variance_error = float(residual2.mean()) * pulses * np.sqrt(3 / count.sum())
    c2c_error = variance_error / typical**2 / (2 * max(c2c, np.sqrt(variance_error) / typical))
    every = np.full(usable.size, np.nan)
    every[usable] = a
    found = {
        "a": Estimate(float(a.mean()), float(b_error * abs(x0.mean()))),
        "b": Estimate(b, b_error),
        "c2c": Estimate(c2c, float(np.hypot(c2c_error, 3 * MODEL))),
    }
    return _Direction(found, every, float(a_error2.mean()))


def _mean_of(first: Estimate, second: Estimate) -> Estimate:
    return Estimate((first.value + second.value) / 2, float(np.hypot(first.sigma, second.sigma)) / 2)
