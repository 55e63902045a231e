"""Reading conductances: read noise, temperature, current against voltage."""

from __future__ import annotations

import torch
from torch import Tensor

from firmware_specs.datasheet import Datasheet
from firmware_specs.datasheet.cells import Cells
from firmware_specs.datasheet.noise import ReadNoise


def noise_sigma_s(noise: ReadNoise, cells: Cells, conductance_s: Tensor, age_s: Tensor | None) -> Tensor | None:
    """Standard deviation of one reading by the datasheet's law (`noise_laws`), siemens; None where it has no noise.

    Args:
        noise: The law.
        cells: The range.
        conductance_s: Present conductances.
        age_s: Seconds since each was written; None: just now.
    """
    found: Tensor | None = noise.rule(noise, cells, conductance_s, age_s, **noise.figures)
    return found


def read(sheet: Datasheet, conductance_s: Tensor, age_s: Tensor | None, generator: torch.Generator) -> Tensor:
    """One noisy reading of conductances: `G + sigma xi`, independent between cells."""
    sigma = noise_sigma_s(sheet.read_noise, sheet.cells, conductance_s, age_s)
    if sigma is None:
        return conductance_s
    noise = torch.randn(conductance_s.shape, generator=generator, dtype=torch.float32, device=conductance_s.device)
    return conductance_s + noise * sigma


def at_temperature(cells: Cells, conductance_s: Tensor, temperature_k: float) -> Tensor:
    """`G(T) = G (1 + alpha (T - T_ref))`, at least 0."""
    factor = 1 + cells.temperature_coefficient_per_k * (temperature_k - cells.reference_k)
    return conductance_s if factor == 1 else conductance_s * max(factor, 0.0)


def bent(cells: Cells, voltage: Tensor, unit_v: float = 1.0) -> Tensor:
    """What a nonlinear cell makes of a voltage: `V + a V |V| + b V^3`, so that `I = G bent(V)`.

    The quadratic and cubic terms of the ReRAM fit in CrossSim's Milo device, odd in the voltage.

    Args:
        cells: Coefficients, per volt and per square volt.
        voltage: In units of `unit_v`.
        unit_v: Volts of 1.0.
    """
    if cells.linear:
        return voltage
    size = voltage.abs() * unit_v
    return voltage * (1 + cells.quadratic_per_v * size + cells.cubic_per_v2 * size**2)
