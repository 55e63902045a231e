"""Converters as pure functions on tensors; formulas in `firmware_specs.datasheet.converters`."""

from __future__ import annotations

import torch
from torch import Tensor

from firmware_specs.datasheet.converters import Adc, Ammeter, Converter, Dac, SourceDac


def convert_drive(dac: Dac | SourceDac, current_a: Tensor) -> tuple[Tensor, Tensor]:
    """Currents a DAC really sends for wanted ones.

    Args:
        dac: The converter.
        current_a: Wanted currents, (batch, ...), amperes.

    Returns:
        Currents on the code grid, clipped to the range, and the number of clipped values of each sample, (batch,).
    """
    clipped = ((current_a < dac.low) | (current_a > dac.high)).flatten(1).sum(1)
    bounded = current_a.clamp(dac.low, dac.high)
    return (bounded if dac.ideal else from_codes(dac, to_codes(dac, bounded), current_a.dtype)), clipped


def convert_state(adc: Adc | Ammeter, state_v: Tensor) -> tuple[Tensor, Tensor]:
    """Readings an ADC reports for voltages.

    Args:
        adc: The converter.
        state_v: Voltages, (batch, ...).

    Returns:
        Voltages on the code grid, and the number of readings at the first or last code of each sample, (batch,).
    """
    if adc.ideal:
        at_rail = ((state_v <= adc.low) | (state_v >= adc.high)).flatten(1).sum(1)
        return state_v.clamp(adc.low, adc.high), at_rail
    code = to_codes(adc, state_v)
    return from_codes(adc, code, state_v.dtype), ((code == 0) | (code == adc.max_code)).flatten(1).sum(1)


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
