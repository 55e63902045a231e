"""Linearity of the nudge: contrast of the outputs against its size, and whether the gradient it gives is right."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from firmware_specs.codes import Capability, ConverterId
from firmware_specs.datasheet import Datasheet
from hil.measuring.characterize import health
from hil.measuring.characterize.figure import Figure
from hil.measuring.characterize.grade import grade
from hil.measuring.characterize.items.item import Array, Settings
from hil.measuring.characterize.probe import HELD, Probe
from hil.measuring.characterize.steps import Record, Step, Write
from hil.measuring.estimate import Estimate

if TYPE_CHECKING:
    import xarray as xr

DRIVE = 0.3
"""Drive of every unit about which outputs are nudged: with the couplings' own share, and where a dead column makes that
more, states stay off their rails under the whole nudge."""
SHIFT = 0.16
"""Change of the drive, either way, that the gradient of the nudge is compared with."""


class NudgeLinearity(Settings):
    """Nudges the outputs with growing strength, up and down, and shifts the drive up and down.

    Attributes:
        shares: Nudges as shares of the nudge range, rising; those that the converter makes one are one.
        strength: Loop gain of the block, `w sqrt(rows columns)`; a resistive network's cells are at mid-range.
        repeats: Samples at each strength.
    """

    NAME: ClassVar[str] = "nudge"
    NEEDS: ClassVar[tuple[Capability, ...]] = (Capability.SETTLE, Capability.WRITE)
    DIMS: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "contrast": ("sample", "unit"), "input_contrast": ("sample", "input"), "shifted": ("sample", "unit"),
    }  # fmt: skip
    UNITS: ClassVar[Mapping[str, str]] = {
        "contrast": "1", "input_contrast": "1", "shifted": "1", "nudge": "1", "shift": "1",
    }  # fmt: skip

    shares: Annotated[tuple[float, ...], Field(min_length=4)] = (0.02, 0.05, 0.1, 0.2, 0.4, 0.7, 1.0)
    strength: Annotated[float, Field(gt=0, lt=1)] = 0.5
    repeats: Annotated[int, Field(ge=8)] = 64

    def steps(self, probe: Probe) -> Sequence[Step]:
        """One settle a strength, free, up and down, and one with the drive shifted either way."""
        levels = np.full(probe.shape, probe.resting_level)
        if not probe.resistive:
            levels[0] = min(0.9, self.strength / np.sqrt(probe.rows * probe.columns) / probe.weight_unit)
        most = min(probe.reach(ConverterId.NUDGE_DAC), 1.0)
        lsb = probe.lsb(ConverterId.NUDGE_DAC)
        sizes = np.unique(probe.on_codes(ConverterId.NUDGE_DAC, np.maximum(np.array(self.shares) * most, lsb)))
        drives = probe.on_codes(ConverterId.DRIVE_DAC, np.array([DRIVE - SHIFT, DRIVE + SHIFT]))
        shift = float(np.ptp(drives)) / 2

        def look(size: float, p: Probe) -> Record:
            nudge = _nudged(p, size, self.repeats)
            nudged = p.settle(_driven(p, DRIVE, self.repeats), [nudge, -nudge]).states_v
            low, high = (p.settle(_driven(p, d, self.repeats)).states_v[-1][0] for d in drives)
            unit_v = p.state_unit_v
            return {
                "contrast": (nudged[-1][1] - nudged[-1][2]) / unit_v,
                "input_contrast": (nudged[0][1] - nudged[0][2]) / unit_v,
                "shifted": (high - low) / unit_v,
            }

        return [
            Step(
                lambda p, s=float(size): look(s, p),  # type: ignore[misc]
                (Write(levels),) if i == 0 else (),
                {"nudge": float(size), "shift": shift},
            )
            for i, size in enumerate(sizes)
        ]

    def conclude(self, data: xr.Dataset, sheet: Datasheet | None) -> list[Figure]:
        """Contrast per nudge where it is linear, the largest such nudge, readings worth averaging, and the gradient."""
        chosen = recommend(data, sheet)
        step = grade(data, "nudge_dac", sheet).rounding
        out = health.left_out(data)
        figures = [
            Figure(f"{self.NAME}.response", chosen.response, None, out),
            Figure(f"{self.NAME}.recommended", Estimate(chosen.nudge, 0.0).widened(rounding=step), None, chosen.why),
            Figure(f"{self.NAME}.reads", Estimate(float(chosen.reads), 0.0), None, f"for {chosen.noise:.2g} a reading"),
        ]
        if str(data.attrs.get("substrate", "hopfield")) != "resistive" and "shifted" in data:
            figures.append(Figure(f"{self.NAME}.gradient", gradient(data, chosen, sheet), 1.0, GRADIENT))
        return figures


def _driven(probe: Probe, value: float, samples: int) -> Array:
    """A drive common to all units but those with a dead row, which the other plane alone would take to a rail."""
    drive = probe.driven(value, samples)
    if probe.health is not None and not probe.resistive:
        held = _dead_rows(probe.health)
        drive[:, : len(held)][:, held] = HELD
    return drive


def _nudged(probe: Probe, size: float, samples: int) -> Array:
    """A nudge common to all outputs but those with a dead column, which the other plane alone takes to their limit."""
    nudge = np.full((samples, probe.topology.layers[-1].units), size)
    if probe.health is not None and not probe.resistive:
        dead = _dead_columns(probe.health)
        nudge[:, : len(dead)][:, dead] = 0.0
    return nudge


def _dead_columns(codes: NDArray[np.int8]) -> NDArray[np.bool_]:
    """Outputs with a dead column, (columns,), of cells' health."""
    found = np.zeros(codes.shape[2], np.bool_)
    for _, column in health.dead_lines(codes == health.DEAD_LINE, 1):
        found[column] = True
    return found


