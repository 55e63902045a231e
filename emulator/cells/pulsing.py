"""Programming pulses; the laws themselves are in `firmware_specs.datasheet.pulses`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from firmware_specs.datasheet.pulses import Pulses

AT_ONCE = 1 << 16
"""Noises drawn together."""


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

    Of a table with spreads `max(response(x), 0) + spread(x) xi` instead of the last and the third factor.

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
    x, devices = x[order].clone(), devices[order]
    scale = devices.step.clamp(min=0) * (1 + sign * (pulses.asymmetry + devices.asymmetry)).clamp(min=0)
    cells = [_plain(values) for values in (x, scale * (sign * pulses.step * effort), devices.low, devices.high)]
    done = 0
    for until, n in _stages(counts):
        while done < until:
            train = min(until - done, max(1, AT_ONCE // n))
            _train(pulses, [values[:n] for values in cells], up, train, generator)
            done += train
    restored = torch.empty_like(x)
    restored[order] = x
    return restored


def _stages(counts: Tensor) -> Iterator[tuple[int, int]]:
    """Up to which pulse how many cells get one."""
    n = len(counts)
    for until, cells in zip(*(found.tolist() for found in counts.unique(return_counts=True)), strict=True):
        if until > 0:
            yield until, n
        n -= cells


def _plain(values: Tensor) -> Any:
    """The same memory as an array, whose short operations take a fifth of the time, where it is this machine's."""
    return values.numpy() if values.device.type == "cpu" else values


def _train(pulses: Pulses, cells: Sequence[Any], up: bool, count: int, generator: torch.Generator) -> None:
    """Equal numbers of pulses for all cells (where they are, scale of a step, either end), in place."""
    x, scale, low, high = cells
    noise: Any = (None,) * count
    if pulses.spread_up or pulses.c2c:
        device = x.device if isinstance(x, Tensor) else "cpu"
        noise = _plain(torch.randn(count, len(x), generator=generator, dtype=torch.float32, device=device))
    for xi in noise:
        step = pulses.response(x, up).clip(0, None)
        if pulses.spread_up:
            step = step + pulses.spread(x, up) * xi
        elif pulses.c2c:
            step = step * (1 + pulses.c2c * xi)
        x[:] = (x + scale * step).clip(low, high)


def reset(pulses: Pulses, before_s: Tensor, counts: Tensor, amplitude_v: float, generator: torch.Generator) -> Tensor:
    """Conductances after reset pulses of one height, `G(V) exp(spread xi)`, siemens; the last of a train counts."""
    assert pulses.reset is not None  # noqa: S101 - the caller asked
    found = pulses.reset.at(amplitude_v)
    if found is None:
        return before_s
    middle_s, spread = found
    xi = torch.randn(before_s.shape, generator=generator, dtype=torch.float32, device=before_s.device)
    return torch.where(counts > 0, (middle_s * torch.exp(spread * xi)).to(before_s.dtype), before_s)
