"""From wanted outer products to trains on rows and columns: which lines are pulsed in which slots.

A cell that is to change by `x d` gets on average as many pulses as that is worth, where its row is pulsed in a share
`p` of the slots, its column in a share `q`, each at random, and `p q slots` is that number (Gokmen and Vlasov, Front.
Neurosci. 10:333, 2016). A line carries no sign: what rises and what falls, and either sign of `x`, take trains of
their own, four quadrants at most, each for the planes that it moves.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from firmware_specs.datasheet import Datasheet
from firmware_specs.messages import Region, Train


@dataclass(frozen=True)
class Outer:
    """A wanted change of a coupling's weights, `sum over samples of rows[b, i] columns[b, j]`, model units.

    Attributes:
        rows: (samples, rows), float64, the bias line last.
        columns: (samples, columns).
    """

    rows: Tensor
    columns: Tensor

    @property
    def sum(self) -> Tensor:
        """The change, (rows, columns)."""
        return self.rows.T @ self.columns


@dataclass(frozen=True)
class Planned:
    """Trains for an array.

    Attributes:
        trains: In the order they are sent; their array is 0, see `placed`.
        saturated: Samples and cells, of every train, that get less than they were to: one of their lines was to be
            pulsed in more slots than there are.
    """

    trains: tuple[Train, ...]
    saturated: int


def plan(sheet: Datasheet, products: Sequence[Sequence[Outer]], slots: int, generator: torch.Generator) -> Planned:
    """Trains that change the weights of an array's couplings by these products on average.

    Slots in which no row or no column is pulsed are left out: they move nothing.

    Args:
        sheet: Pulse law and range.
        products: Of every coupling.
        slots: Of every sample and train.
        generator: Source of the slots, on the CPU.

    Raises:
        ValueError: the device cannot pulse rows and columns together.
    """
    if sheet.coincidence is None:
        raise ValueError(
            f"{sheet.identity.model} cannot pulse rows and columns together: its datasheet has no section "
            "[coincidence], and the device does not say capability COINCIDE"
        )
    trains, saturated = [], 0
    for coupling, outers in enumerate(products):
        for outer in outers:
            for plane, up, rises, share in _ways(sheet):
                worth = _worth(sheet, up) / share
                for rows, columns in _quadrants(outer, rises):
                    p, q, beyond = _shares(rows, columns, slots * worth)
                    saturated += beyond
                    place = Region(0, coupling, plane, 0, p.shape[1], 0, q.shape[1])
                    train = _drawn(place, up, p, q, slots, generator)
                    trains += [] if train is None else [train]
    return Planned(tuple(trains), saturated)


def _ways(sheet: Datasheet) -> list[tuple[int, bool, bool, float]]:
    """Planes that move a weight, which way, by a product of which sign, and by what share of it."""
    if sheet.cells.mapping == "single":
        return [(0, True, True, 1.0), (0, False, False, 1.0)]
    if sheet.pulses.one_sided:
        return [(0, True, True, 1.0), (1, True, False, 1.0)]
    return [(0, True, True, 0.5), (1, False, True, 0.5), (0, False, False, 0.5), (1, True, False, 0.5)]


def _worth(sheet: Datasheet, up: bool) -> float:
    """Change of a weight by one pulse on one cell at mid-range, model units."""
    return sheet.pulses.middle_step(up) * sheet.cells.span_s * sheet.neurons.transimpedance_ohm


def _quadrants(outer: Outer, rises: bool) -> Iterator[tuple[Tensor, Tensor]]:
    """Parts of equal sign whose products rise, or fall, as sizes."""
    for sign in (1.0, -1.0):
        rows = (sign * outer.rows).clamp(min=0)
        columns = ((sign if rises else -sign) * outer.columns).clamp(min=0)
        if bool(rows.any()) and bool(columns.any()):
            yield rows, columns


def _shares(rows: Tensor, columns: Tensor, most: float) -> tuple[Tensor, Tensor, int]:
    """Shares of the slots, of rows and columns, whose largest ones are equal; how many cells are beyond all slots.

    Args:
        rows: (samples, rows), 0 or more.
        columns: (samples, columns), 0 or more.
        most: What a cell changes by that gets a pulse in every slot.
    """
    largest = [each.amax(1, keepdim=True) for each in (rows, columns)]
    heard = (largest[0] > 0) & (largest[1] > 0)
    tiny = torch.finfo(rows.dtype).tiny
    balance = (largest[1].clamp(min=tiny) / largest[0].clamp(min=tiny) / most).sqrt()
    p = torch.where(heard, rows * balance, 0.0)
    q = torch.where(heard, columns / (balance * most), 0.0)
    wanted = (p > 0).sum(1) * (q > 0).sum(1)
    held = ((p > 0) & (p <= 1)).sum(1) * ((q > 0) & (q <= 1)).sum(1)
    return p.clamp(max=1), q.clamp(max=1), int((wanted - held).sum())


def _drawn(region: Region, up: bool, p: Tensor, q: Tensor, slots: int, generator: torch.Generator) -> Train | None:
    """Slots of all samples, one sample after the other; None where nothing meets."""
    lines = torch.cat([p, q], dim=1).float().repeat_interleave(slots, dim=0)
    bits = torch.rand(lines.shape, generator=generator) < lines
    rows, columns = bits[:, : p.shape[1]], bits[:, p.shape[1] :]
    meet = rows.any(1) & columns.any(1)
    if not bool(meet.any()):
        return None
    return Train(region, up, rows[meet].numpy(), columns[meet].numpy())


def placed(
    train: Train, array: int, rows: slice = slice(None), columns: slice = slice(None), coupling: int = 0
) -> Train:
    """A train, or the part of it on some of its lines, as that of all lines of a coupling of an array."""
    bits = train.rows[:, rows], train.columns[:, columns]
    region = Region(array, coupling, train.region.plane, 0, bits[0].shape[1], 0, bits[1].shape[1])
    return Train(region, train.up, *bits)
