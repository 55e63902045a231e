"""What a device says of itself must fit together: otherwise there would be a way to the wire that no limit covers.

A drive is compared with `max_drive_a` because it is a current, with `max_source_v` because it is a voltage. A device
whose substrate says one thing and whose converters say another is not opened.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from drivers.device_info import DeviceInfo
from drivers.errors import ProtocolViolation
from drivers.guard import Limits
from firmware_specs.codes import Capability, ConverterId, Quantity
from firmware_specs.messages import Converter

QUANTITIES = {
    ConverterId.NUDGE_DAC: Quantity.AMPERE,
    ConverterId.STATE_ADC: Quantity.VOLT,
    ConverterId.OUTPUT_ADC: Quantity.VOLT,
    ConverterId.PRODUCT_DAC: Quantity.VOLT,
    ConverterId.PRODUCT_ADC: Quantity.AMPERE,
    ConverterId.SOURCE_ADC: Quantity.AMPERE,
}
"""Of every converter whose quantity does not follow from the substrate (PROTOCOL.md 7.1)."""
NEEDED = {
    Capability.SETTLE: (
        ConverterId.DRIVE_DAC,
        ConverterId.NUDGE_DAC,
        ConverterId.STATE_ADC,
        ConverterId.OUTPUT_ADC,
    ),
    Capability.PRODUCT: (ConverterId.PRODUCT_DAC, ConverterId.PRODUCT_ADC),
    Capability.SOURCE_CURRENT: (ConverterId.SOURCE_ADC,),
}
MOST_BITS = 32


def refuse_contradictions(info: DeviceInfo, limits: Limits, device: str) -> None:
    """Refuses a device whose substrate, converters and limits contradict each other.

    Args:
        info: What it says.
        limits: The tightest of all, that is, those every value will be compared with.
        device: Named in the refusal.

    Raises:
        ProtocolViolation: with everything that does not fit.
    """
    found = [*_substrate(info), *_converters(info), *_limits(info, limits)]
    if found:
        raise ProtocolViolation(
            "the device contradicts itself, so that a limit would not cover what is sent: " + "; ".join(found),
            device=device,
            todo="Correct its firmware (`hil conform` says more); nothing was switched on",
        )


def _substrate(info: DeviceInfo) -> Iterator[str]:
    if info.fabric.resistive != info.can(Capability.RESISTIVE):
        said = "resistive" if info.fabric.resistive else "Hopfield"
        yield f"FABRIC says {said}, capability RESISTIVE is {'set' if info.can(Capability.RESISTIVE) else 'missing'}"


def _converters(info: DeviceInfo) -> Iterator[str]:
    drive = Quantity.VOLT if info.fabric.resistive else Quantity.AMPERE
    wanted = {int(which): quantity for which, quantity in (QUANTITIES | {ConverterId.DRIVE_DAC: drive}).items()}
    for number, converter in sorted(info.converters.items()):
        if number not in wanted:
            continue  # one of a later version
        name = ConverterId(number).name
        if converter.quantity != wanted[number]:
            substrate = "a resistive" if info.fabric.resistive else "a Hopfield"
            yield f"{name} is of quantity {_quantity(converter)}, of {substrate} device it is {wanted[number].name}"
        if not (1 <= converter.bits <= MOST_BITS and -math.inf < converter.low < converter.high < math.inf):
            yield f"{name} has {converter.bits} bits from {converter.low} to {converter.high}"
    for capability, needed in NEEDED.items():
        missing = [which.name for which in needed if which not in info.converters]
        if info.can(capability) and missing:
            yield f"capability {capability.name} without {', '.join(missing)}"


def _limits(info: DeviceInfo, limits: Limits) -> Iterator[str]:
    if info.fabric.resistive and math.isinf(limits.max_source_v.value):
        yield "a resistive network without a finite max_source_v (the bench file may give one)"


def _quantity(converter: Converter) -> str:
    return Quantity(converter.quantity).name if converter.quantity in (0, 1) else str(converter.quantity)
