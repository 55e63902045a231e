"""Datasheets of aihwkit's device presets.

A weight `w` between `w_min` and `w_max` is the level `x = (w - w_min) / (w_max - w_min)`. What the two describe alike
is taken over exactly; what they do not is said in the sheet's description.
"""

from __future__ import annotations

from importlib import resources
from typing import Any

import numpy as np

from firmware_specs.datasheet import load
from firmware_specs.documents import parse_toml
from firmware_specs.refusals import close
from hil.measuring.exchange.noise_models import NOISE_MODELS, REMARKS
from hil.measuring.laws.samples import Range
from hil.measuring.twins.document import Document, Twin
from hil.measuring.twins.measured import TwinError
from hil.measuring.twins.periphery import around, make_room

LIKE = "mixed-8bit"
RANGE_S = (1e-6, 40e-6)
"""Conductances that the ends of a preset's range stand for, where nobody says: presets know weights only."""

NODES = 17
Preset = dict[str, Any]


def presets() -> dict[str, Preset]:
    """The device presets, by name."""
    return parse_toml((resources.files("hil.measuring.exchange") / "presets.toml").read_text("utf-8"))


def sheet_of(name: str, range_s: tuple[float, float] | None = None) -> Twin:
    """The datasheet of a preset.

    Args:
        name: Of a device preset (`ReRamSB`) or a noise model (`Hermes`).
        range_s: Conductances at the ends of the range.

    Raises:
        TwinError: an unknown name, or a range that is none.
    """
    known = presets()
    name = name.removesuffix("PresetDevice").removesuffix("NoiseModel")
    if name not in known and name not in NOISE_MODELS:
        raise TwinError(f"aihwkit preset {name!r} is unknown; {close(name, [*known, *NOISE_MODELS])}")
    low_s, high_s = range_s or RANGE_S
    if not 0 <= low_s < high_s:
        raise TwinError(f"--range: 0 <= LOW < HIGH siemens are expected, got {low_s} {high_s}")
    if name in NOISE_MODELS:
        return _of_noise_model(name)
    preset = known[name]
    pulses, remarks = pulses_of(preset)
    document = _around(Range(low_s, high_s), f"aihwkit {name}", remarks)
    document["pulses"] = pulses
    if preset["lifetime"]:
        remarks.append("lifetime counts mini-batches in aihwkit: the leak is left out")
    if preset["corrupt_devices_prob"]:
        document["faults"] = _corrupt(preset, low_s, high_s)
    make_room(document)
    document["identity"]["description"] = "; ".join(remarks)
    return Twin(document, {})


def pulses_of(preset: Preset) -> tuple[dict[str, Any], list[str]]:
    """`[pulses]` of a preset, and what of it could not be said."""
    span = preset["w_max"] - preset["w_min"]
    bias = preset["up_down"]
    up, down = (1.0, 1.0 - bias) if bias > 0 else (1.0 + bias, 1.0)
    keys: dict[str, Any] = {
        "step": preset["dw_min"] / span * (up + down) / 2,
        "asymmetry": (up - down) / (up + down),
        "zero": -preset["w_min"] / span if preset["w_min"] else 0.5,
        "step_d2d": preset["dw_min_dtod"],
        "step_spread": "log_normal" if preset["dw_min_dtod_log_normal"] else "normal",
        "asymmetry_d2d": preset["up_down_dtod"],
        "bounds_d2d": float(
            np.hypot(preset["w_max_dtod"] * preset["w_max"], preset["w_min_dtod"] * preset["w_min"]) / span / np.sqrt(2)
        ),
        "c2c": preset["dw_min_std"],
        "write_noise": preset.get("write_noise_std", 0.0)
        * preset["dw_min"]
        / span
        / (preset["dw_min"] / span * (up + down) / 2),
    }
    remarks = ["bounds vary alike at both ends: the root mean square of w_max_dtod and w_min_dtod"]
    remarks += _SHAPES[preset["class"]](preset, keys)
    return {key: value for key, value in keys.items() if value or key == "law"}, remarks


def _constant(preset: Preset, keys: dict[str, Any]) -> list[str]:
    keys["law"] = "constant"
    return []


def _linear(preset: Preset, keys: dict[str, Any]) -> list[str]:
    keys |= {"law": "linear", "slope_up": preset["gamma_up"], "slope_down": preset["gamma_down"]}
    if not preset["mult_noise"]:
        _spreads(keys, [1 - keys["slope_up"] * u for u in (-keys["zero"] / (1 - keys["zero"]), 1.0)],
                 [1 - keys["slope_down"] * v for v in (1.0, -(1 - keys["zero"]) / keys["zero"])])  # fmt: skip
    return ["gamma_up_dtod and gamma_down_dtod are left out"]


