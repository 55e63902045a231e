"""Drive to state: gain and offset of every neuron, or of every channel of a resistive network; rails, noise."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from firmware_specs.codes import Capability, ConverterId
from firmware_specs.datasheet import Datasheet
from hil.measuring import lines, robust
from hil.measuring.calibrate import rounding
from hil.measuring.characterize import health
from hil.measuring.characterize.figure import Figure
from hil.measuring.characterize.grade import Grade, grade
from hil.measuring.characterize.items.item import CELLS, Array, Settings
from hil.measuring.characterize.probe import Probe
from hil.measuring.characterize.steps import Record, Step, Write
from hil.measuring.estimate import Estimate
from hil.measuring.lines import Lines
from hil.measuring.placed import differences

if TYPE_CHECKING:
    import xarray as xr

BOLTZMANN_J_PER_K = 1.380649e-23
ARITHMETIC = 2e-6
"""Relative error of single-precision arithmetic in a device's states."""
LINEAR = (0.1, 0.9)
"""States between which a clamped neuron is far from its rails."""
SPAN = LINEAR[1] - LINEAR[0]
BEYOND = 0.15
"""How far beyond a rail a drive must be for its reading to be that of the rail."""
REST_READS = 16
NEAR = 2.0
"""A rail is at the end of a channel's range when it is nearer to it than that many noises of a reading."""
Mask = NDArray[np.bool_]


class Transfer(Settings):
    """Drives the first layer from rail to rail with all weights at zero; opposite a cell stuck high, by its partner.

    In a resistive network all sources have one voltage, which is then that of every node: what differs is the channels.

    Attributes:
        points: Drives, evenly from -0.3 to 1.3; source voltages over nine tenths of what all limits allow. Those that
            the converter makes one are one.
        repeats: Settles at each drive.
    """

    NAME: ClassVar[str] = "transfer"
    NEEDS: ClassVar[tuple[Capability, ...]] = (Capability.SETTLE, Capability.WRITE)
    DIMS: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "state": ("sample", "unit"), "drive": ("sample",), "rest": CELLS,
    }  # fmt: skip
    UNITS: ClassVar[Mapping[str, str]] = {"state": "1", "drive": "1", "rest": "1"}

    points: Annotated[int, Field(ge=5)] = 33
    repeats: Annotated[int, Field(ge=2)] = 16

    def steps(self, probe: Probe) -> Sequence[Step]:
        """One batch; the cells at rest are read, since what their weights feed back belongs to every gain."""
        span = (-0.3, 1.3)
        if probe.resistive:
            most_v = probe.crossbar.session.guard.limits.record().max_source_v
            adc = probe.converter(probe.adc(0))
            reach = 0.9 * min(probe.reach(ConverterId.DRIVE_DAC), min(most_v, -adc.low, adc.high) / probe.state_unit_v)
            span = (-reach, reach)
        levels = np.unique(probe.on_codes(ConverterId.DRIVE_DAC, np.linspace(*span, self.points)))
        drive = np.repeat(levels, self.repeats)

        def look(p: Probe) -> Record:
            inputs = np.concatenate([p.driven(level, self.repeats, balanced=True) for level in levels])
            rest = p.read(REST_READS).mean(axis=0) if p.can(Capability.MEASURE) else np.full(p.shape, p.resting_level)
            return {"state": p.states(inputs, 0), "drive": drive, "rest": rest}

        return [Step(look, (Write(probe.resting_level, balanced=True),))]

    def conclude(self, data: xr.Dataset, sheet: Datasheet | None) -> list[Figure]:
        """Mean gain and offset, their mismatch, noise of a reading, rails."""
        return _network(self.NAME, data, sheet) if _resistive(data) else _circuits(self.NAME, data, sheet)


@dataclass(frozen=True)
class Units:
    """Every unit's line and its channel; arrays are (units,).

    Attributes:
        lines: State against drive, the channel's own gain and offset taken out.
        low: Reading at the lower rail.
        height: Reading at the upper rail less that at the lower one: the gain of the channel that reads.
        noise: Scatter of one reading between the rails.
        usable: Units none of whose cells is held away from rest.
        cut: Units whose upper rail is at the end of what the channel can read: their `height` is too small.
    """

    lines: Lines
    low: Array
    height: Array
    noise: Estimate
    usable: Mask
    cut: Mask

    @property
    def live(self) -> Mask:
        """Units that follow their drive and of which nothing is known to be broken."""
        return self.usable & self.lines.follows & ~self.cut


