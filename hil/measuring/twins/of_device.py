"""Twins of a device we characterized: what it says of itself, and the physics that was measured.

A twin is a twin in distribution, another specimen of the same kind, but for what was looked at one by one: cells that
do not follow and units whose gain was measured are where they are on the device (`specimen`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from hil.measuring.calibrate.file import CalibrationFile
from hil.measuring.characterize import plan as plans
from hil.measuring.characterize.folder import believed
from hil.measuring.characterize.items.pulse_response import response
from hil.measuring.characterize.items.transfer import unit_fits
from hil.measuring.characterize.run import Characterization
from hil.measuring.characterize.told import begun
from hil.measuring.estimate import Estimate
from hil.measuring.imports.readings import Readings
from hil.measuring.laws import flicker, fluctuation, ramps, retention, samples, writing
from hil.measuring.laws.choice import SIMPLER, Chosen
from hil.measuring.laws.samples import Range
from hil.measuring.twins import converters, own_words
from hil.measuring.twins.document import Document, Twin
from hil.measuring.twins.of_items import readings_of, scatter_of, timed, working

SIGNIFICANT = SIMPLER
"""An effect is taken into the twin when its figure is this many standard uncertainties from none, as among laws."""

MEASURED = ("constant", "linear", "soft_bounds")
"""Pulse laws whose figures the item `pulse_response` measures itself."""


def fit(found: Characterization, calibration: CalibrationFile | None = None) -> Twin:
    """Fits a twin.

    Args:
        found: A finished characterization; what it did not measure is left without effect.
        calibration: Of the same chip: what it says of the converters.

    Raises:
        ChipError: what is in its folder does not fit together. TwinError: the calibration is of another chip.
    """
    if calibration is not None:
        converters.of_same_chip(calibration, found.chip)
    said, plan = begun(found.folder), plans.of(found.folder)
    with believed(found.folder):
        device = said.device if said else {}
        builder = _Builder(found, own_words.of(found, device), {}, plan.rows, plan.array)
        for part in (_cells, _read_noise, _neurons, _settle, _drift, _pulses, _faults, _specimen):
            part(builder)
        own_words.pulsing(device, builder.document)
        if calibration is not None:
            for section, key, figure in converters.figures(calibration, builder.document):
                builder.put(section, key, figure)
        twin = Twin(builder.document, builder.uncertainty, builder.chosen)
        assert twin.datasheet  # noqa: S101 - refuses what contradicts itself
        return twin


@dataclass
class _Builder:
    found: Characterization
    document: Document
    uncertainty: dict[str, float]
    rows: int
    array: int = 0
    chosen: list[Chosen] = field(default_factory=list)

    @property
    def within(self) -> Range:
        return Range(self.document["cells"]["g_min_s"], self.document["cells"]["g_max_s"])

    @property
    def resistive(self) -> bool:
        return self.document["fabric"].get("substrate") == "resistive"

    @cached_property
    def readings(self) -> dict[str, Readings]:
        return readings_of(self.found)

    def has(self, name: str) -> bool:
        return any(f.name == name for f in self.found.figures)

    def value(self, name: str) -> Estimate:
        return self.found[name].measured

    def significant(self, name: str) -> bool:
        """Is a figure there, and is it surely not zero?"""
        return self.has(name) and abs(self.value(name).value) > SIGNIFICANT * self.value(name).sigma + 1e-9

    def put(self, section: str, key: str, estimate: Estimate, scale: float = 1.0) -> None:
        self.document.setdefault(section, {})[key] = estimate.value * scale
        self.uncertainty[f"{section}.{key}"] = abs(estimate.sigma * scale)


def _cells(b: _Builder) -> None:
    if b.significant("programming.sigma"):
        chosen = writing.choose(samples.writes_of(b.readings["writes"]), b.within)
        b.chosen.append(chosen)
        if chosen.law == "constant":
            b.put("cells", "programming_noise", b.value("programming.sigma"))
        else:
            b.document["programming"] = dict(chosen.sections["programming"])
    for figure, key in (
        ("temperature.coefficient", "temperature_coefficient_per_k"),
        ("iv.quadratic", "quadratic_per_v"),
        ("iv.cubic", "cubic_per_v2"),
    ):
        if b.significant(figure) and abs(b.value(figure).value) > 1e-4:
            b.put("cells", key, b.value(figure))


def _read_noise(b: _Builder) -> None:
    if (
        not b.significant("read_noise.relative")
        or b.value("read_noise.relative").value < 1e-6
        or not b.has("read_noise.exponent")
    ):
        return
    known = timed(b.found.data["read_noise"])
    chosen = fluctuation.choose(samples.series_of(b.readings["reads"]), b.within, traps=known)
    aged = scatter_of(b.found)
    of_age = None if aged is None else flicker.choose(aged, b.within)
    if of_age is not None and of_age.law == "flicker":
        b.chosen.append(of_age)
        b.document["read_noise"] = dict(of_age.sections["read_noise"])
        b.uncertainty |= of_age.uncertainty
    else:
        b.chosen.append(chosen)
        b.document["read_noise"] = {"law": chosen.law}
        b.put("read_noise", "sigma", b.value(f"read_noise.{chosen.law}"))
    if "telegraph" in chosen.sections:
        b.document["telegraph"] = dict(chosen.sections["telegraph"])
        b.uncertainty |= {k: v for k, v in chosen.uncertainty.items() if k.startswith("telegraph.")}


def _rail_v(b: _Builder) -> float:
    """Volts of what characterizations call a state of 1: the upper rail of clamped neurons."""
    neurons: dict[str, float] = b.document["neurons"]
    return neurons.get("clamped_high_v", neurons["state_unit_v"])


def _neurons(b: _Builder) -> None:
    """Mismatch of neuron circuits, or of the channels that read a resistive network's nodes; noise of readings."""
    unit_v, resistive = _rail_v(b), b.resistive
    adc = b.document["output_adc"]
    if b.significant("transfer.gain_mismatch"):
        keys = [("state_adc", "gain_error_sigma"), ("output_adc", "gain_error_sigma")]
        for section, key in keys if resistive else [("neurons", "gain_mismatch_sigma")]:
            b.put(section, key, b.value("transfer.gain_mismatch"))
    if not resistive and b.significant("transfer.read_gain_mismatch"):  # of the channels that read the first layer
        b.put("state_adc", "gain_error_sigma", b.value("transfer.read_gain_mismatch"))
    if b.significant("transfer.offset_mismatch"):
        if not resistive:
            b.put("neurons", "offset_mismatch_sigma_v", b.value("transfer.offset_mismatch"), unit_v)
        elif adc["bits"]:
            step_v = (adc["high_v"] - adc["low_v"]) / (2 ** adc["bits"] - 1)
            for section in ("state_adc", "output_adc"):
                b.put(section, "offset_error_sigma_lsb", b.value("transfer.offset_mismatch"), unit_v / step_v)
    if not b.has("transfer.noise"):
        return
    noise = b.value("transfer.noise")  # before rounding
    if noise.value > SIGNIFICANT * noise.sigma:
        for section in ("state_adc", "output_adc"):
            b.put(section, "noise_sigma_v", noise, unit_v)


