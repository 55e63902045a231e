"""Relaxation of a Hopfield block on the host, with products that a device measures.

A sweep is exact block coordinate descent with measured products, so its fixed point is the equilibrium of the weights
the device really has. Products are noisy: the change of a state in one sweep never falls below a floor. A sample
settles when its change reaches that floor, or the tolerance where that is higher. Its residual is then the *stated
error*, a bound on the distance from the true equilibrium: `(change + floor) / (1 - rate)`. The rate is the slower of
how earlier changes shrank and of what the written weights say of the units that are free to move; without contraction
the sample is not settled.

Lines never get more than `limits.max_read_v`: a sample whose states go beyond is driven with all its lines smaller, and
its currents, noise included, are as much larger afterwards.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from emulator.neurons import ideal_neurons
from emulator.products import Multiplied
from firmware_specs.datasheet import Datasheet
from firmware_specs.topology import Dense, Topology
from hil.counterparts.checks import check_inputs, constant_nudges, layered_nudges, plain_nudges
from hil.counterparts.seam import Nudge, Parameters, Phase, PlacementError, Settled, States, Transposed
from hil.counterparts.watch import SAFETY, USUAL, Watch

POWER = 40
LOOKS = 4
"""Products that are averaged where a coupling is measured line by line."""
MARGIN = 1.02
"""Power iteration nears a norm from below."""


class Multiplier(Protocol):
    """Whatever does the products of one block."""

    def multiply(self, coupling: int, volts: Tensor, transposed: bool) -> Multiplied:
        """Currents of G+ minus G- of a coupling's read lines for voltages at the others; the bias row is the last."""
        ...


@dataclass(frozen=True)
class Turn:
    """What makes deviations from the free states act through the transposed couplings: a current of the difference.

    A network whose couplings differ by direction has a Jacobian `J` that is not symmetric: what a nudge moves answers
    with `J`, and the gradient is made of what `J^T` answers. A force `-(J - J^T) (s - s_free)` in the nudged phases
    turns one into the other (asymmetric equilibrium propagation, Scurria et al., arXiv 2602.03670: "a term proportional
    to the non-reciprocal part of the interaction"; the form for crossbars is derived here, their equations were not
    compared one by one).

    Attributes:
        asymmetry: Of every coupling, (pre, post): column to row less row to column.
        free: States deviations are counted from, (batch, *layer).
    """

    asymmetry: Sequence[Tensor]
    free: States

    def current(self, topology: Topology, layer: int, states: Sequence[Tensor]) -> Tensor:
        """Into one layer, (batch, *layer)."""
        total = torch.zeros_like(states[layer]).flatten(1)
        for coupling, difference in zip(topology.couplings, self.asymmetry, strict=True):
            if coupling.post == layer:
                total += self._moved(states, coupling.pre) @ difference.to(total)
            elif coupling.pre == layer:
                total -= self._moved(states, coupling.post) @ difference.T.to(total)
        return total.view_as(states[layer])

    def _moved(self, states: Sequence[Tensor], layer: int) -> Tensor:
        return (states[layer] - self.free[layer]).flatten(1)


