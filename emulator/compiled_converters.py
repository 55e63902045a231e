"""Converters in one pass over the values where llvmlite is installed; the same numbers as `emulator.converters`."""

from __future__ import annotations

import ctypes
from functools import cache
from typing import Any

import torch
from torch import Tensor

from emulator.channels import Channels, Noise
from emulator.compiled.library import library
from firmware_specs.datasheet.converters import Adc, Ammeter, Converter, Dac, SourceDac

_SIX = ctypes.c_float * 6
MOST = 1 << 22
"""Values beyond which torch's threads, where it has several, are worth more than one pass."""


def send(dac: Dac | SourceDac, value: Tensor, channels: Channels) -> tuple[Tensor, Tensor] | None:
    """As `emulator.converters.convert_drive`; None where tensors have to do."""
    return _converted("send", dac, value, channels)


def read(
    adc: Adc | Ammeter, value: Tensor, channels: Channels, noise: Noise | None = None
) -> tuple[Tensor, Tensor] | None:
    """As `emulator.converters.convert_state`; None where tensors have to do."""
    return _converted("read", adc, value, channels, noise)


def _converted(
    name: str, converter: Converter, value: Tensor, channels: Channels, noise: Noise | None = None
) -> tuple[Tensor, Tensor] | None:
    if converter.ideal or value.dtype != torch.float32 or value.device.type != "cpu" or value.requires_grad:
        return None
    if not value.is_contiguous():  # maps whose channels come last stay so
        return None
    units = value[0].numel() if len(value) else 0
    functions = library() if units and (value.numel() <= MOST or torch.get_num_threads() == 1) else None
    if functions is None or units < functions.shape.lanes:
        return None
    out, count = torch.empty_like(value), torch.empty(len(value), dtype=torch.long)
    none = _nothing(units)
    gain, offset = (none if e is None else e.float().contiguous() for e in (channels.gain, channels.offset_lsb))
    curve = none if channels.curve_lsb is None else channels.curve_lsb.float().contiguous()
    given = (t.data_ptr() for t in (value, gain, offset, curve))
    normal, sigma = (None, 0.0) if noise is None else (noise.normal.data_ptr(), noise.sigma)
    sizes = len(value), units, channels.curve_lsb is not None, noise is not None
    getattr(functions, name)(*sizes, sigma, *given, normal, _scales(converter), out.data_ptr(), count.data_ptr())
    return out, count


@cache
def _nothing(units: int) -> Tensor:
    return torch.zeros(units)


def _scales(converter: Converter) -> Any:
    """Low and high end, codes a unit, units a code, LSB, largest code; quicker formed than looked up by a converter."""
    low, high, top = converter.low, converter.high, converter.max_code
    return _SIX(low, high, top / (high - low), (high - low) / top, converter.lsb, top)
