"""Reciprocity: do cells conduct from column to row what they conduct from row to column?

A device that multiplies shows its weights one line at a time, either way. One that settles shows what every unit
answers to a change of every drive and nudge, the response `X = (D^-1 - J)^-1` of its states: D has the gains of the
neurons, J the couplings, whose two blocks off the diagonal are the two directions. Errors of channels and neurons are
common to a row or a column; what is left of the ratio without them is the cells'.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, ClassVar

import numpy as np
from pydantic import Field

from firmware_specs.codes import Capability, ConverterId
from firmware_specs.datasheet import Datasheet
from hil.measuring import robust
from hil.measuring.characterize import health
from hil.measuring.characterize.figure import Figure
from hil.measuring.characterize.grade import grade
from hil.measuring.characterize.items.item import ARITHMETIC, Array, Settings, ladder
from hil.measuring.characterize.probe import Probe
from hil.measuring.characterize.steps import Record, Step, Write
from hil.measuring.estimate import Estimate

if TYPE_CHECKING:
    import xarray as xr

DRIVE = 0.4
"""Drive of every unit about which single ones are changed: all states are far from their rails."""
LINE = ("row", "column")
UNKNOWN = 0.02
"""Relative uncertainty by converters of which nobody says anything."""


class Reciprocity(Settings):
    """Measures the weights of the block in both directions.

    Attributes:
        strength: Loop gain of the block on a device that settles, `w sqrt(rows columns)`.
        change: Change of one unit's drive or nudge, either way, on a device that settles; model units.
        repeats: Independent measurements, at least two: their scatter is the noise.
        reads: Conversions of every reading, averaged.
    """

    NAME: ClassVar[str] = "reciprocity"
    NEEDS: ClassVar[tuple[Capability, ...]] = (Capability.WRITE,)
    DIMS: ClassVar[Mapping[str, tuple[str, ...]]] = {"forth": ("repeat", *LINE), "back": ("repeat", *LINE)}
    UNITS: ClassVar[Mapping[str, str]] = {"forth": "1", "back": "1"}

    strength: Annotated[float, Field(gt=0, lt=1)] = 0.5
    change: Annotated[float, Field(gt=0, le=0.3)] = 0.2
    repeats: Annotated[int, Field(ge=2)] = 8
    reads: Annotated[int, Field(ge=1)] = 16

    def refusal(self, probe: Probe) -> str:
        """Resistors are reciprocal, and what neither multiplies nor settles shows no direction."""
        if probe.resistive:
            return "resistors conduct alike either way"
        if probe.can(Capability.PRODUCT):
            return ""
        if not probe.can(Capability.SETTLE):
            return "the device neither multiplies nor settles"
        return "" if len(probe.topology.layers) == 2 else "it needs two layers that are coupled with one another alone"

    def steps(self, probe: Probe) -> Sequence[Step]:
        """One write of the first plane, one look in both directions."""
        multiplies = probe.can(Capability.PRODUCT)
        levels = np.zeros(probe.shape)
        levels[0] = ladder(probe, 0.3)[0]
        if not multiplies:
            loop = float(np.linalg.norm(levels[0], 2)) * probe.weight_unit
            levels[0] *= min(1.0, self.strength / loop)

        def look(p: Probe) -> Record:
            both = [self._multiplied(p) if multiplies else self._settled(p) for _ in range(self.repeats)]
            return {name: np.stack([each[n] for each in both]) for n, name in enumerate(("forth", "back"))}

        return [Step(look, (Write(levels),), {})]

    def _multiplied(self, p: Probe) -> tuple[Array, Array]:
        """Differences of both planes, shares of the conductance range, (rows, columns) both."""
        _, rows, columns = p.cells(0)
        found = []
        for lines, transposed in ((rows, False), (columns, True)):
            volts = np.eye(lines) * p.read_v
            amps = [
                p.crossbar.product(p.array, 0, volts, plane, transposed=transposed, reads=self.reads)[0]
                for plane in range(p.shape[0])
            ]
            found.append((amps[0] - amps[1]) / p.read_v / p.span_s)
        return found[0][: p.rows, : p.columns], found[1].T[: p.rows, : p.columns]

    def _settled(self, p: Probe) -> tuple[Array, Array]:
        """The same from the response to single drives and nudges."""
        first, last = (layer.units for layer in p.topology.layers)
        size = float(p.on_codes(ConverterId.NUDGE_DAC, np.array([min(self.change, p.reach(ConverterId.NUDGE_DAC))]))[0])
        drives = p.on_codes(ConverterId.DRIVE_DAC, DRIVE + np.array([self.change, -self.change]))
        base = np.full((first, first), DRIVE)
        up, down = (np.where(np.eye(first, dtype=bool), d, base) for d in drives)
        high, low = (p.settle(d, reads=self.reads).states_v for d in (up, down))
        by_drive = [(h[0] - n[0]) / float(drives[0] - drives[1]) for h, n in zip(high, low, strict=True)]
        nudge = np.eye(last) * size
        nudged = p.settle(np.full((last, first), DRIVE), [nudge, -nudge], reads=self.reads).states_v
        by_nudge = [(layer[1] - layer[2]) / (2 * size) for layer in nudged]
        response = np.block([[by_drive[0].T, by_nudge[0].T], [by_drive[1].T, by_nudge[1].T]]) / p.state_unit_v
        couplings: Array = np.asarray(-np.linalg.inv(response) / p.weight_unit, dtype=np.float64)
        return couplings[first:, :first].T[: p.rows, : p.columns], couplings[:first, first:][: p.rows, : p.columns]

    def conclude(self, data: xr.Dataset, sheet: Datasheet | None) -> list[Figure]:
        """Mean ratio of both directions, and its spread between cells."""
        cells, out = None if sheet is None else sheet.cells, health.left_out(data)
        gain, spread = ratios(data, sheet)
        steps, bow = self._converters(data, sheet)
        # converters' steps are the same every time: they look like a spread of the cells
        spread = spread.widened(converters=float(np.hypot(spread.value, steps)) - spread.value)
        pairs, lines = data["forth"][0, 0].size, min(data["forth"].shape[-2:])
        gain = gain.widened(converters=steps / float(np.sqrt(pairs)), INL=bow / float(np.sqrt(lines)))
        return [
            Figure(f"{self.NAME}.gain", gain, None if cells is None else cells.backward_gain, out),
            Figure(f"{self.NAME}.spread", spread, None if cells is None else cells.nonreciprocity, out),
        ]

    def _converters(self, data: xr.Dataset, sheet: Datasheet | None) -> tuple[float, float]:
        """What converters add to the ratio of a pair of directions, relative: by steps, and by a line's curve."""
        if sheet is None:
            return UNKNOWN, UNKNOWN
        cells, forth = sheet.cells, data["forth"].to_numpy()[0]
        weight = float(np.median(np.abs(forth)))
        if sheet.product is not None:
            line = sheet.product.line_adc
            lsb = 0.0 if line.ideal else line.lsb / (sheet.limits.max_read_v * cells.span_s * weight)
            own = float(np.hypot(line.dnl_lsb, np.sqrt(1 / 6)))
            return 2 * own * lsb + ARITHMETIC, 2 * line.inl_lsb / float(np.sqrt(3)) * lsb
        unit = cells.span_s * sheet.neurons.transimpedance_ohm
        reach = min(-sheet.nudge_dac.low_a, sheet.nudge_dac.high_a) * sheet.neurons.transimpedance_ohm
        nudge = min(self.change, reach / sheet.neurons.rail_v)
        steps, curves = [], []
        for name, size, seen in (("output_adc", self.change, "forth"), ("state_adc", nudge, "back")):
            adc, swing = grade(data, name, sheet), 2 * size * weight * unit
            # noise of a single reading spreads it over codes
            scatter = data[seen].to_numpy()[0].std(axis=0, ddof=1).mean() * unit * 2 * size * np.sqrt(self.reads / 2)
            steps.append(adc.of_change(np.array([1.0, -1.0]) * scatter * np.sqrt(2)) / swing)
            curves.append(adc.tilt(swing) / swing)
        tolerance = sheet.settle.tolerance / sheet.neurons.rail / (min(self.change, nudge) * weight * unit)
        return math.hypot(*steps) + tolerance, math.hypot(*curves)


