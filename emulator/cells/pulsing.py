"""Programming pulses; the laws themselves are in `firmware_specs.datasheet.pulses`."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from firmware_specs.datasheet.pulses import Pulses


@dataclass(frozen=True)
class Devices:
    """How the pulsed response of single devices differs, all of one shape.

    Attributes:
        step: Factor on the nominal step.
        asymmetry: Added to the nominal asymmetry.
        low: Lower end of the device's range, relative; 0 nominal.
        high: Upper end; 1 nominal.
    """

    step: Tensor
    asymmetry: Tensor
    low: Tensor
    high: Tensor

    def __getitem__(self, index: object) -> Devices:
        return Devices(self.step[index], self.asymmetry[index], self.low[index], self.high[index])  # type: ignore[index]


def pulse(
    pulses: Pulses, x: Tensor, counts: Tensor, up: bool, effort: float, devices: Devices, generator: torch.Generator
) -> Tensor:
    """Applies pulses one by one: `x <- clip(x +- step (1 +- asymmetry) max(response(x), 0) effort (1 + c2c xi))`.

    Args:
        pulses: The law.
        x: Relative conductances, (n,), 0 .. 1.
        counts: Pulses each cell gets, (n,), integers.
        up: Towards the highest conductance.
        effort: Factor for pulses that are not nominal, from `Pulses.effort`.
        devices: Spread between the devices.
        generator: Source of the cycle-to-cycle noise.

    Returns:
        Relative conductances after the pulses.
    """
    if x.numel() == 0 or effort == 0:
        return x
    sign = 1 if up else -1
    order = torch.argsort(counts, descending=True, stable=True)
    counts, x, devices = counts[order], x[order].clone(), devices[order]
    scale = devices.step.clamp(min=0) * (1 + sign * (pulses.asymmetry + devices.asymmetry)).clamp(min=0)
    scale = scale * (sign * pulses.step * effort)
    for number in range(int(counts[0])):
        n = int((counts > number).sum())
        step = scale[:n] * pulses.response(x[:n], up).clamp(min=0)
        if pulses.c2c:
            noise = torch.randn(n, generator=generator, dtype=torch.float32, device=x.device)
            step = step * (1 + pulses.c2c * noise)
        x[:n] = torch.clamp(x[:n] + step, devices.low[:n], devices.high[:n])
    restored = torch.empty_like(x)
    restored[order] = x
    return restored