def _settle(b: _Builder) -> None:
    """Time constant `R C` of a neuron circuit, `C / sum G` of a node, all of whose cells are at mid-range."""
    if not b.significant("settle_time.tau"):
        return
    b.document["settle"]["mode"] = "transient"
    siemens = 1 / b.document["neurons"]["transimpedance_ohm"]
    if b.resistive:
        cells = b.document["cells"]
        siemens = b.rows * (cells["g_min_s"] + cells["g_max_s"]) / 2
    b.put("neurons", "node_capacitance_f", b.value("settle_time.tau"), siemens)


def _drift(b: _Builder) -> None:
    if "retention" in b.readings:
        chosen = retention.choose(samples.retention_of(b.readings["retention"]), b.within)
        b.chosen.append(chosen)
        if chosen.law.startswith(("walk", "relaxation")):  # the laws below are those of the item
            b.document["drift"] = dict(chosen.sections["drift"])
            b.uncertainty |= chosen.uncertainty
            return
    if not b.has("drift.kept") or abs(1 - b.value("drift.kept").value) < 0.002:
        return
    if b.has("drift.tau"):
        b.document["drift"] = {"law": "exponential", "rest_s": b.document["cells"]["g_min_s"]}
        b.put("drift", "tau_s", b.value("drift.tau"))
        b.put("drift", "tau_d2d", b.value("drift.tau_spread"))
    elif b.significant("drift.nu"):
        b.document["drift"] = {"law": "power", "t0_s": float(b.found.data["drift"].attrs["t0_s"])}
        b.put("drift", "nu_mean", b.value("drift.nu"))
        b.put("drift", "nu_sigma", b.value("drift.nu_spread"))


