"""The datasheet of a device that is on the link: from what it says of itself, and checked against the one on file."""

from __future__ import annotations

from drivers.device_info import DeviceInfo
from drivers.errors import ProtocolViolation
from firmware_specs import device_numbers
from firmware_specs.codes import Capability, ConverterId, Parameter
from firmware_specs.datasheet import Datasheet
from firmware_specs.messages import Converter

AGREE = 1e-6
"""Relative difference between datasheet and device that counts as none: both have 64-bit numbers of the same thing."""
COMPARED = (
    "fabric", "cells", "neurons", "drive_dac", "nudge_dac", "state_adc", "output_adc", "limits", "update",
    "coincidence",
)  # fmt: skip
UNSAID_READ_S = 1e-3
_WIRE_BITS_OF_IDEAL = 32


def datasheet_of(info: DeviceInfo, device: str) -> Datasheet:
    """A datasheet with everything the host needs and no physics, but for the pulse law where the device tells it.

    Args:
        info: What the device says.
        device: Named in errors.

    Raises:
        ProtocolViolation: the numbers contradict each other; the message says which.
    """
    number = info.parameter
    unit = "v" if info.can(Capability.RESISTIVE) else "a"
    document = {
        "identity": {"vendor": info.identity.vendor, "model": info.identity.model},
        "fabric": _fabric(info),
        "cells": {
            "g_min_s": number(Parameter.G_MIN_S),
            "g_max_s": number(Parameter.G_MAX_S),
            "bits": int(number(Parameter.CELL_BITS)),
            "mapping": "differential" if info.can(Capability.DIFFERENTIAL) else "single",
            "pairs": int(info.parameters.get(Parameter.PAIRS, 1)),
            "significance": info.parameters.get(Parameter.PAIR_SIGNIFICANCE, 1.0),
        },
        "neurons": {
            "state_unit_v": number(Parameter.STATE_UNIT_V),
            "transimpedance_ohm": number(Parameter.TRANSIMPEDANCE_OHM),
            "linear_low_v": number(Parameter.LINEAR_LOW_V),
            "linear_high_v": number(Parameter.LINEAR_HIGH_V),
            "clamped_high_v": info.parameters.get(Parameter.CLAMPED_HIGH_V),
        },
        "drive_dac": _converter(info, ConverterId.DRIVE_DAC, unit, device),
        "nudge_dac": _converter(info, ConverterId.NUDGE_DAC, "a", device),
        "state_adc": _converter(info, ConverterId.STATE_ADC, "v", device),
        "output_adc": _converter(info, ConverterId.OUTPUT_ADC, "v", device),
        "settle": {
            "time_s": number(Parameter.SETTLE_TIME_S),
            "tolerance": number(Parameter.SETTLE_TOLERANCE) or 1e-5,
        },
        "limits": _limits(info),
    }
    if info.can(Capability.PRODUCT) and not info.can(Capability.SETTLE):
        document["product"] = {
            "line_dac": _converter(info, ConverterId.PRODUCT_DAC, "v", device),
            "line_adc": _converter(info, ConverterId.PRODUCT_ADC, "a", device),
            "read_time_s": number(Parameter.READ_TIME_S) or UNSAID_READ_S,
        }
    if info.can(Capability.UPDATE):
        document["update"] = device_numbers.update(number)
    try:
        if info.can(Capability.PULSE):
            document["pulses"] = device_numbers.pulses(info.parameters)
        if info.can(Capability.COINCIDE) and document.get("pulses"):  # without a law nobody plans pulses
            document["coincidence"] = {"half_select": number(Parameter.HALF_SELECT)}
        return Datasheet.model_validate(document)
    except ValueError as error:
        raise ProtocolViolation(f"what the device says of itself makes no datasheet: {error}", device=device) from error


def completed(on_file: Datasheet | None, of_device: Datasheet) -> Datasheet:
    """What is worked with: the datasheet on file, with the device's own word on pulses and updates where it has none.

    A law on file counts: the device's is nominal, the file's may have been measured.
    """
    if on_file is None:
        return of_device
    said: dict[str, object] = {}
    if on_file.pulses.law == "none":
        said["pulses"] = of_device.pulses
    if on_file.update is None:
        said["update"] = of_device.update
    if on_file.coincidence is None:
        said["coincidence"] = of_device.coincidence
    return on_file.model_copy(update=said) if said else on_file


def disagreements(on_file: Datasheet, of_device: Datasheet) -> list[str]:
    """Where the device differs from the datasheet on file, in what both must know; a device may be tighter limited."""
    found = []
    if on_file.identity.model != of_device.identity.model:
        found.append(f"identity.model: datasheet {on_file.identity.model!r}, device {of_device.identity.model!r}")
    for section in COMPARED:
        expected, actual = getattr(on_file, section), getattr(of_device, section)
        if expected is None or actual is None:
            continue
        for key in type(actual).model_fields:
            if key not in actual.model_fields_set or not hasattr(expected, key):
                continue
            wanted, given = getattr(expected, key), getattr(actual, key)
            if key == "clamped_high_v" and on_file.neurons.rail_v == of_device.neurons.rail_v:
                continue  # one state unit need not be stated
            if key == "significance" and of_device.cells.pairs == 1:
                continue  # it counts from the second pair on
            if key == "bits" and (wanted or _WIRE_BITS_OF_IDEAL) == (given or _WIRE_BITS_OF_IDEAL):
                continue
            tighter = section == "limits" and given <= wanted
            if not tighter and not _agree(wanted, given):
                found.append(f"{section}.{key}: datasheet {wanted}, device {given}")
    return found


def _fabric(info: DeviceInfo) -> dict[str, object]:
    return {
        "substrate": "resistive" if info.can(Capability.RESISTIVE) else "hopfield",
        "arrays": info.fabric.arrays,
        "max_layers": info.fabric.max_layers,
        "max_units": info.fabric.max_units,
        "max_rows": info.fabric.max_rows,
        "max_columns": info.fabric.max_columns,
        "layers": info.fabric.layers,
        "couplings": ("dense", "conv") if info.can(Capability.CONV) else ("dense",),
        "pooling": info.can(Capability.POOL),
    }


def _limits(info: DeviceInfo) -> dict[str, float]:
    absolute = info.limits.absolute
    limits = {
        "max_drive_a": absolute.max_drive_a,
        "max_read_v": absolute.max_read_v,
        "max_pulse_v": absolute.max_pulse_v,
        "max_pulse_s": absolute.max_pulse_s,
        "max_pulses_per_cell": int(absolute.max_pulses_per_cell),
        "max_temperature_k": absolute.max_temperature_k,
    }
    if info.can(Capability.RESISTIVE):
        limits["max_source_v"] = absolute.max_source_v
    return limits


def _converter(info: DeviceInfo, which: ConverterId, unit: str, device: str) -> dict[str, float]:
    converter: Converter = info.converter(which, device)
    bits = 0 if converter.ideal else converter.bits
    return {"bits": bits, f"low_{unit}": converter.low, f"high_{unit}": converter.high}


def _agree(wanted: object, given: object) -> bool:
    if isinstance(wanted, float) and isinstance(given, float):
        return abs(wanted - given) <= AGREE * max(abs(wanted), abs(given))
    return wanted == given