def _dead_rows(codes: NDArray[np.int8]) -> NDArray[np.bool_]:
    """Units of the first layer with a dead row, (rows,), of cells' health."""
    found = np.zeros(codes.shape[1], np.bool_)
    for _, row in health.dead_lines(codes == health.DEAD_LINE, 2):
        found[row] = True
    return found


GRADIENT = (
    "gradient of the sum of the nudged outputs by a drive of all units, from the recommended nudge, over the finite"
    " difference"
)


@dataclass(frozen=True)
class Recommended:
    """A nudge and why.

    Attributes:
        nudge: Model units.
        index: Step at which it was measured.
        reads: Readings that bring the noise of one unit's contrast to a tenth of it.
        noise: Relative noise of one contrast.
        response: Contrast per nudge up to it.
        why: In words.
    """

    nudge: float
    index: int
    reads: int
    noise: float
    response: Estimate
    why: str


def recommend(
    data: xr.Dataset, sheet: Datasheet | None = None, bend: float = 0.05, precision: float = 0.1
) -> Recommended:
    """The largest nudge that is linear within `bend`, and the readings that bring a contrast's noise to `precision`.

    A nudge of few converter steps is uncertain by their unevenness, so that it says little about the slope; what is
    larger is compared with what is known of all smaller ones.

    Args:
        data: Of `NudgeLinearity`.
        sheet: What the device is supposed to be.
        bend: Share by which the contrast per nudge may differ from that of all smaller nudges.
        precision: Relative noise of one unit's contrast that is good enough.
    """
    nudge = data["nudge"].to_numpy()
    contrast = data["contrast"].to_numpy()[:, :, _with_both_planes(data)]
    units = contrast.mean(axis=1)
    slope = units.mean(axis=1) / (2 * nudge)
    random = contrast.mean(axis=2).std(axis=1, ddof=1) / np.sqrt(contrast.shape[1]) / (2 * nudge)
    bow, code = _converters(data, sheet, nudge, contrast)
    codes = np.hypot(bow, code)
    settled = settling(data) / (2 * nudge)
    error = np.hypot(np.hypot(random, codes * slope), settled)
    last, known = 0, (slope[0], error[0])
    for k in range(1, len(nudge)):
        tolerance = bend * abs(known[0]) + 3 * float(np.hypot(error[k], known[1]))
        if not abs(slope[k] - known[0]) <= tolerance:
            break
        last = k
        weight = 1 / np.maximum(error[: k + 1], 1e-12) ** 2
        known = float((slope[: k + 1] * weight).sum() / weight.sum()), float(weight.sum() ** -0.5)
    between_units = float((units[last] / (2 * nudge[last])).std(ddof=1) / np.sqrt(units.shape[1]))
    weight = 1 / np.maximum(error[: last + 1], 1e-12) ** 2
    mean_random = float(np.sqrt(((weight * random[: last + 1]) ** 2).sum())) / float(weight.sum())
    response = Estimate(known[0], float(np.hypot(mean_random, between_units)), freedom=units.shape[1] - 1.0)
    share = weight / weight.sum()  # all nudges pass one curve: its tilts do not average out, the codes' errors do
    tilt = float((share * bow[: last + 1]).sum())
    uneven = float(np.hypot(tilt, np.sqrt(((share * code[: last + 1]) ** 2).sum())))
    response = response.widened(INL_and_DNL=known[0] * uneven, settling=settled[last])
    noise = float(contrast[last].std(axis=0, ddof=1).mean() / max(abs(float(contrast[last].mean())), 1e-12))
    why = f"the largest nudge whose contrast is within {bend:.0%} of proportional"
    why += " (the range ends there)" if last == len(nudge) - 1 else ""
    blurred = nudge[codes > bend]
    if blurred.size:
        why += f"; at {blurred.max():.3g} and below, one converter step is more than {bend:.0%} of it"
    return Recommended(float(nudge[last]), last, max(1, int(np.ceil((noise / precision) ** 2))), noise, response, why)


