"""What makes a converter inexact: static errors of its channels, drawn for a specimen's life, and noise."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from emulator.streams import static_normal
from firmware_specs.datasheet.converters import Converter


class Noise(NamedTuple):
    """Noise on top of what is converted.

    Attributes:
        normal: Standard normals, of the values' shape; whoever converts may overwrite them.
        sigma: Standard deviation, in the values' unit.
    """

    normal: Tensor
    sigma: float


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


EXACT = Channels()
"""No errors."""


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