def unit_fits(data: xr.Dataset) -> Units:
    """The line of every unit between its rails."""
    state, drive = data["state"].to_numpy()[0], data["drive"].to_numpy()[0]
    levels = np.unique(drive)
    readings = np.stack([state[drive == level] for level in levels])
    means = readings.mean(axis=1)
    if _resistive(data):
        inside = np.ones(means.shape, bool)
        noise = lines.repeat_noise(readings, inside)
        inputs = np.repeat(levels[:, None], means.shape[1], axis=1)
        found = _evened(inputs, means, inside, noise.value / np.sqrt(readings.shape[1]))
        nothing = np.zeros(means.shape[1])
        every = np.ones(means.shape[1], bool)
        return Units(found, nothing, nothing + 1.0, noise, every, ~every)
    low = means[levels < -BEYOND].mean(axis=0)
    height = means[levels > 1 + BEYOND].mean(axis=0) - low
    states = (means - low) / np.where(height > LINEAR[1] - LINEAR[0], height, 1.0)
    inside = (states > LINEAR[0]) & (states < LINEAR[1]) & (height > 0.5)
    noise = lines.repeat_noise(readings, inside)
    inputs = levels[:, None] + states * _fed_back(data)
    found = _evened(inputs, states, inside, noise.value / np.sqrt(readings.shape[1]))
    cut = low + height + NEAR * noise.value > _top(data)
    return Units(found, low, height, noise, health.balanced_rows(data), cut)


def _top(data: xr.Dataset) -> float:
    """Largest state the channels can read."""
    said = json.loads(str(data.attrs.get("converters", "{}"))).get("state_adc")
    return float("inf") if said is None else float(said["high"])


def _evened(inputs: Array, states: Array, inside: Mask, noise: float) -> Lines:
    """Lines, fitted once more without what all units are off together: that is the converters', not the units'."""
    first = lines.fit(inputs, states, inside, noise)
    left = np.where(inside & first.follows, states - first.gain * (inputs - first.offset), np.nan)
    seen = np.isfinite(left)
    if seen.sum(axis=1).max(initial=0) < 4:
        return first
    common = np.where(seen, left, 0.0).sum(axis=1) / np.maximum(seen.sum(axis=1), 1)
    return lines.fit(inputs, states - common[:, None], inside, noise)


def _fed_back(data: xr.Dataset) -> Array:
    """What weights that are not quite zero add to each unit's input for a state of 1 of all units, (units,).

    Through the last layer and back, `sum_j w_uj sum_i w_ij`.
    """
    if "rest" not in data or "weight_unit" not in data.attrs:
        return np.zeros(data.sizes["unit"])
    cells = np.maximum(data["rest"].to_numpy()[0], -1.0)
    weights = differences(cells, float(data.attrs.get("significance", 1.0))) * float(data.attrs["weight_unit"])
    back = np.zeros(data.sizes["unit"])
    back[: len(weights)] = weights @ weights.sum(axis=0)
    return back


def _circuits(name: str, data: xr.Dataset, sheet: Datasheet | None) -> list[Figure]:
    units, adc, dac = unit_fits(data), grade(data, "state_adc", sheet), grade(data, "drive_dac", sheet)
    found, live = units.lines, units.live
    repeats = data.sizes["sample"] / len(np.unique(data["drive"].to_numpy()[0]))
    noise = _before_rounding(units.noise, adc)
    still = float(rounding.offset_of(units.noise.value, adc.lsb))  # what rounding leaves of a rail's mean
    rail2 = units.noise.value**2 / repeats + still**2 + adc.code**2 / 2
    points = max(int((np.abs(np.unique(data["drive"].to_numpy()[0]) - 0.5) < 0.4).sum()), 2)
    # a line through n codes that are each off by as much: its slope by sqrt(12 / n) of that over the span
    uneven, middle = dac.code / float(np.sqrt(points)), np.sqrt(12) * 0.5 / SPAN
    tilt = float(np.hypot(dac.tilt(SPAN), np.sqrt(12) * uneven)) / SPAN
    stated = _stated(sheet)
    lost = f"without {int((~units.usable).sum())} units beside a cell stuck high" if (~units.usable).any() else ""
    gain, offset = found.gain[live], found.offset[live]
    up = units.usable & found.follows
    cut = bool(units.cut[up].any())
    seen = {
        "gain": robust.mean(gain).widened(INL_and_DNL=np.hypot(tilt, 1.5 * adc.bow), arithmetic=ARITHMETIC),
        "offset": robust.mean(offset).widened(
            INL_and_DNL=np.hypot(np.hypot(dac.bow, uneven * np.hypot(1, middle)), adc.bow), rounding=still,
            arithmetic=ARITHMETIC,
        ),
        "gain_mismatch": robust.spread(gain, found.gain_sigma[live] ** 2 + 2 * rail2 / 4),
        "offset_mismatch": robust.spread(offset, found.offset_sigma[live] ** 2 + rail2),
        "read_gain_mismatch": _below(units.height[up], 2 * rail2, cut),
        "noise": noise,
        "low_rail": robust.mean(units.low[up]).widened(INL_and_DNL=np.hypot(adc.bow, adc.code), rounding=still),
        "high_rail": (robust.median if cut else robust.mean)((units.low + units.height)[up]).widened(
            INL_and_DNL=np.hypot(adc.bow, adc.code), rounding=still, arithmetic=ARITHMETIC
        ),
    }  # fmt: skip
    dead = int((units.usable & ~found.follows).sum())
    listed = [Figure(f"{name}.{key}", value, stated.get(key), lost) for key, value in seen.items()]
    return [*listed, Figure(f"{name}.dead", robust.share(dead, max(int(units.usable.sum()), 1)), 0.0, lost)]


