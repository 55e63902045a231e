"""Writing conductances: codes, programming noise, write-verify."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from emulator.cells import reading
from firmware_specs.datasheet import Datasheet
from firmware_specs.datasheet.cells import Cells


@dataclass(frozen=True)
class Written:
    """Outcome of writing some cells.

    Attributes:
        conductances_s: What they have now, (n,), siemens.
        pulses: Writes each took, (n,), or 1 where all were written once.
        failed: Cells whose last read-back missed the target; 0 without verification.
    """

    conductances_s: Tensor
    pulses: Tensor | int
    failed: int


def quantize(cells: Cells, target_s: Tensor) -> Tensor:
    """Targets the write circuit can express: clipped to the range and rounded to its codes, float64 siemens.

    An analog write circuit rounds to 32-bit codes, so that a target is the same number in process and on a wire.
    """
    lsb_s = cells.span_s / cells.max_code
    # in place: training writes every cell at every step, and a new tensor a pass costs more than the pass
    value = target_s.double().clamp(cells.g_min_s, cells.g_max_s)
    return value.sub_(cells.g_min_s).div_(lsb_s).round_().mul_(lsb_s).add_(cells.g_min_s)


def programming_noise(sheet: Datasheet, target_s: Tensor, generator: torch.Generator) -> Tensor:
    """Conductances that result from writing targets once.

    `G = clip(G_t + sigma (Gmax - Gmin) xi, Gmin, Gmax)` with `cells.programming_noise`, or
    `G = max(0, G_t + sigma(G_t / Gmax) xi)` with the polynomial `programming.sigma_coefficients_s` (the form of the
    PCM and ReRAM fits in aihwkit's inference noise models).
    """
    cells, coefficients = sheet.cells, sheet.programming.sigma_coefficients_s
    if not coefficients and cells.programming_noise == 0:
        return target_s
    noise = torch.randn(target_s.shape, generator=generator, dtype=torch.float32, device=target_s.device)
    if not coefficients:
        noise = noise.mul_(cells.programming_noise * cells.span_s).to(target_s.dtype)
        return noise.add_(target_s).clamp_(cells.g_min_s, cells.g_max_s)
    g = target_s / cells.g_max_s
    sigma = torch.full_like(g, coefficients[-1])
    for coefficient in reversed(coefficients[:-1]):
        sigma.mul_(g).add_(coefficient)
    return (target_s + noise * sigma).clamp_(min=0)


def write(
    sheet: Datasheet, target_s: Tensor, generator: torch.Generator, rounds: int = 0, tolerance: float = 0.0
) -> Written:
    """Writes cells, and rewrites those whose read-back misses.

    Each round reads every cell that is not yet accepted, with its read noise, and writes anew those with
    `|G_read - G_t| > tolerance (Gmax - Gmin)`. Where sigma is large, accepted cells spread over the tolerance band:
    about `sqrt(tolerance^2 / 3 + sigma_read^2)`.

    Args:
        sheet: The device.
        target_s: What to write, (n,), siemens.
        generator: Source of its noise.
        rounds: Most rewrites of a cell; 0 writes once and does not look.
        tolerance: Fraction of the range.
    """
    conductances = programming_noise(sheet, target_s, generator)
    if rounds == 0:
        return Written(conductances, 1, 0)
    conductances = conductances.clone()
    pulses = torch.ones(target_s.shape, dtype=torch.int32, device=target_s.device)
    pending = torch.arange(target_s.numel(), device=target_s.device)
    for attempt in range(rounds + 1):
        seen = reading.read(sheet, conductances[pending], None, generator)
        pending = pending[(seen - target_s[pending]).abs() > tolerance * sheet.cells.span_s]
        if pending.numel() == 0 or attempt == rounds:
            break
        conductances[pending] = programming_noise(sheet, target_s[pending], generator)
        pulses[pending] += 1
    return Written(conductances, pulses, pending.numel())
