"""What a device built to a datasheet says of its numbers: CONVERTERS, PARAMETERS and LIMITS (PROTOCOL.md 7.1, 7.2)."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

from firmware_specs.codes import PULSE_LAWS, ConverterId, Parameter, Quantity
from firmware_specs.datasheet import Datasheet
from firmware_specs.datasheet.converters import WIRE_BITS_OF_IDEAL
from firmware_specs.datasheet.converters import Converter as ConverterSpec
from firmware_specs.messages import Converter, LimitsRecord

_PULSE_NUMBERS = (
    "step", "amplitude_v", "width_s", "threshold_v", "asymmetry", "zero", "slope_up", "slope_down", "amplitude_up",
    "amplitude_down", "gamma_up", "gamma_down", "scale", "shift", "one_sided",
)  # fmt: skip
_NEEDED = 3
"""So many of them have no value where nothing is said."""


def converters(sheet: Datasheet) -> list[Converter]:
    """Its converters, by id."""
    drive_unit = Quantity.VOLT if sheet.resistive else Quantity.AMPERE
    found = [
        _converter(ConverterId.DRIVE_DAC, drive_unit, sheet.drive_dac),
        _converter(ConverterId.NUDGE_DAC, Quantity.AMPERE, sheet.nudge_dac),
        _converter(ConverterId.STATE_ADC, Quantity.VOLT, sheet.state_adc),
        _converter(ConverterId.OUTPUT_ADC, Quantity.VOLT, sheet.output_adc),
    ]
    if sheet.product is not None:
        found.append(_converter(ConverterId.PRODUCT_DAC, Quantity.VOLT, sheet.product.line_dac))
        found.append(_converter(ConverterId.PRODUCT_ADC, Quantity.AMPERE, sheet.product.line_adc))
    if sheet.nodes.ammeter is not None:
        found.append(_converter(ConverterId.SOURCE_ADC, Quantity.AMPERE, sheet.nodes.ammeter))
    return found


def _converter(number: ConverterId, unit: Quantity, spec: ConverterSpec) -> Converter:
    return Converter(number, unit, spec.bits or WIRE_BITS_OF_IDEAL, spec.ideal, spec.low, spec.high)


def parameters(sheet: Datasheet) -> dict[int, float]:
    """Its parameters, by `Parameter`, but for what firmware decides (MAX_READS)."""
    numbers: dict[int, float] = {
        Parameter.STATE_UNIT_V: sheet.neurons.state_unit_v,
        Parameter.TRANSIMPEDANCE_OHM: sheet.neurons.transimpedance_ohm,
        Parameter.LINEAR_LOW_V: sheet.neurons.linear_low_v,
        Parameter.LINEAR_HIGH_V: sheet.neurons.linear_high_v,
        Parameter.G_MIN_S: sheet.cells.g_min_s,
        Parameter.G_MAX_S: sheet.cells.g_max_s,
        Parameter.CELL_BITS: sheet.cells.bits or WIRE_BITS_OF_IDEAL,
        Parameter.SETTLE_TIME_S: sheet.settle.time_s,
        Parameter.WRITE_TIME_S: sheet.programming.usual_time_s,
        Parameter.READ_TIME_S: sheet.read_time_s,
        Parameter.SETTLE_TOLERANCE: sheet.settle.tolerance,
        Parameter.WRITE_ENERGY_J: sheet.programming.write_energy_j,
    }
    if sheet.neurons.clamped_high_v is not None:
        numbers[Parameter.CLAMPED_HIGH_V] = sheet.neurons.clamped_high_v
    if sheet.cells.pairs > 1:
        numbers[Parameter.PAIRS] = sheet.cells.pairs
        numbers[Parameter.PAIR_SIGNIFICANCE] = sheet.cells.significance
    if sheet.update is not None:
        numbers[Parameter.UPDATE_RATE_PER_S] = sheet.update.rate_per_s
        numbers[Parameter.UPDATE_WINDOW_S] = sheet.update.window_s
        numbers[Parameter.UPDATE_BATCH] = sheet.update.batch
    if sheet.coincidence is not None:
        numbers[Parameter.HALF_SELECT] = sheet.coincidence.half_select
    if sheet.pulses.law != "none":
        if sheet.pulses.law in PULSE_LAWS:  # a table fits no number
            numbers[Parameter.PULSE_LAW] = PULSE_LAWS.index(sheet.pulses.law)
        for offset, name in enumerate(_PULSE_NUMBERS):
            numbers[Parameter.PULSE_STEP + offset] = float(getattr(sheet.pulses, name))
    return numbers


def pulses(said: Mapping[int, float]) -> dict[str, object]:
    """The section `pulses` of a datasheet, from a device's PARAMETERS (14 to 29); empty where it tells no law.

    Raises:
        ValueError: the number of the law is none of them, or what every law needs is missing.
    """
    if Parameter.PULSE_LAW not in said:
        return {}
    number = said[Parameter.PULSE_LAW]
    if number not in range(1, len(PULSE_LAWS)):
        raise ValueError(f"parameter 14, pulse_law, is {number:g}: laws are 1 to {len(PULSE_LAWS) - 1}")
    ids = {name: Parameter(Parameter.PULSE_STEP + offset) for offset, name in enumerate(_PULSE_NUMBERS)}
    for name in _PULSE_NUMBERS[:_NEEDED]:
        if ids[name] not in said:
            raise ValueError(f"a pulse law is told, but not parameter {ids[name]:d}, {ids[name].name.lower()}")
    section: dict[str, object] = {name: said[key] for name, key in ids.items() if key in said}
    return section | {"law": PULSE_LAWS[int(number)], "one_sided": bool(section.get("one_sided", 0.0))}


def update(number: Callable[[Parameter], float]) -> dict[str, object]:
    """The section `update` of a datasheet, from a device's PARAMETERS (30 to 32), each of which `number` looks up."""
    return {
        "rate_per_s": number(Parameter.UPDATE_RATE_PER_S),
        "window_s": number(Parameter.UPDATE_WINDOW_S),
        "batch": int(number(Parameter.UPDATE_BATCH)),
    }


def limits(sheet: Datasheet) -> LimitsRecord:
    """Its absolute limits."""
    limits = sheet.limits
    return LimitsRecord(
        max_drive_a=limits.max_drive_a,
        max_read_v=limits.max_read_v,
        max_pulse_v=limits.max_pulse_v,
        max_pulse_s=limits.max_pulse_s,
        max_pulses_per_cell=float(limits.max_pulses_per_cell),
        max_energy_per_cell_j=math.inf,
        max_temperature_k=limits.max_temperature_k,
        max_source_v=limits.max_source_v if sheet.resistive else math.inf,
    )
