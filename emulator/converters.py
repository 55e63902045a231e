"""Converters as pure functions on tensors; formulas in `firmware_specs.datasheet.converters`."""

from __future__ import annotations

import torch
from torch import Tensor

from emulator import compiled_converters
from emulator.channels import EXACT, Channels, Noise
from firmware_specs.datasheet.converters import Adc, Ammeter, Converter, Dac, SourceDac


def convert_drive(dac: Dac | SourceDac, current_a: Tensor, channels: Channels = EXACT) -> tuple[Tensor, Tensor]:
    """Currents a DAC really sends for wanted ones.

    Args:
        dac: The converter.
        current_a: Wanted currents, (batch, ...), amperes.
        channels: Errors of its channels: `I (1 + gain) + lsb (offset + curve[code])`.

    Returns:
        Currents on the code grid with the channels' errors, clipped to the range, and the number of wanted values
        beyond the range of each sample, (batch,).
    """
    if (found := compiled_converters.send(dac, current_a, channels)) is not None:
        return found
    clipped = ((current_a < dac.low) | (current_a > dac.high)).flatten(1).sum(1)
    sent = current_a.clamp(dac.low, dac.high)
    error: Tensor | float = 0.0
    if not dac.ideal:
        code = to_codes(dac, sent)
        sent = from_codes(dac, code, current_a.dtype)
        if channels.curve_lsb is not None:
            error = channels.curve_lsb[code.long()]
        if channels.offset_lsb is not None:
            error = error + channels.offset_lsb
    if channels.gain is not None:
        sent = sent * (1 + channels.gain)
    return (sent if isinstance(error, float) else sent + error * dac.lsb), clipped


def convert_state(
    adc: Adc | Ammeter, state_v: Tensor, channels: Channels = EXACT, noise_v: Noise | None = None
) -> tuple[Tensor, Tensor]:
    """Readings an ADC reports for voltages.

    Args:
        adc: The converter.
        state_v: Voltages, (batch, ...).
        channels: Errors of its channels: `code = clip(round((V (1 + gain) - low) / lsb + offset + curve))`.
        noise_v: Of the reading, before the converter.

    Returns:
        Voltages on the code grid, and the number of readings at the first or last code of each sample, (batch,).
    """
    if (found := compiled_converters.read(adc, state_v, channels, noise_v)) is not None:
        return found
    if noise_v is not None:
        state_v = noise_v.normal.mul_(noise_v.sigma).add_(state_v)
    if adc.ideal:
        state_v = state_v if channels.gain is None else state_v * (1 + channels.gain)
        at_rail = ((state_v <= adc.low) | (state_v >= adc.high)).flatten(1).sum(1)
        return state_v.clamp(adc.low, adc.high), at_rail
    code = read_codes(adc, state_v, channels)
    return from_codes(adc, code, state_v.dtype), ((code == 0) | (code == adc.max_code)).flatten(1).sum(1)


def read_codes(adc: Adc | Ammeter, value: Tensor, channels: Channels = EXACT) -> Tensor:
    """Codes an ADC reports for voltages or currents, in their dtype; see `convert_state`."""
    if channels.gain is not None:
        value = value * (1 + channels.gain)
    if channels.offset_lsb is not None:
        value = value + channels.offset_lsb * adc.lsb
    if channels.curve_lsb is not None:
        code = to_codes(adc, value).nan_to_num(0.0).long()  # a NaN is no place in the curve, and stays a NaN
        value = value + channels.curve_lsb[code] * adc.lsb
    return to_codes(adc, value)


def to_codes(converter: Converter, value: Tensor) -> Tensor:
    """`clip(round((x - low) / lsb), 0, max_code)`, kept in the value's dtype."""
    return (
        ((value - converter.low) * (converter.max_code / (converter.high - converter.low)))
        .round_()
        .clamp_(0, converter.max_code)
    )


def from_codes(converter: Converter, code: Tensor, dtype: torch.dtype) -> Tensor:
    """`low + code * lsb` in the given dtype."""
    return code.to(dtype) * ((converter.high - converter.low) / converter.max_code) + converter.low
