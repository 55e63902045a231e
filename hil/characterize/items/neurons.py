"""Neuron circuits: gain, offset and rails from a drive sweep; settle time; linearity of the nudge."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, ClassVar

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from pydantic import Field

from firmware_specs.codes import Capability, Parameter
from firmware_specs.datasheet import Datasheet
from hil.characterize.estimate import Estimate, curve, of_mean, of_spread
from hil.characterize.figure import Figure
from hil.characterize.items.item import Array, Settings
from hil.characterize.probe import Probe
from hil.characterize.steps import Record, Step, Write

FEEDBACK = 0.005
"""Relative error of a time constant: weights written as zero are not quite, and their loop slows the block."""
LINEAR = (0.1, 0.9)
"""States between which a clamped neuron is far from its rails."""


class Transfer(Settings):
    """Drives the first layer from rail to rail with all weights at zero.

    Attributes:
        points: Drives, evenly from -0.3 to 1.3.
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
        drive = np.repeat(np.linspace(-0.3, 1.3, self.points), self.repeats)

        def look(p: Probe) -> Record:
            settled = p.settle(np.repeat(drive[:, None], p.topology.layers[0].units, axis=1))
            return {"state": settled.states_v[0][0] / p.state_unit_v, "drive": drive}

        return [Step(look, (Write(0.0),))]

    def conclude(self, data: xr.Dataset, sheet: Datasheet | None) -> list[Figure]:
        """Mean gain and offset, their mismatch, noise of a reading, rails."""
        gains, offsets, noise = unit_fits(data)
        live = np.isfinite(gains[0])
        live[live] = _typical(gains[0][live])
        gain, offset = (tuple(values[live] for values in pair) for pair in (gains, offsets))
        state, unit_v = data["state"].to_numpy()[0], 1.0 if sheet is None else sheet.neurons.state_unit_v
        neurons = None if sheet is None else sheet.neurons
        lsb = float(data.attrs.get("state_lsb", 0.0))
        stated_noise = None
        if sheet is not None:
            stated_noise = float(np.sqrt((sheet.state_adc.noise_sigma_v / unit_v) ** 2 + lsb**2 / 12))
        fit_gain, fit_offset = float(np.mean(gain[1] ** 2)), float(np.mean(offset[1] ** 2))
        return [
            Figure(f"{self.NAME}.gain", of_mean(gain[0]), 1.0),
            Figure(f"{self.NAME}.offset", of_mean(offset[0]), 0.0),
            Figure(
                f"{self.NAME}.gain_mismatch",
                _corrected(gain[0], fit_gain),
                None if neurons is None else neurons.gain_mismatch_sigma,
            ),
            Figure(
                f"{self.NAME}.offset_mismatch",
                _corrected(offset[0], fit_offset),
                None if neurons is None else neurons.offset_mismatch_sigma_v / unit_v,
            ),
            Figure(f"{self.NAME}.noise", noise, stated_noise),
            Figure(f"{self.NAME}.low_rail", of_mean(state[: self.repeats, live]), 0.0, 1e-3),
            Figure(f"{self.NAME}.high_rail", of_mean(state[-self.repeats :, live]), 1.0),
            Figure(f"{self.NAME}.dead", Estimate(float(1 - live.mean()), 0.0), 0.0),
        ]


def unit_fits(data: xr.Dataset) -> tuple[tuple[Array, Array], tuple[Array, Array], Estimate]:
    """Gain and input-referred offset of every unit with their standard errors, and the noise of one reading.

    Fits `s = gain (drive - offset)` to the states between the rails. Units that do not follow their drive are NaN.
    """
    state, drive = data["state"].to_numpy()[0], data["drive"].to_numpy()[0]
    gains, offsets, errors, repeats = [], [], [], []
    levels = np.unique(drive)
    for unit in state.T:
        groups = [unit[drive == d] for d in levels]
        means = np.array([g.mean() for g in groups])
        inside = (means > LINEAR[0]) & (means < LINEAR[1])
        if inside.sum() < 3:
            gains.append((np.nan, np.nan))
            offsets.append(np.nan)
            errors.append(np.nan)
            continue
        repeats += [g.var(ddof=1) for g, there in zip(groups, inside, strict=True) if there]
        chosen = np.isin(drive, levels[inside])
        x, y = drive[chosen], unit[chosen]
        centred = x - x.mean()
        gain = float(centred @ y) / float(centred @ centred)
        residual = y - y.mean() - gain * centred
        variance = float(residual @ residual) / (len(x) - 2)
        gains.append((gain, np.sqrt(variance / float(centred @ centred))))
        offsets.append(x.mean() - y.mean() / gain)
        errors.append(np.sqrt(variance / len(x)) / gain)
    if not repeats:
        raise ValueError("transfer: no unit of the first layer follows its drive")
    gain_values, gain_errors = np.array(gains).T
    noise = float(np.sqrt(np.mean(repeats)))
    freedom = len(repeats) * (np.count_nonzero(drive == levels[0]) - 1)
    return (
        (gain_values, gain_errors),
        (np.array(offsets), np.array(errors)),
        Estimate(noise, noise / float(np.sqrt(2 * freedom))),
    )


