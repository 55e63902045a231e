"""Model units to SI and back: the only place where they meet.

`state_v = s * state_unit_v`, `drive_a = z * state_unit_v / transimpedance_ohm`, `w = (G+ - G-) * transimpedance_ohm`.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from firmware_specs.datasheet import Datasheet
from firmware_specs.topology import Conv, Dense, Topology
from hil.backends.seam import Parameters


@dataclass(frozen=True)
class Mapping:
    """Conversions of one device, from its datasheet."""

    datasheet: Datasheet

    @property
    def current_unit_a(self) -> float:
        """Amperes of a current of 1.0 in model units."""
        return self.datasheet.neurons.state_unit_v / self.datasheet.neurons.transimpedance_ohm

    @property
    def state_unit_v(self) -> float:
        """Volts of a state of 1.0."""
        return self.datasheet.neurons.state_unit_v

    @property
    def nudge_limit(self) -> float:
        """Largest nudge of either sign the nudge DAC can express, model units."""
        dac = self.datasheet.nudge_dac
        return min(-dac.low_a, dac.high_a) / self.current_unit_a

    @property
    def weight_limit(self) -> float:
        """Weight at the full conductance swing."""
        return self.datasheet.cells.span_s * self.datasheet.neurons.transimpedance_ohm

    def conductances_s(self, topology: Topology, parameters: Parameters) -> tuple[list[Tensor], int]:
        """Target conductances of a block's couplings.

        Args:
            topology: The block.
            parameters: `weight_i` and `bias_i`, model units.

        Returns:
            One float64 tensor a coupling, (2, rows, columns), siemens: of each differential pair one cell carries the
            weight's magnitude, the other stays at `g_min_s`. And the number of weights beyond the range.
        """
        targets, clipped = [], 0
        for index, coupling in enumerate(topology.couplings):
            matrix = crossbar_matrix(topology, coupling, parameters, index) / self.datasheet.neurons.transimpedance_ohm
            clipped += int((matrix.abs() > self.datasheet.cells.span_s).sum())
            pair = torch.stack([matrix.clamp(min=0), (-matrix).clamp(min=0)]) + self.datasheet.cells.g_min_s
            targets.append(pair.clamp(max=self.datasheet.cells.g_max_s))
        return targets, clipped


def crossbar_matrix(topology: Topology, coupling: Dense | Conv, parameters: Parameters, index: int) -> Tensor:
    """A coupling's weights as its crossbar holds them, (rows, columns) float64, the bias line last.

    Raises:
        ValueError: a parameter is missing, misshapen or not finite.
    """
    rows, columns = topology.cells(coupling)
    weight = _checked(parameters, f"weight_{index}", columns * (rows - coupling.bias)).reshape(columns, -1).T
    if not coupling.bias:
        return weight
    return torch.cat([weight, _checked(parameters, f"bias_{index}", columns).reshape(1, columns)])


def _checked(parameters: Parameters, name: str, size: int) -> Tensor:
    if name not in parameters:
        raise ValueError(f"{name}: missing; the block has {', '.join(sorted(parameters)) or 'no parameters'}")
    value = parameters[name].detach().double()
    if value.numel() != size:
        raise ValueError(f"{name}: {value.numel()} values, the crossbar needs {size}")
    if not bool(torch.isfinite(value).all()):
        raise ValueError(f"{name}: {int((~torch.isfinite(value)).sum())} values are not finite; nothing was written")
    return value
