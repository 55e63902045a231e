"""What a device says of itself, as sections of its twin's datasheet."""

from __future__ import annotations

from typing import Any

from firmware_specs import device_numbers
from firmware_specs.codes import Capability
from hil.measuring.characterize.run import Characterization
from hil.measuring.twins.document import Document

NEURONS = ("state_unit_v", "transimpedance_ohm", "linear_low_v", "linear_high_v", "clamped_high_v")
"""Keys that are parameters of the device, by the same names."""


def of(found: Characterization, device: dict[str, Any]) -> Document:
    """The sections of a datasheet that hold what a device states; figures are its own, nothing is measured.

    Args:
        found: The characterization, for which chip it was.
        device: What the device said when it began.
    """
    fabric, parameters, converters, limits = (device[k] for k in ("fabric", "parameters", "converters", "limits"))
    resistive = bool(fabric["resistive"])
    able = Capability(device["capabilities"])
    kinds = ["dense", "conv"] if Capability.CONV in able else ["dense"]
    chip = found.chip
    return {
        "identity": {
            "vendor": chip["vendor"],
            "model": chip["model"],
            "description": f"Twin of serial {chip['serial']}, firmware {chip['firmware']}"
            + (", diodes taken for ideal" if resistive else ""),
            "source": f"characterization {found.folder.name}",
        },
        "fabric": {
            **({"substrate": "resistive"} if resistive else {}),
            **{k: fabric[k] for k in ("arrays", "max_layers", "max_units", "max_rows", "max_columns")},
            **({"layers": list(fabric["layers"])} if fabric["layers"] else {}),
            **({} if resistive else {"couplings": kinds, "pooling": Capability.POOL in able}),
        },
        "cells": {
            "g_min_s": parameters["g_min_s"],
            "g_max_s": parameters["g_max_s"],
            "bits": 0 if parameters["cell_bits"] == 32 else int(parameters["cell_bits"]),
            **({"mapping": "single"} if resistive else {}),
            **_pairs(parameters),
        },
        "neurons": {k: parameters[k] for k in NEURONS if k in parameters},
        "drive_dac": _converter(converters["drive_dac"], "v" if resistive else "a"),
        "nudge_dac": _converter(converters["nudge_dac"], "a"),
        "state_adc": _converter(converters["state_adc"], "v"),
        "output_adc": _converter(converters["output_adc"], "v"),
        "settle": {
            "time_s": parameters["settle_time_s"],
            **({"tolerance": parameters["settle_tolerance"]} if parameters.get("settle_tolerance") else {}),
        },
        "limits": _limits(limits, resistive),
        **_updating(parameters, able),
    }


def _pairs(parameters: dict[str, float]) -> dict[str, float]:
    if parameters.get("pairs", 1) == 1:
        return {}
    return {"pairs": int(parameters["pairs"]), "significance": parameters.get("pair_significance", 1.0)}


def _limits(limits: dict[str, str], resistive: bool) -> dict[str, float]:
    kept = ["max_drive_a", "max_read_v", "max_pulse_v", "max_pulse_s", "max_temperature_k"]
    kept += ["max_source_v"] if resistive else []
    return {k: float(limits[k]) for k in kept} | {"max_pulses_per_cell": int(float(limits["max_pulses_per_cell"]))}


def _converter(said: dict[str, Any], unit: str) -> dict[str, Any]:
    return {"bits": 0 if said["ideal"] else said["bits"], f"low_{unit}": said["low"], f"high_{unit}": said["high"]}


def _updating(parameters: dict[str, float], able: Capability) -> Document:
    """The circuits that move cells, as they are meant to be: their errors are not measured."""
    if Capability.UPDATE not in able:
        return {}
    return {"update": device_numbers.update(lambda which: parameters[which.name.lower()])}


def pulsing(device: dict[str, Any], document: Document) -> None:
    """Adds what the device states of measured pulses: their threshold, which pulses of one height do not show, and
    the drivers that pulse rows and columns at a time, where half-selected cells stay."""
    if "pulses" not in document:
        return
    parameters, pulses = device["parameters"], document["pulses"]
    if 0 < parameters.get("pulse_threshold_v", 0.0) < pulses["amplitude_v"]:
        pulses["threshold_v"] = parameters["pulse_threshold_v"]
    if Capability.COINCIDE not in Capability(device["capabilities"]):
        return
    if parameters["half_select"] * pulses["amplitude_v"] <= pulses.get("threshold_v", 0.0):
        document["coincidence"] = {"half_select": parameters["half_select"]}