def _corrected(values: Array, error2: float) -> Estimate:
    """Spread of values with the error of each taken out; units beside a stuck cell are no sample of it."""
    seen = of_spread(values[_typical(values)])
    spread = float(np.sqrt(max(seen.value**2 - error2, 0.0)))
    return Estimate(spread, seen.sigma * seen.value / max(spread, seen.value / 10))


def _typical(values: Array) -> NDArray[np.bool_]:
    off = np.abs(values - np.median(values))
    return np.asarray(off <= 8 * np.median(off))


class SettleTime(Settings):
    """Shortens the wait until states move.

    Attributes:
        shares: Waits as shares of the device's usual one, falling.
        drive: Drive of every unit.
        repeats: Samples of a settle.
    """

    NAME: ClassVar[str] = "settle_time"
    NEEDS: ClassVar[tuple[Capability, ...]] = (Capability.SETTLE, Capability.WRITE, Capability.SETTLE_TIME)
    DIMS: ClassVar[Mapping[str, tuple[str, ...]]] = {"state": ("sample", "unit")}
    UNITS: ClassVar[Mapping[str, str]] = {"state": "1", "time": "s"}

    shares: Annotated[tuple[float, ...], Field(min_length=5)] = (
        1.0, 0.7, 0.5, 0.35, 0.25, 0.18, 0.125, 0.09, 0.06, 0.03, 0.015)  # fmt: skip
    drive: Annotated[float, Field(gt=0, lt=1)] = 0.7
    repeats: Annotated[int, Field(ge=2)] = 32

    def steps(self, probe: Probe) -> Sequence[Step]:
        """One settle a wait."""
        usual = probe.crossbar.info.parameter(Parameter.SETTLE_TIME_S)

        def look_after(seconds: float, p: Probe) -> Record:
            drive = np.full((self.repeats, p.topology.layers[0].units), self.drive)
            return {"state": p.settle(drive, time_s=seconds).states_v[0][0] / p.state_unit_v}

        return [
            Step(lambda p, t=share * usual: look_after(t, p), (Write(0.0),) if i == 0 else (), {"time": share * usual})  # type: ignore[misc]
            for i, share in enumerate(self.shares)
        ]

    def conclude(self, data: xr.Dataset, sheet: Datasheet | None) -> list[Figure]:
        """Time constant, and the wait that leaves less than half a step of an 8-bit reading."""
        tau = time_constant(data)
        return [
            Figure(f"{self.NAME}.tau", tau),
            Figure(f"{self.NAME}.needed", Estimate(tau.value * np.log(2**9), tau.sigma * np.log(2**9), "s")),
        ]


def time_constant(data: xr.Dataset) -> Estimate:
    """`tau` of `s(t) = s_end (1 - exp(-t / tau))`; 0 with the shortest wait as uncertainty where nothing moves."""
    time, state = data["time"].to_numpy(), data["state"].to_numpy()
    means = state.mean(axis=(1, 2))
    errors = state.mean(axis=2).std(axis=1, ddof=1) / np.sqrt(state.shape[1])
    end = float(means[0])
    if abs(end - means.min()) < 5 * float(errors.max()) + 1e-6:
        return Estimate(0.0, float(time.min()), "s")
    sigma = np.maximum(errors, 1e-6)
    guess = float(time[np.argmin(np.abs(means - 0.63 * end))])
    fit = curve(
        lambda t, top, log_tau: top * (1 - np.exp(-t / np.exp(log_tau))),
        time, means, {"top": end, "log_tau": float(np.log(guess))}, sigma, {},
    )  # fmt: skip
    tau = float(np.exp(fit["log_tau"].value))
    stretch = np.sqrt(max(1.0, fit.chi2_per_freedom))
    return Estimate(tau, tau * float(np.hypot(fit["log_tau"].sigma * stretch, FEEDBACK)), "s")


