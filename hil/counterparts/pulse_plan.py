"""From wanted weight changes to pulses: which cells, which way, how many."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from firmware_specs.datasheet import Datasheet
from firmware_specs.datasheet.pulses import Pulses


@dataclass(frozen=True)
class Train:
    """Pulses of one plane and polarity.

    Attributes:
        plane: 0 is G+, 1 is G-, of pair n 2n and 2n + 1.
        up: Towards the highest conductance.
        counts: Pulses a cell, (rows, columns), int64.
        capped: Cells that were to get more.
    """

    plane: int
    up: bool
    counts: Tensor
    capped: int


def plan(sheet: Datasheet, change_s: Tensor, most: int, generator: torch.Generator) -> list[Train]:
    """Pulses that move a coupling's weights by about `change_s`.

    A pair is moved by G+ up and G- down, half each, and back the other way round; of a one-sided law by the up pulses
    of one of the two; a single cell by itself. The law's own shape is not undone: one pulse counts as what the law
    moves a cell at the middle of its range. Fractions of a pulse are rounded up with their own probability, so that
    the mean change is right.

    Args:
        sheet: Pulse law and range.
        change_s: Wanted change of `G+ - G-`, (rows, columns), siemens.
        most: Pulses a cell gets at most.
        generator: Source of the rounding, on the CPU.

    Raises:
        ValueError: neither the device nor its datasheet tells the pulse law.
    """
    law = _law(sheet)
    wanted = change_s / sheet.cells.span_s
    if sheet.cells.mapping == "single":
        ways = [(0, True, wanted), (0, False, -wanted)]
    elif law.one_sided:
        ways = [(0, True, wanted), (1, True, -wanted)]
    else:
        half = wanted / 2
        ways = [(0, True, half), (1, False, half), (0, False, -half), (1, True, -half)]
    trains = []
    for plane, up, part in ways:
        share = part / law.middle_step(up)
        draw = torch.rand(share.shape, generator=generator, dtype=torch.float64).to(share.device)
        counts = (share.clamp(min=0) + draw).floor()
        counts = torch.where(share > 0, counts, torch.zeros_like(counts))
        trains.append(Train(plane, up, counts.clamp(max=most).long(), int((counts > most).sum())))
    return [train for train in trains if bool(train.counts.any())]


def unit_s(sheet: Datasheet) -> float:
    """What one pulse on one cell changes a weight's conductance by at mid-range, mean of up and down, siemens."""
    law = _law(sheet)
    up, down = (law.middle_step(way) for way in (True, False))
    return sheet.cells.span_s * (up if law.one_sided else (up + down) / 2)


def whole(sheet: Datasheet, counts: Tensor, most: int, generator: torch.Generator, pair: int = 0) -> list[Train]:
    """Pulses of weights that are to get a whole number each.

    Args:
        sheet: Pulse law and range.
        counts: Pulses a weight, (rows, columns), int64; positive ones raise it. They are shared by the two cells of a
            pair; a coin says which gets an odd one. Of a one-sided law one of the two gets all.
        most: Pulses a cell gets at most.
        generator: The coins, on the CPU.
        pair: The pair of cells that takes them, where a weight has several.
    """
    raised, lowered = counts.clamp(min=0), (-counts).clamp(min=0)
    if sheet.cells.mapping == "single":
        ways = [(0, True, raised), (0, False, lowered)]
    elif sheet.pulses.one_sided:
        ways = [(0, True, raised), (1, True, lowered)]
    else:
        coin = torch.randint(0, 2, counts.shape, generator=generator).to(counts.device)
        first, second = (coin, 1 - coin)
        ways = [
            (0, True, (raised + first) // 2),
            (1, False, (raised + second) // 2),
            (0, False, (lowered + first) // 2),
            (1, True, (lowered + second) // 2),
        ]
    first_plane = 2 * pair
    trains = [
        Train(first_plane + plane, up, part.clamp(max=most), int((part > most).sum())) for plane, up, part in ways
    ]
    return [train for train in trains if bool(train.counts.any())]


def _law(sheet: Datasheet) -> Pulses:
    if sheet.pulses.law == "none":
        raise ValueError(
            f"{sheet.identity.model}: no pulse law is known, so weights cannot be moved by pulses: the device tells "
            "none (PARAMETERS 14 to 29), give its bench entry a datasheet with a section [pulses]"
        )
    return sheet.pulses


CROWDED = 0.85
"""Where in the range a cell of a pair calls for a refresh, if the other one has left its middle too."""


def paired_again(sheet: Datasheet, seen_s: Tensor) -> tuple[Tensor, Tensor]:
    """Targets that give pairs with a nearly full cell the same difference about the middle of the range again.

    Args:
        sheet: The range.
        seen_s: Conductances as read, (planes, rows, columns), siemens.

    Returns:
        Targets and where to write them, both (planes, rows, columns).
    """
    cells = sheet.cells
    middle = (cells.g_min_s + cells.g_max_s) / 2
    pairs = seen_s.unflatten(0, (-1, 2))
    # a pair that is full because its weight is large gains nothing
    crowded = (pairs.amax(1) > cells.g_min_s + CROWDED * cells.span_s) & (pairs.amin(1) > middle + 0.1 * cells.span_s)
    return balanced(sheet, seen_s), crowded[:, None].expand_as(pairs).flatten(0, 1)


def balanced(sheet: Datasheet, planes_s: Tensor) -> Tensor:
    """Pairs of the same differences, (planes, rows, columns), from where pulses can move a weight both ways.

    Both cells of a pair lie about mid-range, half the difference to either side; of a one-sided law, whose pulses only
    go up, one lies at mid-range and the other as far above as fits.
    """
    cells = sheet.cells
    middle = (cells.g_min_s + cells.g_max_s) / 2
    difference_s = planes_s[::2] - planes_s[1::2]
    if not sheet.pulses.one_sided:
        half = difference_s / 2
        both = torch.stack([middle + half, middle - half], 1).clamp(cells.g_min_s, cells.g_max_s)
    else:
        both = torch.stack([difference_s.clamp(min=0), (-difference_s).clamp(min=0)], 1)
        both = (both + middle).clamp(max=cells.g_max_s)
    return both.flatten(0, 1)