class Relaxation:
    """Relaxes one block on measured products.

    Args:
        sheet: The product device's datasheet.
        topology: The block, dense couplings only.
        multiplier: Does the products.

    Raises:
        PlacementError: the block is not dense.
    """

    def __init__(self, sheet: Datasheet, topology: Topology, multiplier: Multiplier) -> None:
        if any(not isinstance(coupling, Dense) for coupling in topology.couplings):
            raise PlacementError("a product device has dense crossbars; convolutions need a device that unrolls them")
        self.products = 0
        self._topology, self._multiplier, self._sheet = topology, multiplier, sheet
        self._neurons = ideal_neurons(topology)
        self._unit_v = sheet.neurons.state_unit_v
        self._current_a = sheet.neurons.state_unit_v / sheet.neurons.transimpedance_ohm
        self._stop = sheet.settle
        self._floors = self._noise_floors(0.0)
        self._joined: Tensor | None = None
        self._asymmetry: list[Tensor] | None = None

    def programmed(self, parameters: Parameters) -> None:
        """Takes the written weights in: they say whether a state is at a minimum, and how fast a sweep nears it."""
        layers = self._topology.layers
        starts = [0, *itertools.accumulate(layer.units for layer in layers)]
        joined = torch.zeros(starts[-1], starts[-1])
        for index, coupling in enumerate(self._topology.couplings):
            scale = math.sqrt(layers[coupling.pre].gain * layers[coupling.post].gain)
            rows = slice(starts[coupling.post], starts[coupling.post + 1])
            columns = slice(starts[coupling.pre], starts[coupling.pre + 1])
            joined[rows, columns] = parameters[f"weight_{index}"].detach().float().cpu() * scale
        self._joined = joined + joined.T

    def _local_rate(self, raw: Sequence[Tensor], floor: Tensor) -> Tensor:
        """Factor by which a sweep shrinks the distance to the minimum a state is near, (batch,); 1 or more at none.

        `|M sqrt(A) W sqrt(A) M|^2`: A the slopes, M the units not driven beyond a rail by more than the
        noise. By power iteration.
        """
        if self._joined is None:
            return raw[0].new_full((len(raw[0]),), USUAL)
        margin, free = 4 * SAFETY * floor.unsqueeze(1), []
        for layer, current in zip(self._topology.layers, raw, strict=True):
            driven = current.flatten(1) * layer.gain
            free.append(
                (driven > -margin) & (driven < layer.rail + margin)
                if layer.clamped
                else torch.ones_like(driven, dtype=torch.bool)
            )
        mask, joined = torch.cat(free, 1).to(raw[0].dtype), self._joined.to(raw[0])
        vector = mask * (1 + 0.1 * torch.arange(mask.shape[1], device=mask.device).sin())
        norm = vector.norm(dim=1, keepdim=True).clamp(min=1e-30)
        for _ in range(POWER):
            vector = mask * ((vector / norm) @ joined)
            norm = vector.norm(dim=1, keepdim=True).clamp(min=1e-30)
        return (norm[:, 0] * MARGIN) ** 2

    def settle(
        self, drive: Tensor, nudges: Sequence[Nudge], start: States | None, reads: int, noise_a: float
    ) -> Settled:
        """Relaxes freely and nudged; `reads` sweeps at the end of each phase are averaged.

        Args:
            drive: Constant bias current into the first layer.
            nudges: Constant currents into the last layer, or into all (`ByLayer`).
            start: States to begin with.
            reads: Sweeps to average.
            noise_a: Standard deviation of one plane's reading of one tile.
        """
        check_inputs(self._topology, drive, nudges, start)
        self._floors = self._noise_floors(noise_a)
        turned = any(isinstance(n, Transposed) for n in nudges)
        given = plain_nudges(nudges)
        spread = layered_nudges(given) or [(n,) for n in constant_nudges(given)]
        with torch.no_grad():
            free, report = self._relax(drive, None, start, reads)
            phases, reports = [free], [report]
            if spread:
                count = len(spread)
                currents = tuple(torch.cat(parts) for parts in zip(*spread, strict=True))
                repeated = tuple(s.repeat(count, *[1] * (s.dim() - 1)) for s in free)
                drives = drive.repeat(count, *[1] * (drive.dim() - 1))
                turn = Turn(self._one_sided(), repeated) if turned else None
                states, together = self._relax(drives, currents, repeated, reads, turn)
                parts = [s.chunk(count) for s in states]
                phases += [tuple(p[k] for p in parts) for k in range(count)]
                reports += _split(together, count)
        return Settled(phases[0], tuple(phases[1:]), tuple(reports))

    def _relax(
        self, drive: Tensor, nudge: States | None, start: States | None, reads: int, turn: Turn | None = None
    ) -> tuple[States, Phase]:
        """`nudge` has currents into the last layers, as many as it names."""
        states = list(start or (drive.new_zeros(len(drive), *layer.shape) for layer in self._topology.layers))
        groups = self._topology.update_groups if nudge is None else self._topology.update_groups[::-1]
        peak = self._expected_peak(drive)
        watch = Watch(drive, max(self._floors), peak, self._stop.tolerance, self._stop.max_iterations)
        sums: list[Tensor] | None = None
        raw = list(states)
        for _ in range(self._stop.max_iterations + reads - 1):
            before = list(states)
            for group in groups:
                for layer in group:
                    raw[layer] = self._current(layer, states, drive, nudge, watch)
                    if turn is not None:
                        raw[layer] = raw[layer] + turn.current(self._topology, layer, states)
                    states[layer] = self._neurons[layer](raw[layer])
            changes = [(a - b).flatten(1).abs().amax(1) for a, b in zip(states, before, strict=True)]
            if watch.see(torch.stack(changes).amax(0)):
                sums = list(states) if sums is None else [a + b for a, b in zip(sums, states, strict=True)]
                if watch.after >= reads:
                    break
        averaged = states if sums is None else [s / watch.after for s in sums]
        return tuple(averaged), watch.report(self._local_rate(raw, watch.floor))

    def _current(self, layer: int, states: list[Tensor], drive: Tensor, nudge: States | None, watch: Watch) -> Tensor:
        terms = [drive.flatten(1)] if layer == 0 else []
        for index, coupling in enumerate(self._topology.couplings):
            if coupling.post == layer:
                lines = states[coupling.pre].flatten(1)
                if coupling.bias:
                    lines = torch.cat([lines, lines.new_ones(len(lines), 1)], 1)
                terms.append(self._multiply(index, lines, False, watch))
            elif coupling.pre == layer:
                back = self._multiply(index, states[coupling.post].flatten(1), True, watch)
                terms.append(back[:, :-1] if coupling.bias else back)
        nudged = layer - len(states) + len(nudge or ())
        if nudge is not None and nudged >= 0:
            terms.append(nudge[nudged].flatten(1))
        return sum(terms[1:], start=terms[0]).unflatten(1, self._topology.layers[layer].shape)

    def _multiply(self, coupling: int, lines: Tensor, transposed: bool, watch: Watch) -> Tensor:
        volts = lines * self._unit_v
        stretch = (volts.abs().amax(1) / self._sheet.limits.max_read_v).clamp(min=1)
        done = self._multiplier.multiply(coupling, volts / stretch.unsqueeze(1), transposed)
        self.products += len(lines)
        watch.product(done.clipped, done.rails, stretch)
        return (done.amps / self._current_a).to(lines) * stretch.unsqueeze(1)

    def touched(self) -> None:
        """The cells were written or pulsed: what was measured of them is out of date."""
        self._asymmetry = None

    def _one_sided(self) -> list[Tensor]:
        """Of every coupling column to row less row to column, (pre, post), model units.

        From products with one line at a time, either way; measured anew after the cells were touched.
        """
        if self._asymmetry is None:
            self._asymmetry = []
            for index, coupling in enumerate(self._topology.couplings):
                rows, columns = self._topology.cells(coupling)
                units = rows - coupling.bias
                forth = self._averaged(index, torch.eye(rows)[:units], False)
                back = self._averaged(index, torch.eye(columns), True)[:, :units]
                self._asymmetry.append(back.T - forth)
        return self._asymmetry

    def _averaged(self, coupling: int, lines: Tensor, transposed: bool) -> Tensor:
        watch = Watch(lines, 0.0, 0.0, self._stop.tolerance, self._stop.max_iterations)
        seen = [self._multiply(coupling, lines, transposed, watch) for _ in range(LOOKS)]
        return torch.stack(seen).mean(0)

    def _noise_floors(self, noise_a: float) -> list[float]:
        """Standard deviation of each layer's state in one sweep, from conversion, model units."""
        product, fabric = self._sheet.product, self._sheet.fabric
        assert product is not None  # noqa: S101 - the bench looks first
        step_a = 0.0 if product.line_adc.ideal else product.line_adc.lsb
        plane = step_a**2 / 12 + noise_a**2
        variance = [0.0] * len(self._topology.layers)
        for coupling in self._topology.couplings:
            down, across = fabric.cut(*self._topology.cells(coupling))
            variance[coupling.post] += 2 * down * plane
            variance[coupling.pre] += 2 * across * plane
        return [
            layer.gain * math.sqrt(v) / self._current_a
            for layer, v in zip(self._topology.layers, variance, strict=True)
        ]

    def _expected_peak(self, drive: Tensor) -> float:
        """How far the largest of all states' changes lies above one standard deviation, in noise alone."""
        units = sum(layer.units for layer in self._topology.layers)
        return math.sqrt(2) * (math.sqrt(2 * math.log(max(units * len(drive), 2))) + 1)


def _split(phase: Phase, count: int) -> list[Phase]:
    fields = (phase.settled, phase.iterations, phase.residual, phase.clipped_drives, phase.rail_codes)
    return [Phase(*parts) for parts in zip(*(f.chunk(count) for f in fields), strict=True)]
