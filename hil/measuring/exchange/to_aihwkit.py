"""A datasheet as a device of aihwkit: a small Python file for its release 1.2, that states what it cannot say."""

from __future__ import annotations

import numpy as np

from firmware_specs.datasheet import Datasheet, DatasheetError
from firmware_specs.datasheet.pulses import Pulses

NODES = 17

TEMPLATE = '''\
"""{model}: pulsed device and noise for aihwkit 1.2, written by hil export.

A weight w between -1 and 1 is the level x = (w + 1) / 2 of the conductance {low_us:.6g} .. {high_us:.6g} uS.
Not said here: {unsaid}
"""

from aihwkit.simulator.configs import SingleRPUConfig
from aihwkit.simulator.configs.devices import {cls}
from aihwkit.simulator.parameters import IOParameters

device = {cls}(
{arguments}
)

rpu_config = SingleRPUConfig(device=device, forward=IOParameters(w_noise={w_noise!r}, w_noise_type={w_noise_type}))

# Programming noise in microsiemens: c0 + c1 g + c2 g^2 + ..., g the conductance over {high_us:.6g} uS; for the
# arguments prog_coeff of PCMLikeNoiseModel, or coeff_dic of ReRamWan2022NoiseModel, with g_max below.
prog_coeff_us = {programming!r}
g_min_us, g_max_us = {low_us!r}, {high_us!r}
'''


def export(sheet: Datasheet, name: str) -> str:
    """A Python file with `device` and `rpu_config`.

    Raises:
        DatasheetError: the datasheet has no pulse law.
    """
    law = sheet.pulses
    if law.law == "none":
        raise DatasheetError(f"{name}: no pulse law, which is what a device of aihwkit is")
    cls, arguments, unsaid = device_of(law)
    if sheet.faults.corrupt:
        arguments |= {"corrupt_devices_prob": sheet.faults.corrupt}
        middle = (sheet.cells.g_min_s + sheet.cells.g_max_s) / 2
        reach = max(
            abs((sheet.faults.corrupt_high_s or middle) - middle), abs((sheet.faults.corrupt_low_s or middle) - middle)
        )
        arguments |= {"corrupt_devices_range": 2 * reach / sheet.cells.span_s}
    unsaid += _unsaid(sheet)
    noise, cells = sheet.read_noise, sheet.cells
    w_noise = 2 * noise.sigma if noise.law == "additive" else 0.0
    if noise.law == "relative":
        w_noise = noise.sigma * (cells.g_max_s + cells.g_min_s) / cells.span_s
        unsaid.append("read noise is relative: that of mid-range is taken everywhere")
    elif noise.law == "flicker":
        unsaid.append("1/f read noise (PCMLikeNoiseModel has it)")
    elif noise.aged:
        unsaid.append(f"read noise law {noise.law!r}")
    coefficients = sheet.programming.sigma_coefficients_s or (sheet.cells.programming_noise * sheet.cells.span_s,)
    text = TEMPLATE.format(
        model=_plain(sheet.identity.model),
        low_us=sheet.cells.g_min_s * 1e6,
        high_us=sheet.cells.g_max_s * 1e6,
        unsaid="; ".join(unsaid) or "nothing",
        cls=cls,
        arguments="\n".join(f"    {key}={value!r}," for key, value in arguments.items()),
        w_noise=w_noise,
        w_noise_type="WeightNoiseType." + ("ADDITIVE_CONSTANT" if w_noise else "NONE"),
        programming=[float(c * 1e6) for c in coefficients],
    )
    return text.replace(
        "from aihwkit.simulator.parameters import IOParameters\n",
        "from aihwkit.simulator.parameters import IOParameters\n"
        "from aihwkit.simulator.parameters.enums import WeightNoiseType\n",
    )


def device_of(law: Pulses) -> tuple[str, dict[str, object], list[str]]:
    """Class of aihwkit's device, its arguments, and what it cannot say."""
    up, down = 1 + law.asymmetry, 1 - law.asymmetry
    larger = max(up, down)
    common: dict[str, object] = {
        "w_max": 1.0,
        "w_min": -1.0,
        "w_max_dtod": 2 * law.bounds_d2d,
        "w_min_dtod": 2 * law.bounds_d2d,
        "dw_min": 2 * law.step * larger,
        "up_down": (up - down) / larger,
        "dw_min_dtod": law.step_d2d,
        "dw_min_dtod_log_normal": law.step_spread == "log_normal",
        "up_down_dtod": law.asymmetry_d2d,
        "dw_min_std": law.c2c,
    }
    if law.law == "constant":
        return "ConstantStepDevice", common, [] if not law.write_noise else ["write noise, which ConstantStep has not"]
    common["write_noise_std"] = law.write_noise / larger
    if law.law == "soft_bounds" and law.zero == 0.5:
        return (
            "SoftBoundsDevice",
            common | {"mult_noise": True},
            ["slopes refer to each device's own bounds in aihwkit"],
        )
    x = np.linspace(0, 1, NODES)
    rise, fall = (np.maximum(np.array([law.response(float(v), way) for v in x]), 0) for way in (True, False))
    unsaid = (
        [] if law.law == "table" and len(law.levels) <= NODES else [f"law {law.law!r} is a table of {NODES} points"]
    )
    if law.spread_up:
        ratio = [
            law.spread(float(v), way) / max(law.response(float(v), way), 1e-9) for v in x[1:-1] for way in (True, False)
        ]
        common["dw_min_std"] = float(np.mean(ratio))
        unsaid.append("the spread of a step depends on the level: its mean share of the step is taken")
    return "PiecewiseStepDevice", common | {"piecewise_up": _list(rise), "piecewise_down": _list(fall)}, unsaid


def _unsaid(sheet: Datasheet) -> list[str]:
    found = []
    if sheet.drift.law != "none":
        found.append(f"drift law {sheet.drift.law!r} (aihwkit drifts in its inference noise models)")
    if sheet.pulses.write_noise and sheet.pulses.write_noise_memory:
        found.append("how many pulses write noise lasts: aihwkit draws it anew at every update")
    if sheet.telegraph.amplitude:
        found.append("telegraph noise")
    if sheet.pulses.reset is not None or sheet.pulses.heights is not None:
        found.append("the height of a pulse")
    if sheet.faults.stuck_on or sheet.faults.stuck_off:
        found.append("stuck cells at the ends of the range")
    if sheet.pulses.one_sided:
        found.append("one-sided use (wrap the device in OneSidedUnitCell)")
    return found


def _list(values: np.ndarray) -> list[float]:
    return [float(f"{v:.8g}") for v in values]


def _plain(text: str) -> str:
    """A name that cannot end a docstring."""
    return "".join(c for c in text if c.isprintable() and c not in '"\\')
