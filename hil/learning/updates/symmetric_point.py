"""The symmetric point of cells, where up and down pulses move alike: found by pulsing to and fro.

An up and a down pulse on a cell that lies beside its symmetric point bring it nearer (Rasch et al., Nat. Commun. 15,
7133, 2024, eq. 8): of steps that depend on the weight like `step (1 -+ w)` the distance falls by `exp(-2 step)` a
pair, so that `1.5 / step` pairs leave 5 %. A reading there is the zero that a gradient array is compared with
(zero-shifting).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from hil.counterparts.cell_array import CellArray, Pulsed, added, one_pair, pair_span

BURST = 8
"""Pulses of one polarity in a row on the way; the last pairs are single."""
LAST = 10
"""Readings that are averaged, one after each of the last pairs."""


def pairs_needed(array: CellArray, most: int) -> int:
    """Up and down pulses that bring a cell from the end of its range within 5 % of its symmetric point.

    Args:
        array: Of the cells.
        most: No more than that.
    """
    return min(most, max(LAST, math.ceil(1.5 * pair_span(array) / 2 / array.pulse_step())))


def find(array: CellArray, most: int, reads: int, draws: torch.Generator, pair: int = 0) -> tuple[list[Tensor], Pulsed]:
    """Brings every weight to its symmetric point and reads it there.

    Args:
        array: Of the cells; every cell of a pair is pulsed both ways.
        most: Pairs of pulses at most.
        reads: Readings of every cell after each of the last pairs.
        draws: Source of what is drawn.
        pair: Which pair of cells, where a weight has several.

    Returns:
        Weights at the symmetric point, (rows, columns) a coupling, model units, of several pairs that of the one as a
        weight of its own; and the pulses it took.

    Raises:
        ValueError: pulses move the cells one way only: they have no symmetric point.
    """
    if array.one_sided():
        raise ValueError("cells whose pulses go one way only have no symmetric point")
    cells = [array.topology.cells(c) for c in array.topology.couplings]
    bursts, sent = math.ceil(max(0, pairs_needed(array, most) - LAST) / BURST), []
    for _ in range(bursts):
        sent += [*_all(array, cells, BURST, draws, pair), *_all(array, cells, -BURST, draws, pair)]
    if bursts:
        sent += _all(array, cells, BURST // 2, draws, pair)  # from the low end of the last burst back to its middle
    points = [torch.zeros(shape, dtype=torch.float64) for shape in cells]
    for _ in range(LAST):
        for sign in (1, -1):  # the point is between where the one and the other leaves a cell
            sent += _all(array, cells, sign, draws, pair)
            points = [
                p + array.weights(n, slice(None), reads, one_pair(array, pair)) / (2 * LAST)
                for n, p in enumerate(points)
            ]
    return points, added(sent)


def zeros(
    array: CellArray, most: int, reads: int, draws: torch.Generator, pair: int = 0
) -> tuple[list[Tensor], Pulsed]:
    """What counts as zero when a rule begins: symmetric points as `find` finds them, without a search what cells read.

    Args:
        array: Of the cells.
        most: Pairs of pulses at most; 0: no search, nothing is sent.
        reads: As `find` takes them.
        draws: As `find` takes them.
        pair: As `find` takes it.

    Returns:
        As of `find`.

    Raises:
        ValueError: as of `find`.
    """
    if most:
        return find(array, most, reads, draws, pair)
    couplings = range(len(array.topology.couplings))
    return [array.weights(n, slice(None), LAST * reads, one_pair(array, pair)) for n in couplings], Pulsed(0, 0, 0)


def _all(
    array: CellArray, cells: list[tuple[int, int]], pulses: int, draws: torch.Generator, pair: int
) -> list[Pulsed]:
    """So many pulses on every cell: twice as many a weight, so that both cells of a pair have theirs."""
    counts = [torch.full(shape, 2 * pulses, dtype=torch.int64) for shape in cells]
    return [array.send(n, each, 2 * abs(pulses), draws, pair) for n, each in enumerate(counts)]
