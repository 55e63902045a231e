"""`tiki_taka`, `chopped`, `agad`: gradients go into a second, fast array, which is read line by line into the first.

The fast array A lies beside the array C that settles. Every step pulses A against the gradient. Now and then lines of
A are read; what they say beyond their zero adds up on the host (H), and whole units of it become pulses on C, which
therefore gets few of them, all meant. Of cells with several pairs a weight both arrays move the first pair, and of A
that pair alone is read. Rasch et al., Nat. Commun. 15, 7133 (2024), eq. 10-15 (Tiki-Taka 2, choppers,
AGAD); aihwkit's BufferedTransfer, ChoppedTransfer and DynamicTransfer compounds.

What counts as A's zero is the difference between the three: the symmetric point, found once, of `tiki_taka` and
`chopped`; of `agad` what a line read at the end of its last chopper period. A chopper is a sign a line, which its
updates and its readings both carry: what does not turn with it, an offset of the zero, cancels.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Literal

import torch
from pydantic import PositiveInt
from torch import Tensor

from firmware_specs.datasheet.section import Fraction, Positive
from hil.counterparts.cell_array import CellArray, Pulsed, added, one_pair, pair_span
from hil.experiments.parts import Count
from hil.learning.updates import symmetric_point
from hil.learning.updates.portions import next_lines, whole_pulses
from hil.learning.updates.update import PulsedUpdate

Zero = Literal["symmetric_point", "last_period"]


class Transfer(PulsedUpdate):
    """What rules with a fast array share.

    Attributes:
        fast: Pulses that a gradient of root mean square size sends to a weight of the fast array in a step.
        every: Steps between readings.
        lines: Rows read each time, one after the other; 0: all.
        reads: Readings of every cell, averaged.
        transfer_most: Pulses a cell of the slow array gets from one reading at most.
        search: Most pairs of pulses of the search for the symmetric point; 0: cells are read where they were written.
    """

    beside = 1

    fast: Positive = 2.0
    every: PositiveInt = 1
    lines: Count = 0
    reads: PositiveInt = 1
    transfer_most: PositiveInt = 31
    search: Count = 1000

    def begin(self, arrays: Sequence[CellArray]) -> TransferRule:
        """On the array that settles and the fast one beside it.

        Raises:
            ValueError: pulses move the cells one way only: they have no symmetric point.
        """
        slow, fast = arrays
        if fast.one_sided():
            raise ValueError(
                "a fast array needs cells that pulses move both ways, and these go one way only: "
                "use update.kind = 'mixed' or 'pulsed'"
            )
        return TransferRule(self, slow, fast)

    @property
    def zero(self) -> Zero:
        """What readings of the fast array are compared with."""
        return "symmetric_point"

    def period(self, kept: float) -> int:
        """Readings of a line after which its chopper turns, 0: never; `kept` readings count what a step wrote."""
        return 0

    def readings(self, kept: float) -> float:
        """Readings that count what one step wrote, out of those that could."""
        return kept


class TikiTaka(Transfer):
    """Gradients go into a second array, whose readings against its symmetric point move the first (Tiki-Taka 2)."""

    kind: Literal["tiki_taka"] = "tiki_taka"


class Chopped(Transfer):
    """Tiki-Taka whose lines change their sign now and then, so that an offset of the zero cancels.

    Attributes:
        chop: Readings of a line between two changes of its sign. None: four times as many as count what a step wrote.
            What a line holds counts against its new sign until it is overwritten, so that in shorter periods nothing
            would arrive.
    """

    kind: Literal["chopped"] = "chopped"
    chop: PositiveInt | None = None

    def period(self, kept: float) -> int:
        """As stated, or four times as long as a step is remembered."""
        return self.chop or math.ceil(4 * kept)


class Agad(Chopped):
    """Chopped, with the zero of a line taken from its own readings before its sign last changed: needs no search.

    Attributes:
        chop: Readings of a line between two changes of its sign; None: ten.
        tail: Share of the newest reading in the running mean of a line's readings, from which the zero is taken.
    """

    kind: Literal["agad"] = "agad"  # type: ignore[assignment]
    tail: Fraction = 0.5

    @property
    def zero(self) -> Zero:
        """Of its own readings."""
        return "last_period"

    def period(self, kept: float) -> int:
        """As stated: its zero moves along, so that a period may be short."""
        return self.chop or 10

    def readings(self, kept: float) -> float:
        """A period ends them, on average half a period after they were written."""
        return max(1.0, min(kept, self.period(kept) / 2))


class TransferRule:
    """A rule with a fast array at work on one block.

    Args:
        settings: Which one.
        slow: The array that settles.
        fast: The array that gathers gradients.
    """

    def __init__(self, settings: Transfer, slow: CellArray, fast: CellArray) -> None:
        self._settings, self._slow, self._fast = settings, slow, fast
        cells = [slow.topology.cells(c) for c in slow.topology.couplings]
        self._state: dict[str, Tensor] = {}
        for n, (rows, columns) in enumerate(cells):
            self._state |= {f"{name}_{n}": torch.zeros(rows, columns, dtype=torch.float64) for name in ("h", "zero")}
            self._state |= {f"sign_{n}": torch.ones(rows, 1, dtype=torch.float64)}
            self._state |= {f"read_{n}": torch.zeros(rows, dtype=torch.int64)}
            if settings.zero == "last_period":
                self._state[f"mean_{n}"] = torch.zeros(rows, columns, dtype=torch.float64)
        self._state |= {"line": torch.zeros(len(cells), dtype=torch.int64), "steps": torch.tensor(0)}

    def step(self, wanted: Sequence[Tensor], factor: float, draws: torch.Generator) -> Pulsed:
        """Pulses on the fast array; where it is due, readings and pulses on the slow one."""
        sent = [] if int(self._state["steps"]) else [self._first_zero(draws)]
        for n, part in enumerate(wanted):
            # copied: before_step keeps the former tensor
            sent.append(self._gathered(n, part.cpu(), draws))
        self._state["steps"] = self._state["steps"] + 1
        if int(self._state["steps"]) % self._settings.every == 0:
            sent += [self._transferred(n, factor, draws) for n in range(len(wanted))]
        return added(sent)

    def state_dict(self) -> dict[str, Tensor]:
        """Accumulators, zeros, signs, counters."""
        return dict(self._state)

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Takes them back."""
        self._state = {name: state[name].clone() for name in self._state}

    def _first_zero(self, draws: torch.Generator) -> Pulsed:
        settings, fast = self._settings, self._fast
        fast.prepare(_zeros(fast))
        search = settings.search if settings.zero == "symmetric_point" else 0
        found, sent = symmetric_point.zeros(fast, search, settings.reads, draws)
        for n, zero in enumerate(found):
            self._state[f"zero_{n}"] = zero
            if settings.zero == "last_period":
                self._state[f"mean_{n}"] = zero.clone()
        return sent

    def _gathered(self, n: int, part: Tensor, draws: torch.Generator) -> Pulsed:
        """The gradient, with the lines' signs, in whole pulses rounded at random."""
        wanted = self._state[f"sign_{n}"] * part * self._settings.fast
        return self._fast.send(n, whole_pulses(wanted, draws), self._settings.most, draws)

    def _transferred(self, n: int, factor: float, draws: torch.Generator) -> Pulsed:
        """Reads lines of the fast array and moves the slow one by what has added up."""
        settings, state = self._settings, self._state
        rows = self._next_lines(n)
        seen = self._fast.weights(n, rows, settings.reads, one_pair(self._fast))
        signal = state[f"sign_{n}"][rows] * (seen - state[f"zero_{n}"][rows]) / self._fast.pulse_step()
        step = settings.lr * factor / self._slow.pulse_step()
        gain = step / (settings.fast * settings.readings(self._kept(n)))
        gathered = state[f"h_{n}"].clone()
        gathered[rows] += gain * signal
        counts = torch.zeros_like(gathered)
        counts[rows] = gathered[rows].trunc().clamp(-settings.transfer_most, settings.transfer_most)
        state[f"h_{n}"] = gathered - counts
        self._turn(n, rows, seen)
        return self._slow.send(n, counts.long(), settings.transfer_most, draws)

    def _kept(self, n: int) -> float:
        """Readings of a line that count what one step wrote, at least one.

        With soft bounds every pulse takes the share `step / half range` of a weight back.
        """
        rows, fast = len(self._state[f"read_{n}"]), self._fast
        between = self._settings.every * rows / min(self._settings.lines or rows, rows)
        return max(1.0, pair_span(fast) / 2 / (fast.pulse_step() * self._settings.fast * between))

    def _next_lines(self, n: int) -> slice:
        line = self._state["line"].clone()
        rows, line[n] = next_lines(int(line[n]), len(self._state[f"read_{n}"]), self._settings.lines)
        self._state["line"] = line
        return rows

    def _turn(self, n: int, rows: slice, seen: Tensor) -> None:
        """Counts a reading of the lines; those at the end of a chopper period change their sign and take a new zero."""
        settings, state = self._settings, self._state
        if settings.zero == "last_period" and isinstance(settings, Agad):
            mean = state[f"mean_{n}"].clone()
            mean[rows] += settings.tail * (seen - mean[rows])
            state[f"mean_{n}"] = mean
        period = settings.period(self._kept(n))
        if not period:
            return
        read = state[f"read_{n}"].clone()
        read[rows] += 1
        turning = read >= period
        state[f"read_{n}"] = torch.where(turning, 0, read)
        state[f"sign_{n}"] = torch.where(turning[:, None], -state[f"sign_{n}"], state[f"sign_{n}"])
        if settings.zero == "last_period":
            state[f"zero_{n}"] = torch.where(turning[:, None], state[f"mean_{n}"], state[f"zero_{n}"])


def _zeros(array: CellArray) -> dict[str, Tensor]:
    topology, zeros = array.topology, {}
    for n, coupling in enumerate(topology.couplings):
        zeros[f"weight_{n}"] = torch.zeros(topology.weight_shape(coupling))
        if coupling.bias:
            zeros[f"bias_{n}"] = torch.zeros(topology.cells(coupling)[1])
    return zeros