def _below(values: Array, error2: float, cut: bool) -> Estimate:
    """Spread of values; where the upper ones are cut off, that of those below the median."""
    if not cut:
        return robust.spread(values, error2)
    middle = float(np.median(values))
    under = values[values < middle]
    found = robust.spread(np.concatenate([under, 2 * middle - under]), error2)
    return Estimate(found.value, 1.5 * found.sigma, freedom=float(under.size))  # half the values, and a median


def _network(name: str, data: xr.Dataset, sheet: Datasheet | None) -> list[Figure]:
    units, adc, dac = unit_fits(data), grade(data, "output_adc", sheet), grade(data, "drive_dac", sheet)
    found, live = units.lines, units.live
    drive = np.unique(data["drive"].to_numpy()[0])
    span, points = float(np.ptp(drive)), len(drive)
    gain, offset = found.gain[live], found.offset[live]
    still = float(rounding.offset_of(units.noise.value, adc.lsb)) / np.sqrt(points)
    code = float(np.hypot(adc.code, dac.code)) / np.sqrt(points)
    seen = {
        "gain": robust.mean(gain).widened(
            INL_and_DNL=np.hypot(np.hypot(dac.tilt(span), adc.tilt(span)), 3.5 * code) / span, arithmetic=ARITHMETIC
        ),
        "offset": robust.mean(offset).widened(
            INL_and_DNL=np.hypot(np.hypot(dac.bow, adc.bow), code), rounding=still, arithmetic=ARITHMETIC * span
        ),
        "gain_mismatch": robust.spread(gain, found.gain_sigma[live] ** 2).widened(arithmetic=ARITHMETIC),
        "offset_mismatch": robust.spread(offset, found.offset_sigma[live] ** 2).widened(
            rounding=still, arithmetic=ARITHMETIC * span
        ),
        "noise": _before_rounding(units.noise, adc),
    }
    stated = _stated(sheet)
    listed = [Figure(f"{name}.{key}", value, stated.get(key)) for key, value in seen.items()]
    return [*listed, Figure(f"{name}.dead", robust.share(int((~found.follows).sum()), found.follows.size), 0.0)]


def _before_rounding(scatter: Estimate, adc: Grade) -> Estimate:
    """Noise of a reading before the converter rounds it, from the scatter of readings at many places."""
    if not adc.lsb:
        return scatter.widened(arithmetic=ARITHMETIC / 10)
    noise = rounding.before(scatter.value / adc.lsb) * adc.lsb
    # a reading meets several codes, as far as its noise reaches, and each has an error of its own
    codes = max(1.0, 2 * float(np.sqrt(np.pi)) * noise / adc.lsb)
    sound = float(np.sqrt(max(noise**2 - adc.code**2 * (1 - 1 / codes), 0.0)))
    # where noise is less than half a step, how often readings cross a step depends on where they are
    plain = float(np.sqrt(max(scatter.value**2 - adc.lsb**2 / 12, 0.0)))
    stretch = scatter.value / max(sound, scatter.value / 10)
    return Estimate(sound, scatter.sigma * stretch).widened(
        rounding=(noise - plain) / 2, INL_and_DNL=(noise - sound) / 2
    )


def _stated(sheet: Datasheet | None) -> dict[str, float]:
    """What a datasheet says: of neurons and the channels that drive and read them, or of a resistive network's."""
    if sheet is None:
        return {"gain": 1.0, "offset": 0.0, "low_rail": 0.0, "high_rail": 1.0}
    unit_v, neurons = sheet.neurons.rail_v, sheet.neurons
    if sheet.resistive:
        adc = sheet.output_adc
        return {
            "gain": 1.0,
            "offset": 0.0,
            "gain_mismatch": adc.gain_error_sigma,
            "offset_mismatch": adc.offset_error_sigma_lsb * (0.0 if adc.ideal else adc.lsb) / unit_v,
            "noise": adc.noise_sigma_v / unit_v,
        }
    dac, adc = sheet.drive_dac, sheet.state_adc
    dac_step = 0.0 if dac.ideal else dac.lsb * neurons.transimpedance_ohm / unit_v
    thermal_v = 0.0
    if neurons.thermal_noise and neurons.node_capacitance_f:
        thermal_v = float(np.sqrt(BOLTZMANN_J_PER_K * sheet.cells.reference_k / neurons.node_capacitance_f))
    return {
        "gain": 1.0 - neurons.leak,
        "offset": 0.0,
        "gain_mismatch": float(np.hypot(neurons.gain_mismatch_sigma, dac.gain_error_sigma)),
        "offset_mismatch": float(
            np.hypot(neurons.offset_mismatch_sigma_v / unit_v, dac.offset_error_sigma_lsb * dac_step)
        ),
        "read_gain_mismatch": adc.gain_error_sigma,
        "noise": float(np.hypot(adc.noise_sigma_v, thermal_v)) / unit_v,
        "low_rail": 0.0,
        "high_rail": 1.0,
    }


def _resistive(data: xr.Dataset) -> bool:
    return str(data.attrs.get("substrate", "hopfield")) == "resistive"
