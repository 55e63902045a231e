"""Converters in one pass over the values where llvmlite is installed; the same numbers as `emulator.converters`."""

from __future__ import annotations

import ctypes
import math
from functools import cache
from typing import Any

import torch
from torch import Tensor

from emulator.channels import Channels, Noise
from emulator.compiled.library import library
from firmware_specs.datasheet.converters import Adc, Ammeter, Converter, Dac, SourceDac

MOST_BITS = 24
"""Codes beyond are no numbers of 32 bits."""
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
    if converter.ideal or converter.bits > MOST_BITS or value.dim() < 2:
        return None
    value = value.contiguous()  # maps come with their channels side by side
    if not _plain(value):
        return None
    samples, *own = value.shape
    units = math.prod(own) if samples else 0
    functions = library() if units and (samples * units <= MOST or torch.get_num_threads() == 1) else None
    if functions is None or units < functions.shape.lanes:
        return None
    gain, offset, curve = channels.gain, channels.offset_lsb, channels.curve_lsb
    shape = value.shape[1:]
    for error in (gain, offset):
        if error is not None and not (_plain(error) and error.shape == shape):
            return None
    if curve is not None and not (_plain(curve) and curve.shape == (converter.max_code + 1,)):
        return None
    if noise is not None and not (_plain(noise.normal) and noise.normal.shape == value.shape):
        return None
    out, count = torch.empty_like(value), torch.empty(samples, dtype=torch.long)
    none = _nothing(units)
    call = functions.send if name == "send" else functions.read
    call(
        *(samples, units, curve is not None, noise is not None),
        0.0 if noise is None else noise.sigma,
        value.data_ptr(),
        (none if gain is None else gain).data_ptr(),
        (none if offset is None else offset).data_ptr(),
        (none if curve is None else curve).data_ptr(),
        None if noise is None else noise.normal.data_ptr(),
        _scales(converter),
        *(out.data_ptr(), count.data_ptr()),
    )
    return out, count


def _plain(tensor: Tensor) -> bool:
    """Whether its memory can be read as it lies."""
    return (
        tensor.dtype == torch.float32
        and tensor.device.type == "cpu"
        and not tensor.requires_grad
        and tensor.is_contiguous()
    )


@cache
def _nothing(units: int) -> Tensor:
    return torch.zeros(units)


def _scales(converter: Converter) -> Any:
    """Low and high end, codes a unit, units a code, LSB, largest code; quicker formed than looked up by a converter."""
    low, high, top = converter.low, converter.high, converter.max_code
    return _SIX(low, high, top / (high - low), (high - low) / top, converter.lsb, top)
