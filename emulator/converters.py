"""Converters as pure functions on tensors; formulas in `firmware_specs.datasheet.converters`."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from emulator.streams import static_normal
from firmware_specs.datasheet.converters import Adc, Ammeter, Converter, Dac, SourceDac


@dataclass(frozen=True)
class Channels:
    """Static errors of the converter channels of one layer; None where there are none.

    Attributes:
        gain: Relative gain error of each channel, of the layer's shape.
        offset_lsb: Offset of each channel, LSB.
        curve_lsb: Integral nonlinearity at every code, LSB, one curve for all channels of a converter.
    """

    gain: Tensor | None = None
    offset_lsb: Tensor | None = None
    curve_lsb: Tensor | None = None

    @property
    def exact(self) -> bool:
        """True where there are no errors at all."""
        return self.gain is None and self.offset_lsb is None and self.curve_lsb is None

    def among(self, first: slice) -> Channels:
        """Of some along the first axis only."""
        gain, offset = (None if e is None else e[first] for e in (self.gain, self.offset_lsb))
        return Channels(gain, offset, self.curve_lsb)

    @classmethod
    def draw(
        cls, converter: Converter, shape: tuple[int, ...], device: torch.device, dtype: torch.dtype, *key: object
    ) -> Channels:
        """Errors of this specimen's channels."""
        gain = offset = curve = None
        if converter.gain_error_sigma:
            gain = (static_normal(shape, device, *key, "gain") * converter.gain_error_sigma).to(dtype)
        if converter.offset_error_sigma_lsb:
            offset = (static_normal(shape, device, *key, "offset") * converter.offset_error_sigma_lsb).to(dtype)
        if converter.inl_lsb or converter.dnl_lsb:
            curve = nonlinearity(converter, device, *key).to(dtype)
        return cls(gain, offset, curve)


def nonlinearity(converter: Converter, device: torch.device, *key: object) -> Tensor:
    """Integral nonlinearity at every code, LSB, (codes,), zero at both ends on average.

    A smooth bow, three sine terms with random weights scaled to a peak of `inl_lsb`, and independent errors of
    single codes of `dnl_lsb / sqrt(2)`, so that the differences of neighbouring codes have an RMS of `dnl_lsb`.
    """
    place = torch.linspace(0, torch.pi, converter.max_code + 1, dtype=torch.float64, device=device)
    weights = static_normal((3,), device, *key, "bow")
    bow = sum((weights[k] * torch.sin((k + 1) * place) for k in range(3)), start=torch.zeros_like(place))
    bow = bow * (converter.inl_lsb / bow.abs().max().clamp(min=1e-30))
    return bow + static_normal(tuple(place.shape), device, *key, "codes") * (converter.dnl_lsb / 2**0.5)


def convert_drive(dac: Dac | SourceDac, current_a: Tensor, channels: Channels = Channels()) -> tuple[Tensor, Tensor]:
    """Currents a DAC really sends for wanted ones.

    Args:
        dac: The converter.
        current_a: Wanted currents, (batch, ...), amperes.
        channels: Errors of its channels: `I (1 + gain) + lsb (offset + curve[code])`.

    Returns:
        Currents on the code grid with the channels' errors, clipped to the range, and the number of wanted values
        beyond the range of each sample, (batch,).
    """
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


def convert_state(adc: Adc | Ammeter, state_v: Tensor, channels: Channels = Channels()) -> tuple[Tensor, Tensor]:
    """Readings an ADC reports for voltages.

    Args:
        adc: The converter.
        state_v: Voltages, (batch, ...).
        channels: Errors of its channels: `code = clip(round((V (1 + gain) - low) / lsb + offset + curve))`.

    Returns:
        Voltages on the code grid, and the number of readings at the first or last code of each sample, (batch,).
    """
    if adc.ideal:
        state_v = state_v if channels.gain is None else state_v * (1 + channels.gain)
        at_rail = ((state_v <= adc.low) | (state_v >= adc.high)).flatten(1).sum(1)
        return state_v.clamp(adc.low, adc.high), at_rail
    code = read_codes(adc, state_v, channels)
    return from_codes(adc, code, state_v.dtype), ((code == 0) | (code == adc.max_code)).flatten(1).sum(1)


def read_codes(adc: Adc | Ammeter, value: Tensor, channels: Channels = Channels()) -> Tensor:
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
