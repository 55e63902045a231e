"""What a settle dissipates in the cells, from the conductances that were written and the states that were measured.

A cell between two voltages dissipates `G (v_pre - v_post)^2` in a resistive network. In a Hopfield array a coupling is
driven from both sides and read by virtual grounds: `G (v_pre^2 + v_post^2)`, both planes. The time is that of the phase
with its readings, as the device states it. Pulses and writes are counted where the chip counts them, cell by cell.

It is computed for the first settles, then each time their number has grown by a quarter, and between for not more than
0.2 % of the time; phases between have the mean of the powers about them, those behind the last one its own, nudged
ones that of free ones until there was one.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from math import prod

import torch
import torch.nn.functional as F  # noqa: N812 - torch's own convention
from torch import Tensor

from firmware_specs.datasheet import Datasheet
from firmware_specs.deeds import Deeds
from firmware_specs.topology import Conv, Topology
from hil.counterparts.seam import States

SHARE = 0.002
"""Of the time that may go into it."""
GROWN = 4
"""Of what was settled, the part after which it is computed again, so that a short run is more than its beginning."""


class Heat:
    """Joules that the settles of one array dissipated.

    Args:
        sheet: The device.
        topology: The block on the array.
        unit_v: Volts of a state of 1.
    """

    def __init__(self, sheet: Datasheet, topology: Topology, unit_v: float) -> None:
        self._sheet, self._topology, self._unit_v = sheet, topology, unit_v
        self._cells: list[Tensor] = []
        self._watts: Tensor | None = None
        self._seconds = [0.0, 0.0]
        self._joules: Tensor | None = None
        self._next, self._settles, self._due = 0.0, 0, 0

    def written(self, conductances_s: Sequence[Tensor]) -> None:
        """The cells hold these now, (planes, rows, columns) a coupling."""
        self._cells = list(conductances_s)

    def settled(self, drive: Tensor, phases: Sequence[States], reads: int, wait_s: float | None) -> None:
        """A settle was done.

        Args:
            drive: In model units.
            phases: Measured states of each, in model units, the free phase first.
            reads: Conversions of every state.
            wait_s: Of one phase; the datasheet's where None.
        """
        if not self._cells:
            return
        phase_s = (wait_s or self._sheet.settle.time_s) + reads * self._sheet.read_time_s
        own = [len(drive) * phase_s, len(drive) * (len(phases) - 1) * phase_s]
        began = time.perf_counter()
        self._settles += 1
        if self._settles <= self._due and began < self._next:
            self._seconds = [before + more for before, more in zip(self._seconds, own, strict=True)]
            return
        held = [expected(self._sheet, c.to(drive.device, torch.float64)).sum(0) for c in self._cells]
        free, *nudged = [self._power(drive, states, held) / len(drive) for states in phases]
        before = free if self._watts is None else self._watts[1]
        watts = torch.stack([free, torch.stack(nudged).mean() if nudged else before])
        self._fold(None if self._watts is None else (self._watts + watts) / 2)
        self._watts, self._seconds = watts, own
        self._fold(watts)
        took = time.perf_counter() - began
        self._next, self._due = began + took / SHARE, self._settles + self._settles // GROWN

    def take(self) -> Deeds:
        """Joules since the last call."""
        self._fold(self._watts)
        free_j, nudged_j = (0.0, 0.0) if self._joules is None else self._joules.tolist()
        self._joules = None
        return Deeds(array_j=free_j + nudged_j, free_j=free_j, nudged_j=nudged_j)

    def _fold(self, watts: Tensor | None) -> None:
        if watts is not None:
            joules = watts * watts.new_tensor(self._seconds)
            self._joules = joules if self._joules is None else self._joules + joules
        self._seconds = [0.0, 0.0]

    def _power(self, drive: Tensor, states: States, conductances_s: Sequence[Tensor]) -> Tensor:
        """Watts of the whole batch, as if its samples were there at once; conductances are (rows, columns)."""
        block, unit_v, line_v = self._topology, self._unit_v, self._sheet.neurons.state_unit_v
        volts = [state.double() * unit_v for state in states]
        total = drive.new_zeros((), dtype=torch.float64)
        for coupling, g in zip(block.couplings, conductances_s, strict=True):
            pre = drive.double() * unit_v if coupling.pre == -1 else volts[coupling.pre]
            post = volts[coupling.post]
            bias = g[-1].sum() * line_v**2 * len(drive) if coupling.bias else 0.0
            g = g[:-1] if coupling.bias else g
            if isinstance(coupling, Conv):
                total = total + bias * prod(post.shape[2:]) + _conv(coupling, g, pre, post)
            elif block.substrate == "resistive":
                gain = block.layers[coupling.post].gain
                total = total + bias + _dense(g, pre.flatten(1), post.flatten(1) / gain, across=True)
            else:
                total = total + bias + _dense(g, pre.flatten(1), post.flatten(1), across=False)
        return total


def expected(sheet: Datasheet, target_s: Tensor) -> Tensor:
    """Mean conductance that writing a target gives: the spread that the ends of the range cut off lies inside of it."""
    cells, coefficients = sheet.cells, sheet.programming.sigma_coefficients_s
    low, high = (0.0, math.inf) if coefficients else (cells.g_min_s, cells.g_max_s)
    relative = target_s / cells.g_max_s
    sigma = torch.full_like(target_s, cells.programming_noise * cells.span_s)
    if coefficients:
        sigma = sum((c * relative**k for k, c in enumerate(coefficients)), start=torch.zeros_like(target_s))
    if not bool((sigma > 0).any()):
        return target_s
    sigma = sigma.clamp(min=1e-30)
    below, above = (low - target_s) / sigma, (high - target_s) / sigma
    inside = _share(above) - _share(below)
    beyond = low * _share(below) + (high * (1 - _share(above)) if math.isfinite(high) else 0.0)
    return beyond + target_s * inside + sigma * (_density(below) - _density(above))


def _share(z: Tensor) -> Tensor:
    return torch.special.ndtr(z)


def _density(z: Tensor) -> Tensor:
    return torch.exp(-(z**2) / 2) / math.sqrt(2 * math.pi)


def _dense(g: Tensor, pre: Tensor, post: Tensor, *, across: bool) -> Tensor:
    own = (pre**2).sum(0) @ g.sum(1) + (post**2).sum(0) @ g.sum(0)
    return own - 2 * ((pre @ g) * post).sum() if across else own


def _conv(coupling: Conv, g: Tensor, pre: Tensor, post: Tensor) -> Tensor:
    kernel = g.sum(1).view(1, pre.shape[1], coupling.kernel, coupling.kernel)
    forward = F.conv2d(pre**2, kernel, stride=coupling.stride, padding=coupling.padding).sum()
    return forward + (post**2).sum((0, 2, 3)) @ g.sum(0)
