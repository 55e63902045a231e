"""Codes on the wire and SI values in tensors, in float64: `value = low + code * lsb` (PROTOCOL.md 7.1)."""

from __future__ import annotations

from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from firmware_specs.messages import Codes, code_dtype


class Range(Protocol):
    """What codes need of a converter."""

    @property
    def low(self) -> float:
        """Value of code 0."""

    @property
    def high(self) -> float:
        """Value of the largest code."""

    @property
    def max_code(self) -> int:
        """Largest code."""


def values(converter: Range, codes: Codes) -> Tensor:
    """SI values of codes, float64."""
    lsb = (converter.high - converter.low) / converter.max_code
    return torch.from_numpy(codes.astype(np.float64)).mul_(lsb).add_(converter.low)


def codes(converter: Range, value: Tensor, reads: int = 1) -> Codes:
    """Codes of SI values that are means over `reads` conversions: their sums, in the width PROTOCOL.md 7.6 demands."""
    lsb = (converter.high - converter.low) / converter.max_code
    scaled = value.detach().to("cpu", torch.float64).sub(converter.low).mul_(reads / lsb).round_()
    return scaled.clamp_(0, converter.max_code * reads).numpy().astype(code_dtype(converter.max_code * reads))
