"""Pulse response: potentiation and depression, asymmetry, number of states, spread over cycles and cells."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, ClassVar

import numpy as np
import xarray as xr
from pydantic import Field

from firmware_specs.codes import Capability
from firmware_specs.datasheet import Datasheet
from hil.characterize.figure import Figure
from hil.characterize.items.item import READS, Array, Settings
from hil.characterize.probe import Probe
from hil.characterize.steps import Deed, Pulses, Step, Write
from hil.estimate import Estimate


class PulseResponse(Settings):
    """Cycles of pulses up and down, read after every few.

    Attributes:
        start: Level that is written first.
        groups: Readings on the way up, and as many on the way down.
        pulses: Pulses between two readings.
        cycles: Ways up and down.
        reads: Readings of every cell after each group.
        amplitude_v: Height; the most that all limits allow when 0.
        width_s: Width; the most that all limits allow when 0.
    """

    NAME: ClassVar[str] = "pulse_response"
    NEEDS: ClassVar[tuple[Capability, ...]] = (Capability.WRITE, Capability.MEASURE, Capability.PULSE, Capability.USAGE)
    DIMS: ClassVar[Mapping[str, tuple[str, ...]]] = {"level": READS}
    UNITS: ClassVar[Mapping[str, str]] = {"level": "1", "direction": "1", "pulses": "1", "cycle": "1"}

    start: Annotated[float, Field(ge=0, le=1)] = 0.3
    groups: Annotated[int, Field(ge=2)] = 20
    pulses: Annotated[int, Field(ge=1)] = 1
    cycles: Annotated[int, Field(ge=1)] = 2
    reads: Annotated[int, Field(ge=2)] = 8
    amplitude_v: Annotated[float, Field(ge=0)] = 0.0
    width_s: Annotated[float, Field(ge=0)] = 0.0

    def steps(self, probe: Probe) -> Sequence[Step]:
        """A write, then groups of pulses; `direction` is 0 at the beginning, then +1 or -1."""
        limits = probe.crossbar.session.guard.limits.record()
        height, width = self.amplitude_v or limits.max_pulse_v, self.width_s or limits.max_pulse_s

        def deeds(up: bool) -> tuple[Deed, ...]:
            return tuple(Pulses(plane, up, self.pulses, height, width) for plane in range(probe.shape[0]))

        def step(done: tuple[Deed, ...], cycle: int, direction: int) -> Step:
            at = {"cycle": float(cycle), "direction": float(direction), "pulses": float(self.pulses)}
            return Step(lambda p: {"level": p.read(self.reads)}, done, at)

        rows = [step((Write(self.start),), 0, 0)]
        for cycle in range(self.cycles):
            rows += [step(deeds(direction > 0), cycle, direction) for direction in (1, -1) for _ in range(self.groups)]
        return rows

    def conclude(self, data: xr.Dataset, sheet: Datasheet | None) -> list[Figure]:
        """Step at mid-range, asymmetry, slopes with level, spreads."""
        found = response(data)
        law = None if sheet is None or sheet.pulses.law == "none" else sheet.pulses
        known = law is not None and law.law != "exponential"
        effort = 1.0
        if law is not None:
            effort = law.effort(float(data.attrs["pulse_v"]), float(data.attrs["pulse_s"]))
        stated = {
            "step": law.step * effort if law is not None and known else None,
            "asymmetry": law.asymmetry if law is not None and known else None,
            "c2c": law.c2c if law is not None and known else None,
            "step_d2d": law.step_d2d if law is not None and known else None,
        }
        return [Figure(f"{self.NAME}.{name}", value, stated.get(name)) for name, value in found.items()]


def response(data: xr.Dataset) -> dict[str, Estimate]:
    """Figures of the pulse law, from the change of every cell between readings.

    The mean step of a pulse at level `x` is fitted as `a + b (x - 1/2)`, up and down. The constant, linear and
    soft-bounds laws have this form: `step = (a_up + a_down) / 2`, `asymmetry = (a_up - a_down) / (a_up + a_down)`.
    """
    up, down = (_direction(data, d) for d in (1, -1))
    total = up["a"].value + down["a"].value
    step = Estimate(total / 2, float(np.hypot(up["a"].sigma, down["a"].sigma)) / 2)
    asymmetry = (up["a"].value - down["a"].value) / total
    error = 2 / total**2 * float(np.hypot(up["a"].sigma * down["a"].value, down["a"].sigma * up["a"].value))
    return {
        "step": step,
        "asymmetry": Estimate(asymmetry, error),
        "states": Estimate(1 / step.value, step.sigma / step.value**2),
        "slope_up": Estimate(-up["b"].value / step.value / 2, up["b"].sigma / step.value / 2),
        "slope_down": Estimate(down["b"].value / step.value / 2, down["b"].sigma / step.value / 2),
        "c2c": _mean_of(up["c2c"], down["c2c"]),
        "step_d2d": _mean_of(up["d2d"], down["d2d"]),
    }


def _direction(data: xr.Dataset, direction: int) -> dict[str, Estimate]:
    """Mean step and its slope, spread between cells and between pulses, of one direction."""
    readings, pulses = data["level"].to_numpy(), float(data["pulses"][0])
    means = readings.reshape(*readings.shape[:2], -1).mean(axis=1)
    noise2 = readings.reshape(*readings.shape[:2], -1).var(axis=1, ddof=1).mean() / readings.shape[1]
    chosen = np.flatnonzero(data["direction"].to_numpy()[1:] == direction) + 1
    inside = (means[chosen] > 0.05) & (means[chosen] < 0.95) & (means[chosen - 1] > 0.05) & (means[chosen - 1] < 0.95)
    change = np.where(inside, direction * (means[chosen] - means[chosen - 1]) / pulses, np.nan)
    middle = np.where(inside, (means[chosen] + means[chosen - 1]) / 2 - 0.5, np.nan)
    usable = inside.sum(axis=0) >= 4
    if not usable.any():
        raise ValueError("pulse_response: no cell stays within 5 .. 95 % of its range for 4 groups of pulses")
    fits = np.array([_cell(middle[:, c], change[:, c]) for c in np.flatnonzero(usable)])
    a, b, residual2, count = fits.T
    per_pulse2 = np.clip(residual2 - 2 * noise2 / pulses**2, 0, None) * pulses
    typical = float(np.median(a))
    c2c = float(np.sqrt(per_pulse2.mean()) / typical)
    d2d2 = float(a.var(ddof=1) - (residual2 / count).mean()) if len(a) > 1 else 0.0
    cells = len(a)
    return {
        "a": Estimate(float(a.mean()), float(a.std(ddof=1) / np.sqrt(cells))),
        "b": Estimate(float(b.mean()), float(b.std(ddof=1) / np.sqrt(cells))),
        "c2c": Estimate(c2c, max(c2c, 0.01) / float(np.sqrt(2 * count.sum()))),
        "d2d": Estimate(float(np.sqrt(max(d2d2, 0.0))) / typical, float(a.std() / np.sqrt(2 * cells)) / typical),
    }


def _cell(x: Array, y: Array) -> tuple[float, float, float, float]:
    """`y = a + b x` of one cell: a, b, residual variance, points."""
    there = np.isfinite(x)
    x, y = x[there], y[there]
    centred = x - x.mean()
    width = float(centred @ centred)
    b = float(centred @ (y - y.mean())) / width if width > 1e-9 else 0.0
    a = float(y.mean()) - b * float(x.mean())
    residual = y - a - b * x
    return a, b, float(residual @ residual) / (len(x) - 2), float(len(x))


def _mean_of(first: Estimate, second: Estimate) -> Estimate:
    return Estimate((first.value + second.value) / 2, float(np.hypot(first.sigma, second.sigma)) / 2)
