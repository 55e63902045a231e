"""Model units to SI and back: the only place where they meet.

`state_v = s * state_unit_v`, `drive_a = z * state_unit_v / transimpedance_ohm`, `w = (G+ - G-) * transimpedance_ohm`,
of several pairs of cells the sum over them, each times its significance.

A resistive network is driven by voltages, `drive_v = u * state_unit_v`, a weight is one cell, `w = G *
transimpedance_ohm`, and a bias is a current source set by the cell on the bias line,
`i_a = (G - (g_min + g_max) / 2) * state_unit_v`: mid-range is no current, so that both signs can be had.

Neurons of a chip clip to its own rail r, in units of `state_unit_v` (1, or what `neurons.clamped_high_v` says). Where
those of a block clip to another one, R, `state_unit_v r / R` stands for a state of 1: weights stay as they are, and a
bias, whose line is driven with `state_unit_v`, is divided by R / r.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from firmware_specs.datasheet import Datasheet
from firmware_specs.topology import Conv, Dense, Topology
from hil.counterparts.checks import check_parameters
from hil.counterparts.seam import Parameters, Ranges

_LOOSE_MIN, _LOOSE_MAX = 1 - 1e-6, 1 + 1e-6
"""A float32 parameter at the end of its range may be that far beyond it."""


@dataclass(frozen=True)
class Mapping:
    """Conversions of one device, from its datasheet.

    Attributes:
        datasheet: Of the device.
        rail: Of the block's clamped neurons, model units; 1 where it has none.
    """

    datasheet: Datasheet
    rail: float = 1.0

    @property
    def stretch(self) -> float:
        """States of the block in units of the chip's: R / r."""
        return self.rail / self.datasheet.neurons.rail

    @property
    def current_unit_a(self) -> float:
        """Amperes of a current of 1.0 in model units."""
        return self.state_unit_v / self.datasheet.neurons.transimpedance_ohm

    @property
    def state_unit_v(self) -> float:
        """Volts of a state of 1.0."""
        return self.datasheet.neurons.state_unit_v / self.stretch

    @property
    def drive_unit(self) -> float:
        """Amperes of a drive of 1.0; volts in a resistive network."""
        return self.state_unit_v if self.datasheet.resistive else self.current_unit_a

    @property
    def ranges(self) -> Ranges:
        """Weights and biases the cells can hold, nudges of either sign the nudge DAC can express."""
        cells, ohm = self.datasheet.cells, self.datasheet.neurons.transimpedance_ohm
        dac, unit_a = self.datasheet.nudge_dac, self.current_unit_a
        nudge = min(-dac.low_a, dac.high_a) / unit_a, 0.0 if dac.ideal else dac.lsb / unit_a
        if cells.mapping == "single":
            half = cells.span_s * ohm / 2
            return Ranges((cells.g_min_s * ohm, cells.g_max_s * ohm), (-half, half), *nudge)
        most = cells.span_s * ohm * sum(cells.significances)
        return Ranges((-most, most), (-most * self.stretch, most * self.stretch), *nudge)

    def conductances_s(self, topology: Topology, parameters: Parameters) -> tuple[list[Tensor], int]:
        """Target conductances of a block's couplings.

        Args:
            topology: The block.
            parameters: `weight_i` and `bias_i`, model units.

        Returns:
            One float64 tensor a coupling, siemens. Differential, (planes, rows, columns): one cell of a pair carries
            the weight's magnitude, the other stays at `g_min_s`; further pairs carry what the ones before them cannot.
            Single, (1, rows, columns). And the number of weights beyond the range.

        Raises:
            ValueError: a parameter is missing, misshapen or not finite.
        """
        check_parameters(topology, parameters)
        cells = self.datasheet.cells
        targets, clipped = [], 0
        for index, coupling in enumerate(topology.couplings):
            weights = crossbar_matrix(topology, coupling, parameters, index, self.stretch)
            planes = weights.new_empty(cells.planes, *weights.shape)
            torch.div(weights, self.datasheet.neurons.transimpedance_ohm, out=planes[0])
            if cells.mapping == "single":
                if coupling.bias:
                    planes[0, -1] += (cells.g_min_s + cells.g_max_s) / 2
            else:
                if cells.pairs > 1:
                    torch.stack(self._by_pair(planes[0]), out=planes[::2])
                torch.neg(planes[::2], out=planes[1::2])
                planes.clamp_(min=0).add_(cells.g_min_s)
            lowest, highest = map(float, planes.aminmax())
            if lowest < cells.g_min_s * _LOOSE_MIN or highest > cells.g_max_s * _LOOSE_MAX:
                clipped += int(((planes < cells.g_min_s * _LOOSE_MIN) | (planes > cells.g_max_s * _LOOSE_MAX)).sum())
            targets.append(planes.clamp_(cells.g_min_s, cells.g_max_s))
        return targets, clipped

    def _by_pair(self, difference_s: Tensor) -> list[Tensor]:
        """What every pair is to conduct, G+ - G-, siemens: as much of the rest as it holds and its codes express."""
        cells, parts, rest = self.datasheet.cells, [], difference_s
        for n, significance in enumerate(cells.significances):
            part = rest / significance
            if n < cells.pairs - 1:
                part = part.clamp(-cells.span_s, cells.span_s)
                if cells.bits:
                    step = cells.span_s / cells.max_code
                    part = (part / step).round() * step
            parts.append(part)
            rest = rest - part * significance
        return parts

    def changes_s(self, topology: Topology, changes: Parameters) -> list[Tensor]:
        """Conductance changes of the couplings for weight and bias changes, (rows, columns), siemens."""
        ohm = self.datasheet.neurons.transimpedance_ohm
        return [crossbar_matrix(topology, c, changes, i, self.stretch) / ohm for i, c in enumerate(topology.couplings)]

    def weights(self, seen_s: Tensor) -> Tensor:
        """Weights of cells, (rows, columns), from their conductances, (planes, rows, columns), siemens.

        The bias line of single cells comes as its conductances, without the half range that `conductances_s` adds.
        """
        ohm = self.datasheet.neurons.transimpedance_ohm
        cells = self.datasheet.cells
        return (seen_s[0] if cells.mapping == "single" else cells.joined(seen_s)).double() * ohm

    def pair_weights(self, seen_s: Tensor) -> Tensor:
        """What one pair of cells would be as a weight of its own, (rows, columns), from its two planes, siemens."""
        return (seen_s[0] - seen_s[1]).double() * self.datasheet.neurons.transimpedance_ohm


def parameters_of(
    topology: Topology, coupling: Dense | Conv, matrix: Tensor, index: int, stretch: float = 1.0
) -> dict[str, Tensor]:
    """A coupling's weights and biases from what its crossbar holds: the inverse of `crossbar_matrix`."""
    rows = matrix[:-1] if coupling.bias else matrix
    found = {f"weight_{index}": rows.T.reshape(topology.weight_shape(coupling))}
    return found | ({f"bias_{index}": matrix[-1] * stretch} if coupling.bias else {})


def crossbar_matrix(
    topology: Topology, coupling: Dense | Conv, parameters: Parameters, index: int, stretch: float = 1.0
) -> Tensor:
    """A coupling's weights as its crossbar holds them, (rows, columns) float64, the bias line last.

    Of a block whose neurons clip to another rail than the chip's the line holds its biases in units of their ratio.
    """
    _, columns = topology.cells(coupling)
    weight = parameters[f"weight_{index}"].detach().reshape(columns, -1).T
    held = weight.new_empty(len(weight) + coupling.bias, columns, dtype=torch.float64)
    held[: len(weight)] = weight
    if coupling.bias:
        held[-1] = parameters[f"bias_{index}"].detach().double() / stretch
    return held