def _with_both_planes(data: xr.Dataset) -> NDArray[np.bool_]:
    """Outputs none of whose columns is dead, (units,): those that were nudged, with the weights that were written."""
    dead = np.zeros(data.sizes["unit"], np.bool_)
    if health.looked(data):
        found = _dead_columns(health.of(data))
        dead[: len(found)] = found
    return ~dead


def settling(data: xr.Dataset) -> float:
    """Standard uncertainty of a contrast by a relaxation that ends within a tolerance, model units."""
    return 2 * float(data.attrs.get("settle_tolerance", 0.0))


def _converters(data: xr.Dataset, sheet: Datasheet | None, nudge: Array, contrast: Array) -> tuple[Array, Array]:
    """Relative uncertainties of slopes by the converters' curves and by single codes, each (strengths,).

    Args:
        data: Of `NudgeLinearity`.
        sheet: What the device is supposed to be.
        nudge: Strengths, model units.
        contrast: Of the outputs, (strengths, samples, units).
    """
    dac, adc = grade(data, "nudge_dac", sheet), grade(data, "output_adc", sheet)
    swing = np.abs(contrast.mean(axis=(1, 2)))
    least = np.maximum(swing, 1e-12)
    tilt = np.hypot(
        [dac.tilt(2 * n) / (2 * n) for n in nudge], [adc.tilt(s) / x for s, x in zip(swing, least, strict=True)]
    )
    code = np.hypot(
        np.sqrt(2) * dac.code / (2 * nudge), [adc.of_change(c) / x for c, x in zip(contrast, least, strict=True)]
    )
    return np.asarray(tilt), np.asarray(code)


def gradient(data: xr.Dataset, chosen: Recommended, sheet: Datasheet | None) -> Estimate:
    """Gradient of the sum of the outputs by a drive common to all units: from the nudge over the finite difference.

    By equilibrium propagation the contrast of the first layer's states, summed, over twice the nudge, is what the sum
    of the outputs changes by for a change of the drive. 1 for a device whose couplings work alike both ways.
    """
    rows = health.good_rows(data) & ~_dead_rows(health.of(data))
    whole = _with_both_planes(data)
    shifts = data["shifted"].to_numpy()[..., whole]
    columns = int(whole.sum())
    seen = data["input_contrast"].to_numpy()[chosen.index][:, np.resize(rows, data.sizes["input"])]
    by_nudge = seen.sum(axis=1) / (2 * chosen.nudge)
    by_drive = shifts.sum(axis=2).ravel() / (2 * float(data["shift"][0]))
    ratio = float(by_nudge.mean() / by_drive.mean())
    random = np.hypot(
        by_nudge.std(ddof=1) / np.sqrt(by_nudge.size) / by_nudge.mean(),
        by_drive.std(ddof=1) / np.sqrt(by_drive.size) / by_drive.mean(),
    )
    state, dac, nudge = (
        grade(data, "state_adc", sheet),
        grade(data, "drive_dac", sheet),
        grade(data, "nudge_dac", sheet),
    )
    output = grade(data, "output_adc", sheet)
    share = [
        float(np.hypot(dac.tilt(2 * SHIFT), np.sqrt(2) * dac.code)) / (2 * float(data["shift"][0])),
        float(np.hypot(nudge.tilt(2 * chosen.nudge), np.sqrt(2) * nudge.code)) / (2 * chosen.nudge),
    ]
    for adc, change in ((state, seen), (output, shifts)):
        swing = float(change.mean())
        share.append(float(np.hypot(adc.tilt(swing), adc.of_change(change))) / max(abs(swing), 1e-9))
    channels = _channels(sheet, int(rows.sum()), columns)
    rest = settling(data) * float(np.hypot(1 / abs(seen.mean()), 1 / abs(shifts.mean())))
    return Estimate(ratio, abs(ratio) * float(random)).widened(
        INL_and_DNL=ratio * float(np.hypot(*np.hypot(share[:2], share[2:]))),
        channels=ratio * channels,
        settling=ratio * rest,
    )


def _channels(sheet: Datasheet | None, rows: int, columns: int) -> float:
    """Relative uncertainty by gains of channels and neurons, which differ and do not cancel in the ratio."""
    if sheet is None:
        return 0.02 * float(np.sqrt(2 / rows + 2 / columns))
    first = np.hypot(sheet.state_adc.gain_error_sigma, getattr(sheet.drive_dac, "gain_error_sigma", 0.0))
    last = np.hypot(sheet.output_adc.gain_error_sigma, sheet.nudge_dac.gain_error_sigma)
    return float(np.hypot(first / np.sqrt(rows), last / np.sqrt(columns)))
