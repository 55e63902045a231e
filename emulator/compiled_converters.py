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
    if converter.ideal or converter.bits > MOST_BITS or value.dim() < 2 or not _plain(value):
        return None
    units = value[0].numel() if len(value) else 0
    functions = library() if units and (value.numel() <= MOST or torch.get_num_threads() == 1) else None
    if functions is None or units < functions.shape.lanes:
        return None
    errors = channels.gain, channels.offset_lsb
    if any(e is not None and not (_plain(e) and e.shape == value.shape[1:]) for e in errors):
        return None
    curve = channels.curve_lsb
    if curve is not None and not (_plain(curve) and curve.shape == (converter.max_code + 1,)):
        return None
    if noise is not None and not (_plain(noise.normal) and noise.normal.shape == value.shape):
        return None
    out, count = torch.empty_like(value), torch.empty(len(value), dtype=torch.long)
    none = _nothing(units)
    given = ((none if t is None else t).data_ptr() for t in (value, *errors, curve))
    normal, sigma = (None, 0.0) if noise is None else (noise.normal.data_ptr(), noise.sigma)
    sizes = len(value), units, curve is not None, noise is not None
    getattr(functions, name)(*sizes, sigma, *given, normal, _scales(converter), out.data_ptr(), count.data_ptr())
    return out, count


def _plain(tensor: Tensor) -> bool:
    """Whether its memory can be read as it lies; maps whose channels come last stay so."""
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