def ratios(data: xr.Dataset, sheet: Datasheet | None) -> tuple[Estimate, Estimate]:
    """Mean ratio column to row over row to column, and the spread of it between cells that channels do not explain.

    A pair's ratio is that of a difference, to which the cell at rest adds its own: its spread is `k` times that of a
    cell, `k^2 = (G+^2 + G-^2) / (G+ - G-)^2`.

    Args:
        data: Of `Reciprocity`.
        sheet: What the device is supposed to be.
    """
    forth, back = data["forth"].to_numpy()[0], data["back"].to_numpy()[0]  # one step
    mean = forth.mean(axis=0)
    usable = health.good(data).all(axis=0) & (np.abs(mean) > 0.2 * np.median(np.abs(mean)))
    rows, columns = usable.shape
    each = np.where(usable, back / np.where(usable, mean, 1.0), np.nan)
    forward = np.where(usable, forth / np.where(usable, mean, 1.0), np.nan)
    noise2 = (each - forward).var(axis=0, ddof=1) / len(each)
    ratio = each.mean(axis=0)
    gain = robust.mean(ratio[usable])
    low, high = float(data.attrs["g_min_s"]), float(data.attrs["g_max_s"])
    rest = low / (high - low)
    factor = np.sqrt((mean + rest) ** 2 + rest**2) / np.where(usable, np.abs(mean), 1.0)
    left = _without_lines(np.where(usable, ratio, np.nan))
    free = usable.sum() / max(usable.sum() - rows - columns + 1, 1)
    own = (left / factor)[usable] * np.sqrt(free) / gain.value
    spread = robust.spread(own, (noise2 / factor**2)[usable] / gain.value**2)
    return gain.widened(channels=gain.value * _channels(sheet, rows, columns)), spread


def _without_lines(ratio: Array) -> Array:
    """A table without the means of its rows and columns, (rows, columns); NaN stays out of them."""
    for _ in range(10):
        ratio = ratio - np.nanmean(ratio, axis=1, keepdims=True)
        ratio = ratio - np.nanmean(ratio, axis=0, keepdims=True)
    return ratio


def _channels(sheet: Datasheet | None, rows: int, columns: int) -> float:
    """Relative uncertainty by gains of channels and neurons, which the two directions do not share."""
    if sheet is None:
        return UNKNOWN * float(np.sqrt(2 / rows + 2 / columns))
    if sheet.product is not None:
        lines = sheet.product.line_dac.gain_error_sigma, sheet.product.line_adc.gain_error_sigma
        return float(np.hypot(*lines) * np.sqrt(1 / rows + 1 / columns))
    first = np.hypot(sheet.state_adc.gain_error_sigma, sheet.drive_dac.gain_error_sigma)
    last = np.hypot(sheet.output_adc.gain_error_sigma, sheet.nudge_dac.gain_error_sigma)
    own = sheet.neurons.gain_mismatch_sigma
    return float(np.sqrt((first**2 + own**2) / rows + (last**2 + own**2) / columns))