def _pulses(b: _Builder) -> None:
    if not b.has("pulse_response.step"):
        return
    data = b.found.data["pulse_response"]
    b.document["pulses"] = {
        "law": "linear",
        "amplitude_v": float(data["amplitude"][0]),
        "width_s": float(data["width"][0]),
    }
    chosen = ramps.choose(samples.ramps_of(b.readings["ramps"], b.within))
    b.chosen.append(chosen)
    if chosen.law not in MEASURED and chosen.law != "power":
        b.document["pulses"] |= dict(chosen.sections["pulses"])
        b.uncertainty |= {k: v for k, v in chosen.uncertainty.items() if k.startswith("pulses.")}
        return
    found = response(data)  # about the middle of the range, where the emulator's law has its zero
    for key in ("step", "asymmetry", "step_d2d", "asymmetry_d2d", "c2c"):
        if key in found:
            b.put("pulses", key, found[key])
    for key in ("slope_up", "slope_down"):
        slope = found.get(key, Estimate(0.0, 0.0))
        b.put("pulses", key, Estimate(min(slope.value, 1.0), slope.sigma))  # steeper, and it ends inside the range


def _faults(b: _Builder) -> None:
    for key in ("stuck_on", "stuck_off"):
        if b.has(f"programming.{key}") and b.value(f"programming.{key}").value > 0:
            b.put("faults", key, b.value(f"programming.{key}"))


def _specimen(b: _Builder) -> None:
    """Cells that do not follow what is written, and gains and offsets of units, where they were looked at."""
    keys: dict[str, Any] = {}
    if "programming" in b.found.data:
        data = b.found.data["programming"]
        means = data["level"].to_numpy().mean(axis=1)
        level = means.mean(axis=0)
        places = np.argwhere(~working(data))
        low, span = b.within.low_s, b.within.span_s
        keys |= {"rows": level.shape[1], "columns": level.shape[2]}
        keys["stuck"] = [[*map(int, p), max(float(low + level[tuple(p)] * span), 0.0)] for p in places]
    if "transfer" in b.found.data and not b.resistive:
        units = unit_fits(b.found.data["transfer"])
        unit_v = _rail_v(b)
        gain, offset = np.asarray(units.lines.gain), np.asarray(units.lines.offset)
        seen = np.isfinite(gain) & np.isfinite(offset) & units.live
        if seen.sum() > 1:  # a unit beside a stuck cell may have no line of its own: it is taken for a usual one
            keys["gain"] = [float(v) for v in np.where(seen, gain / np.median(gain[seen]) - 1, 0.0)]
            keys["offset_v"] = [float(v) for v in np.where(seen, offset - np.median(offset[seen]), 0.0) * unit_v]
    if keys:
        b.document["specimen"] = {"array": int(b.array), **keys}
