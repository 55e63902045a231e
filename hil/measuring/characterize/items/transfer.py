"""Drive to state: gain and offset of every neuron, or of every channel of a resistive network; rails, noise."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, ClassVar

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from pydantic import Field

from firmware_specs.codes import Capability, ConverterId
from firmware_specs.datasheet import Datasheet
from hil.measuring import lines
from hil.measuring.characterize.figure import Figure
from hil.measuring.characterize.items.item import Array, Settings
from hil.measuring.characterize.probe import Probe
from hil.measuring.characterize.steps import Record, Step, Write
from hil.measuring.estimate import Estimate, of_mean, of_spread
from hil.measuring.lines import Lines

NEGLIGIBLE = 1e-3
"""Share of a state that nobody minds."""
LINEAR = (0.1, 0.9)
"""States between which a clamped neuron is far from its rails."""


class Transfer(Settings):
    """Drives the first layer from rail to rail with all weights at zero.

    In a resistive network all sources have one voltage, which is then that of every node: what differs is the channels.

    Attributes:
        points: Drives, evenly from -0.3 to 1.3; source voltages over nine tenths of what all limits allow. Those that
            the converter makes one are one.
        repeats: Settles at each drive.
    """

    NAME: ClassVar[str] = "transfer"
    NEEDS: ClassVar[tuple[Capability, ...]] = (Capability.SETTLE, Capability.WRITE)
    DIMS: ClassVar[Mapping[str, tuple[str, ...]]] = {"state": ("sample", "unit"), "drive": ("sample",)}
    UNITS: ClassVar[Mapping[str, str]] = {"state": "1", "drive": "1"}

    points: Annotated[int, Field(ge=5)] = 33
    repeats: Annotated[int, Field(ge=2)] = 16

    def steps(self, probe: Probe) -> Sequence[Step]:
        """One batch."""
        span = (-0.3, 1.3)
        if probe.resistive:
            most_v = probe.crossbar.session.guard.limits.record().max_source_v
            adc = probe.converter(probe.adc(0))
            reach = 0.9 * min(probe.reach(ConverterId.DRIVE_DAC), min(most_v, -adc.low, adc.high) / probe.state_unit_v)
            span = (-reach, reach)
        levels = np.unique(probe.on_codes(ConverterId.DRIVE_DAC, np.linspace(*span, self.points)))
        drive = np.repeat(levels, self.repeats)

        def look(p: Probe) -> Record:
            inputs = p.driven(1.0, len(drive)) * drive[:, None]
            return {"state": p.states(inputs, 0), "drive": drive}

        return [Step(look, (Write(probe.resting_level),))]

    def conclude(self, data: xr.Dataset, sheet: Datasheet | None) -> list[Figure]:
        """Mean gain and offset, their mismatch, noise of a reading, rails."""
        found, noise = unit_fits(data)
        live = found.follows.copy()
        live[live] = _typical(found.gain[live])
        stated = _stated(sheet, float(data.attrs.get("state_lsb", 0.0)), _resistive(data))
        in_dac, in_adc = (0.0, 0.0) if sheet is None else _bows(sheet)
        bent = {"gain": in_dac + in_adc, "offset": in_dac + in_adc}
        gain, offset = found.gain[live], found.offset[live]
        figures = {
            "gain": of_mean(gain),
            "offset": of_mean(offset),
            "gain_mismatch": _corrected(gain, float(np.mean(found.gain_sigma[live] ** 2))),
            "offset_mismatch": _corrected(offset, float(np.mean(found.offset_sigma[live] ** 2))),
            "noise": noise,
        }
        listed = [
            Figure(f"{self.NAME}.{name}", value, stated.get(name), NEGLIGIBLE + bent.get(name, 0.0))
            for name, value in figures.items()
        ]
        if not _resistive(data):
            state = data["state"].to_numpy()[0]
            listed.append(
                Figure(f"{self.NAME}.low_rail", of_mean(state[: self.repeats, live]), 0.0, NEGLIGIBLE + in_adc)
            )
            listed.append(Figure(f"{self.NAME}.high_rail", of_mean(state[-self.repeats :, live]), 1.0, in_adc))
        return [*listed, Figure(f"{self.NAME}.dead", Estimate(float(1 - live.mean()), 0.0), 0.0)]


def _stated(sheet: Datasheet | None, state_lsb: float, resistive: bool) -> dict[str, float]:
    """What a datasheet says: of neurons, or of the channels that read a resistive network's nodes."""
    said = {"gain": 1.0, "offset": 0.0}
    if sheet is None:
        return said
    unit_v, neurons, adc = sheet.neurons.state_unit_v, sheet.neurons, sheet.state_adc
    if resistive:
        adc = sheet.output_adc
        mismatch = adc.gain_error_sigma, adc.offset_error_sigma_lsb * adc.lsb / unit_v
        lsb = 0.0 if adc.ideal else adc.lsb / unit_v
    else:
        mismatch, lsb = (neurons.gain_mismatch_sigma, neurons.offset_mismatch_sigma_v / unit_v), state_lsb
    noise = float(np.hypot(adc.noise_sigma_v / unit_v, lsb / np.sqrt(12)))
    return said | {"gain_mismatch": mismatch[0], "offset_mismatch": mismatch[1], "noise": noise}


def _bows(sheet: Datasheet) -> tuple[float, float]:
    """How far the curves of drive DAC and ADC may be off a straight line by the datasheet, model units.

    All channels share a converter's curve, so that it moves the mean of all units.
    """
    unit_v = sheet.neurons.state_unit_v
    dac, adc = sheet.drive_dac, sheet.output_adc if sheet.resistive else sheet.state_adc
    drive_unit = unit_v if sheet.resistive else unit_v / sheet.neurons.transimpedance_ohm
    return (
        0.0 if dac.ideal else dac.inl_lsb * dac.lsb / drive_unit,
        0.0 if adc.ideal else adc.inl_lsb * adc.lsb / unit_v,
    )


def unit_fits(data: xr.Dataset) -> tuple[Lines, Estimate]:
    """The line of every unit between its rails, and the noise of one reading."""
    state, drive = data["state"].to_numpy()[0], data["drive"].to_numpy()[0]
    levels = np.unique(drive)
    readings = np.stack([state[drive == level] for level in levels])
    means = readings.mean(axis=1)
    inside = np.ones(means.shape, bool) if _resistive(data) else (means > LINEAR[0]) & (means < LINEAR[1])
    noise = lines.repeat_noise(readings, inside)
    inputs = np.repeat(levels[:, None], means.shape[1], axis=1)
    return lines.fit(inputs, means, inside, noise.value / np.sqrt(readings.shape[1])), noise


def _resistive(data: xr.Dataset) -> bool:
    return str(data.attrs.get("substrate", "hopfield")) == "resistive"


def _corrected(values: Array, error2: float) -> Estimate:
    """Spread of values with the error of each taken out; units beside a stuck cell are no sample of it."""
    seen = of_spread(values[_typical(values)])
    spread = float(np.sqrt(max(seen.value**2 - error2, 0.0)))
    return Estimate(spread, seen.sigma * seen.value / max(spread, seen.value / 10, 1e-30))


def _typical(values: Array) -> NDArray[np.bool_]:
    """Units within the usual spread; a unit within a thousandth is never unusual."""
    off = np.abs(values - np.median(values))
    return np.asarray(off <= max(8 * float(np.median(off)), 1e-3))