class NudgeLinearity(Settings):
    """Nudges the outputs with growing strength, up and down.

    Attributes:
        shares: Nudges as shares of the nudge range, rising.
        strength: Loop gain of the block, `w sqrt(rows columns)`.
        repeats: Samples at each strength.
    """

    NAME: ClassVar[str] = "nudge"
    NEEDS: ClassVar[tuple[Capability, ...]] = (Capability.SETTLE, Capability.WRITE)
    DIMS: ClassVar[Mapping[str, tuple[str, ...]]] = {"contrast": ("sample", "unit")}
    UNITS: ClassVar[Mapping[str, str]] = {"contrast": "1", "nudge": "1"}

    shares: Annotated[tuple[float, ...], Field(min_length=4)] = (0.02, 0.05, 0.1, 0.2, 0.4, 0.7, 1.0)
    strength: Annotated[float, Field(gt=0, lt=1)] = 0.5
    repeats: Annotated[int, Field(ge=8)] = 64

    def steps(self, probe: Probe) -> Sequence[Step]:
        """One settle a strength: free, up and down."""
        unit = probe.span_s * probe.crossbar.info.parameter(Parameter.TRANSIMPEDANCE_OHM)
        level = min(0.9, self.strength / np.sqrt(probe.rows * probe.columns) / unit)
        levels = np.zeros(probe.shape)
        levels[0] = level

        def look(size: float, p: Probe) -> Record:
            drive = np.full((self.repeats, p.topology.layers[0].units), 0.4)
            nudge = np.full((self.repeats, p.topology.layers[-1].units), size)
            up, down = p.settle(drive, [nudge, -nudge]).states_v[-1][1:]
            return {"contrast": (up - down) / p.state_unit_v}

        sizes = [share * min(probe.nudge_range(), 1.0) for share in self.shares]
        return [
            Step(lambda p, s=size: look(s, p), (Write(levels),) if i == 0 else (), {"nudge": size})  # type: ignore[misc]
            for i, size in enumerate(sizes)
        ]

    def conclude(self, data: xr.Dataset, sheet: Datasheet | None) -> list[Figure]:
        """Contrast per nudge at the smallest deviation, the largest linear nudge, and readings worth averaging."""
        best, reads = recommend(data)
        nudge, contrast = data["nudge"].to_numpy(), data["contrast"].to_numpy()
        slope = contrast.mean(axis=(1, 2)) / (2 * nudge)
        error = contrast.mean(axis=2).std(axis=1, ddof=1) / np.sqrt(contrast.shape[1]) / (2 * nudge)
        weight = 1 / np.maximum(error, 1e-12) ** 2 * (nudge <= best)
        response = Estimate(float((slope * weight).sum() / weight.sum()), float(weight.sum() ** -0.5))
        return [
            Figure(f"{self.NAME}.response", response),
            Figure(f"{self.NAME}.recommended", Estimate(best, 0.0)),
            Figure(f"{self.NAME}.reads", Estimate(float(reads), 0.0)),
        ]


def recommend(data: xr.Dataset, bend: float = 0.05, precision: float = 0.1) -> tuple[float, int]:
    """The largest nudge that is linear within `bend`, and the readings that bring a contrast's noise to `precision`.

    Args:
        data: Of `NudgeLinearity`.
        bend: Share by which the contrast per nudge may differ from that of all smaller nudges.
        precision: Relative noise of one unit's contrast that is good enough.
    """
    nudge, contrast = data["nudge"].to_numpy(), data["contrast"].to_numpy()
    slope = contrast.mean(axis=(1, 2)) / nudge
    random = contrast.mean(axis=2).std(axis=1, ddof=1) / np.sqrt(contrast.shape[1])
    # a contrast below the converters' steps is rounded, another way in every unit
    rounded = np.sqrt((2 * float(data.attrs["output_lsb"]) ** 2 + 4 * float(data.attrs["nudge_lsb"]) ** 2) / 12)
    error = np.hypot(random, rounded / np.sqrt(contrast.shape[2])) / nudge
    best = nudge[0]
    for k in range(1, len(nudge)):
        weight = 1 / np.maximum(error[:k], 1e-12) ** 2
        small = float((slope[:k] * weight).sum() / weight.sum())
        if abs(slope[k] - small) > bend * abs(small) + 3 * float(np.hypot(error[k], weight.sum() ** -0.5)):
            break
        best = nudge[k]
    chosen = contrast[int(np.argmin(np.abs(nudge - best)))]
    noise = float(chosen.std(axis=0, ddof=1).mean() / max(abs(float(chosen.mean())), 1e-12))
    return float(best), max(1, int(np.ceil((noise / precision) ** 2)))
