"""`residual`: a weight is several pairs of few-level cells, each of which learns what the ones before it leave over.

All pairs are in the sum while the chip settles, each with its significance: `w = sum over n of significance^n w_n`.
The gradient is that of the sum. It moves the last, finest pair every step. From time to time lines of pair n are read,
and what they say beyond their zero moves pair n - 1, the more rarely the coarser the pair: pair n gathers what is left
over, pair n - 1 follows its mean, and what that step is too large by comes back with the gradient of the sum. With
`carry` it does not wait for the gradient: whole pulses that pair n is worth in pair n - 1 go there, and pair n takes
them back at once, as in a positional number system (periodic carry: Agarwal et al., VLSI Technology 2017; abstract).

Li, Wu, Liu, Gokmen and Chen, arXiv 2510.02516 (multi-tile residual learning). That a weight is this sum, that every
tile learns on a time scale of its own, and the warm start are from its abstract and the authors' published code
(github.com/kdhhewuciedu/AIMC: there `TransferCompound` with `gamma_vec` 0.5^n, `transfer_every_vec` 2 x 5^n columns);
the equations of the paper itself have not been compared. Zeros found by a search are an addition: cells there have
their symmetric point at zero by construction.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Literal

import torch
from pydantic import PositiveInt
from torch import Tensor

from firmware_specs.datasheet.section import Positive
from hil.counterparts.cell_array import CellArray, Pulsed, added
from hil.experiments.parts import Count
from hil.learning.updates import symmetric_point
from hil.learning.updates.portions import next_lines, whole_pulses
from hil.learning.updates.update import PulsedUpdate

CELLS = 2
"""Of a pair, which share the pulses of a weight."""


class Residual(PulsedUpdate):
    """Each pair of cells learns what the coarser ones leave over.

    Attributes:
        every: Steps between readings of the finest pair.
        slower: How many times as rarely each coarser pair is read.
        transfer: Share of a reading that the next coarser pair moves by, in units of its own weight; it follows the
            schedule. Unused with `carry`.
        carry: Move the next coarser pair by the whole pulses that a reading is worth there, and the finer one back: by
            no more than what the finer one can give back within `most`, so that the sum stays.
        lines: Rows read each time, one after the other; 0: all.
        reads: Readings of every cell, averaged.
        warm_start: Steps at the start in which the gradient moves the coarsest pair alone.
        search: Most pairs of pulses of the search for the symmetric point of the finer pairs; 0: their zero is what
            they read when it begins.
    """

    kind: Literal["residual"] = "residual"
    every: PositiveInt = 10
    slower: PositiveInt = 5
    transfer: Positive = 0.1
    carry: bool = False
    lines: Count = 0
    reads: PositiveInt = 1
    warm_start: Count = 0
    search: Count = 1000

    def begin(self, arrays: Sequence[CellArray]) -> ResidualRule:
        """On the array that settles.

        Raises:
            ValueError: its weights have one pair of cells, pulses move the cells one way only, or one pulse carried is
                more than `most` pulses take back.
        """
        array = arrays[0]
        if len(array.significances()) < 2:
            raise ValueError(
                "update.kind = 'residual' needs several pairs of cells a weight (cells.pairs of the datasheet), and "
                "here is one: use update.kind = 'mixed' or 'pulsed'"
            )
        if array.one_sided():
            raise ValueError(
                "update.kind = 'residual' needs cells that pulses move both ways, and these go one way only: "
                "use update.kind = 'mixed' or 'pulsed'"
            )
        ratio = array.significances()[1]
        if self.carry and not carried_at_most(self.most, ratio):
            needed = math.ceil(1 / ratio / CELLS)
            raise ValueError(
                f"update.carry: a pulse of one pair is worth {CELLS * needed} of the next finer, {needed} a cell, and "
                f"update.most = {self.most}: set update.most to {needed} or more, or leave update.carry out"
            )
        return ResidualRule(self, array)


class ResidualRule:
    """Residual learning on one array.

    Args:
        settings: How.
        array: Of the block.
    """

    def __init__(self, settings: Residual, array: CellArray) -> None:
        self._settings, self._array = settings, array
        self._last = len(array.significances()) - 1
        cells = [array.topology.cells(c) for c in array.topology.couplings]
        self._state: dict[str, Tensor] = {
            f"zero_{n}_{pair}": torch.zeros(shape, dtype=torch.float64)
            for n, shape in enumerate(cells)
            for pair in range(1, self._last + 1)
        }
        self._state |= {"line": torch.zeros(len(cells), self._last + 1, dtype=torch.int64), "steps": torch.tensor(0)}

    def step(self, wanted: Sequence[Tensor], factor: float, draws: torch.Generator) -> Pulsed:
        """Pulses on the finest pair; where it is due, readings, and pulses on the next coarser one."""
        sent = [] if int(self._state["steps"]) else [self._first_zeros(draws)]
        settings, steps = self._settings, int(self._state["steps"])
        pair = 0 if steps < settings.warm_start else self._last
        unit = self._array.pulse_step() * self._array.significances()[pair]
        for n, part in enumerate(wanted):
            change = part.cpu() * (settings.lr * factor / unit)
            sent.append(self._send(n, pair, change, settings.most, draws))
        self._state["steps"] = self._state["steps"] + 1
        if steps >= settings.warm_start:
            for finer in range(self._last, 0, -1):
                if (steps + 1) % (settings.every * settings.slower ** (self._last - finer)) == 0:
                    sent += [self._transferred(n, finer, factor, draws) for n in range(len(wanted))]
        return added(sent)

    def state_dict(self) -> dict[str, Tensor]:
        """Zeros, the lines that are next, steps."""
        return dict(self._state)

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Takes them back."""
        self._state = {name: state[name].clone() for name in self._state}

    def _first_zeros(self, draws: torch.Generator) -> Pulsed:
        settings, array, sent = self._settings, self._array, [Pulsed(0, 0, 0)]
        for pair in range(1, self._last + 1):
            found, pulsed = symmetric_point.zeros(array, settings.search, settings.reads, draws, pair)
            sent.append(pulsed)
            for n, zero in enumerate(found):
                self._state[f"zero_{n}_{pair}"] = zero
        return added(sent)

    def _transferred(self, n: int, finer: int, factor: float, draws: torch.Generator) -> Pulsed:
        """Reads lines of a pair and moves the next coarser one by what they hold."""
        rows = self._next_lines(n, finer)
        held = self._array.weights(n, rows, self._settings.reads, finer) - self._state[f"zero_{n}_{finer}"][rows]
        change = torch.zeros_like(self._state[f"zero_{n}_{finer}"])
        if self._settings.carry:
            ratio = self._array.significances()[1]
            fits = carried_at_most(self._settings.most, ratio)
            change[rows] = (ratio * held / self._array.pulse_step()).trunc().clamp(-fits, fits)
            carried = self._array.send(n, change.long(), self._settings.most, draws, finer - 1)
            return added([carried, self._send(n, finer, -change / ratio, self._settings.most, draws)])
        change[rows] = self._settings.transfer * factor * held / self._array.pulse_step()
        return self._send(n, finer - 1, change, self._settings.most, draws)

    def _send(self, n: int, pair: int, change: Tensor, most: int, draws: torch.Generator) -> Pulsed:
        """A change in pulses, rounded at random."""
        return self._array.send(n, whole_pulses(change, draws), most, draws, pair)

    def _next_lines(self, n: int, pair: int) -> slice:
        line = self._state["line"].clone()
        rows, line[n, pair] = next_lines(int(line[n, pair]), len(self._state[f"zero_{n}_{pair}"]), self._settings.lines)
        self._state["line"] = line
        return rows


def carried_at_most(most: int, ratio: float) -> int:
    """Pulses of a pair that the next finer one, of which a pulse counts `ratio`, can give back with `most` a cell."""
    return math.floor(CELLS * most * ratio * (1 + 1e-12))