def _soft(preset: Preset, keys: dict[str, Any]) -> list[str]:
    keys["law"] = "soft_bounds"
    if not preset["mult_noise"]:
        _spreads(keys, [1 / (1 - keys["zero"]), 0.0], [0.0, 1 / keys["zero"]])
    remarks = ["slopes refer to the nominal bounds, in aihwkit to each device's own"]
    if preset.get("reference_std") or preset.get("subtract_symmetry_point"):
        remarks.append("the reference device is the other cell of a pair here")
    return remarks


def _spreads(keys: dict[str, Any], up: list[float], down: list[float]) -> None:
    """Noise that is added to a step whatever its size: a table of two points says it exactly."""
    spread = keys.pop("c2c")
    for key in ("zero", "slope_up", "slope_down"):
        keys.pop(key, None)
    keys |= {"law": "table", "levels": [0.0, 1.0], "up": up, "down": down}
    keys |= {"spread_up": [spread, spread], "spread_down": [spread, spread]}


def _exponential(preset: Preset, keys: dict[str, Any]) -> list[str]:
    span = preset["w_max"] - preset["w_min"]
    middle = (preset["w_max"] + preset["w_min"]) / span  # of 2 w / span, which is 2 x - 1 + middle
    keys |= {"law": "exponential", "amplitude_up": preset["A_up"], "amplitude_down": preset["A_down"],
             "gamma_up": preset["gamma_up"], "gamma_down": preset["gamma_down"], "scale": preset["a"],
             "shift": preset["b"] + preset["a"] * middle}  # fmt: skip
    keys.pop("zero")
    remarks = []
    if preset["dw_min_std_add"] or preset["dw_min_std_slope"]:
        _complex_noise(preset, keys, span)
        remarks.append(f"the exponential response with its level-dependent noise is a table of {NODES} points")
    if preset["w_min"] == 0.0:
        keys["one_sided"] = True
        remarks.append("one-sided, as in aihwkit's OneSidedUnitCell; its reset to 0.01 +- 0.02 is a rewrite here")
    return remarks


def _complex_noise(preset: Preset, keys: dict[str, Any], span: float) -> None:
    """`dw_min_std (|dw| + add + slope |w|)`, in steps."""
    x = np.linspace(0, 1, NODES)
    w, z = preset["w_min"] + x * span, (2 * x - 1) * keys["scale"] + keys["shift"]
    up = np.maximum(1 - preset["A_up"] * np.exp(preset["gamma_up"] * z), 0)
    down = np.maximum(1 - preset["A_down"] * np.exp(-preset["gamma_down"] * z), 0)
    added = (preset["dw_min_std_add"] + preset["dw_min_std_slope"] * np.abs(w)) / preset["dw_min"]
    std = keys.pop("c2c")
    for key in ("amplitude_up", "amplitude_down", "gamma_up", "gamma_down", "scale", "shift"):
        keys.pop(key)
    keys |= {"law": "table", "levels": x.tolist(), "up": up.tolist(), "down": down.tolist(),
             "spread_up": (std * (up + added)).tolist(), "spread_down": (std * (down + added)).tolist()}  # fmt: skip


_SHAPES = {
    "ConstantStepDevice": _constant,
    "LinearStepDevice": _linear,
    "SoftBoundsReferenceDevice": _soft,
    "ExpStepDevice": _exponential,
}


def _corrupt(preset: Preset, low_s: float, high_s: float) -> dict[str, Any]:
    span = preset["w_max"] - preset["w_min"]
    ends = [(sign * preset["corrupt_devices_range"] - preset["w_min"]) / span for sign in (-1, 1)]
    low, high = (low_s + min(max(x, 0.0), 1.0) * (high_s - low_s) for x in ends)
    return {"corrupt": preset["corrupt_devices_prob"], "corrupt_low_s": low, "corrupt_high_s": high}


def _of_noise_model(name: str) -> Twin:
    sections = NOISE_MODELS[name]
    cells = sections["cells"]
    document = _around(Range(cells["g_min_s"], cells["g_max_s"]), f"aihwkit {name} noise model", [REMARKS[name]])
    document |= {section: dict(keys) for section, keys in sections.items() if section != "cells"}
    return Twin(document, {})


def _around(within: Range, model: str, remarks: list[str]) -> Document:
    document: Document = {
        "identity": {
            "vendor": "IBM/aihwkit preset",
            "model": model,
            "description": "; ".join(remarks),
            "source": f"aihwkit 1.2.0, MIT licence; circuits of {LIKE}, scaled; the range of conductances is a choice",
        }
    }
    document |= {name: keys for name, keys in around(load(LIKE), within).items() if name != "identity"}
    return document
