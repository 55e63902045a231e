"""Arrays whose weights are in cells: the part of the value seam that pulses, reads and refreshes them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from firmware_specs.datasheet import Datasheet
from firmware_specs.messages import Term, Updated
from firmware_specs.messages import Train as LineTrain
from firmware_specs.topology import Topology
from hil.counterparts import coincidence_plan, pulse_plan
from hil.counterparts.coincidence_plan import Outer
from hil.counterparts.mapping import Mapping, parameters_of
from hil.counterparts.seam import Array, Parameters, Programmed


@dataclass(frozen=True)
class Pulsed:
    """What a pulsed update did.

    Attributes:
        pulses: Programming pulses sent.
        cells: Cells that got any.
        capped: Cells that were to get more than was allowed.
    """

    pulses: int
    cells: int
    capped: int


@dataclass(frozen=True)
class Wear:
    """What the cells of an array have taken.

    Attributes:
        weights: Weights and biases they hold.
        pulses: Pulses and writes of all cells.
        most: The largest count of a cell.
    """

    weights: int
    pulses: int
    most: int


@runtime_checkable
class CellArray(Array, Protocol):
    """An array whose weights are in cells: they can be moved by pulses, they drift, they can be refreshed."""

    def prepare(self, parameters: Parameters) -> Programmed:
        """Writes weights and biases so that pulses can move them both ways; from then on the cells alone have them."""
        ...

    def pulse(self, changes: Parameters, most: int, generator: torch.Generator) -> Pulsed:
        """Moves weights and biases by programming pulses, nothing else.

        Args:
            changes: Wanted changes, named and shaped as the parameters, model units. They become whole numbers of
                pulses by stochastic rounding with the nominal step of the datasheet's law.
            most: Pulses a cell gets at most.
            generator: Source of the rounding.

        Raises:
            ValueError: the datasheet describes no pulses.
        """
        ...

    def pulse_step(self) -> float:
        """What one pulse on one cell changes a weight by at mid-range, by the datasheet, model units."""
        ...

    def one_sided(self) -> bool:
        """Whether pulses move its cells one way only, so that a weight moves by either cell of its pair."""
        ...

    def move(self, coupling: int, change: Tensor, most: int, generator: torch.Generator) -> Pulsed:
        """`pulse` for one coupling, (rows, columns) of its crossbar, the bias line last."""
        ...

    def significances(self) -> tuple[float, ...]:
        """What every pair of cells counts in a weight, the first 1, by the datasheet; one of single cells."""
        ...

    def send(self, coupling: int, counts: Tensor, most: int, generator: torch.Generator, pair: int = 0) -> Pulsed:
        """A whole number of pulses a weight of one coupling.

        Args:
            coupling: Which.
            counts: (rows, columns) of its crossbar, int64; positive ones raise the weight. They are shared by the two
                cells of a pair, of a one-sided law one of the two gets all.
            most: Pulses a cell gets at most.
            generator: Which cell of a pair takes an odd pulse.
            pair: Which pair of cells, where a weight has several.
        """
        ...

    def weights(self, coupling: int, rows: slice, reads: int, pair: int | None = None) -> Tensor:
        """Weights of some rows of a coupling's crossbar as read cell by cell, (rows, columns), model units.

        Args:
            coupling: Which.
            rows: Of its crossbar, the bias line last.
            reads: Readings of every cell, averaged.
            pair: What this pair of cells alone would be as a weight of its own, without its significance; None: all.
        """
        ...

    def wear(self) -> Wear:
        """What its cells have taken by the counterpart's own count; zeros where it does not count."""
        ...

    def refresh(self) -> Programmed:
        """Brings cells back: those that were programmed to their targets, pulsed pairs of a one-sided law to the
        difference they have."""
        ...

    def drifted(self) -> float:
        """Predicted relative change of a mid-range conductance since all cells were last written together."""
        ...


@runtime_checkable
class Coincident(CellArray, Protocol):
    """An array whose device can pulse rows and columns together, so that the cells move where they meet."""

    def coincide(self, products: Sequence[Sequence[Outer]], slots: int, generator: torch.Generator) -> Pulsed:
        """Moves the weights by outer products on average, with random trains on rows and columns, nothing else.

        Args:
            products: Of every coupling, model units.
            slots: Of every sample and train.
            generator: Source of the slots.

        Raises:
            ValueError: the device cannot.
        """
        ...


@runtime_checkable
class SelfUpdating(CellArray, Protocol):
    """An array whose chip can move the cells by itself, by the contrast of phases that it holds."""

    def update_unit(self) -> float:
        """Change of a weight in a second at a contrast of 1, by the datasheet, model units.

        Raises:
            ValueError: the chip cannot update itself.
        """
        ...

    def longest_window_s(self) -> float:
        """Of one sample and term."""
        ...

    def stretch(self) -> float:
        """States of the block in units of the chip's, whose contrast it takes."""
        ...

    def update(self, drive: Tensor, nudges: Sequence[Tensor], terms: Sequence[Term], windows_s: Tensor) -> Updated:
        """Settles as `settle` does, and lets the chip move its cells by what the phases differ in.

        Args:
            drive: (batch, *drive_shape), model units.
            nudges: (batch, *nudge_shape) each, at most two, model units.
            terms: Which phases are contrasted, 0 the free one, and which way cells move by it.
            windows_s: How long the circuits are on for each sample and term, (batch,), seconds.
        """
        ...

    def cell_parameters(self, reads: int) -> dict[str, Tensor]:
        """Weights and biases as read cell by cell, named and shaped as the parameters, model units."""
        ...


class PulsedCells:
    """What every array of cells does alike with pulses: from wanted changes to trains.

    Args:
        sheet: Of the device.
        topology: What was placed.
    """

    def __init__(self, sheet: Datasheet, topology: Topology) -> None:
        self.topology = topology
        self._sheet = sheet
        self._mapping = Mapping(sheet, *topology.rails)

    def pulse(self, changes: Parameters, most: int, generator: torch.Generator) -> Pulsed:
        """Moves all weights by nominal pulses, one transaction a plane and polarity."""
        wanted = self._mapping.changes_s(self.topology, changes)
        return added([self._moved(n, change_s, most, generator) for n, change_s in enumerate(wanted)])

    def pulse_step(self) -> float:
        """Of one pulse at mid-range, model units."""
        return pulse_plan.unit_s(self._sheet) * self._sheet.neurons.transimpedance_ohm

    def one_sided(self) -> bool:
        """By the datasheet."""
        return self._sheet.pulses.one_sided

    def move(self, coupling: int, change: Tensor, most: int, generator: torch.Generator) -> Pulsed:
        """Moves the weights of one coupling by nominal pulses."""
        return self._moved(coupling, change / self._sheet.neurons.transimpedance_ohm, most, generator)

    def significances(self) -> tuple[float, ...]:
        """By the datasheet."""
        return self._sheet.cells.significances

    def send(self, coupling: int, counts: Tensor, most: int, generator: torch.Generator, pair: int = 0) -> Pulsed:
        """Whole pulses."""
        return self._sent(coupling, pulse_plan.whole(self._sheet, counts, most, generator, pair))

    def coincide(self, products: Sequence[Sequence[Outer]], slots: int, generator: torch.Generator) -> Pulsed:
        """All couplings in one call."""
        planned = coincidence_plan.plan(self._sheet, products, slots, generator)
        if planned.trains:
            self._coincide(planned.trains)
        counts = [train.counts for train in planned.trains]
        return Pulsed(sum(int(c.sum()) for c in counts), sum(int((c > 0).sum()) for c in counts), planned.saturated)

    def update_unit(self) -> float:
        """By the datasheet; both cells of a pair move."""
        law, cells = self._sheet.update, self._sheet.cells
        if law is None:
            raise ValueError(
                f"{self._sheet.identity.model} cannot update itself: its datasheet has no section [update], and the "
                "device does not say capability UPDATE"
            )
        pair = 1 if cells.mapping == "single" else 2
        return pair * law.rate_per_s * cells.span_s * self._sheet.neurons.transimpedance_ohm

    def stretch(self) -> float:
        """By the rails of both."""
        return self._mapping.stretch

    def longest_window_s(self) -> float:
        """By the datasheet."""
        return 0.0 if self._sheet.update is None else self._sheet.update.window_s

    def cell_parameters(self, reads: int) -> dict[str, Tensor]:
        """Read coupling by coupling."""
        cells = self._sheet.cells
        found: dict[str, Tensor] = {}
        middle = (cells.g_min_s + cells.g_max_s) / 2 * self._sheet.neurons.transimpedance_ohm
        for number, coupling in enumerate(self.topology.couplings):
            matrix = self.weights(number, slice(None), reads)
            if cells.mapping == "single" and coupling.bias:
                matrix[-1] -= middle
            found |= parameters_of(self.topology, coupling, matrix, number, self._mapping.stretch)
        return found

    def weights(self, coupling: int, rows: slice, reads: int, pair: int | None = None) -> Tensor:
        """Reads cells; see `CellArray.weights`."""
        raise NotImplementedError

    def _balanced(self, targets_s: Sequence[Tensor]) -> list[Tensor]:
        """Pairs of cells about mid-range, from where both can move; single cells as they are."""
        if self._sheet.cells.mapping == "single":
            return list(targets_s)
        return [pulse_plan.balanced(self._sheet, t) for t in targets_s]

    def _moved(self, coupling: int, change_s: Tensor, most: int, generator: torch.Generator) -> Pulsed:
        return self._sent(coupling, pulse_plan.plan(self._sheet, change_s, most, generator))

    def _sent(self, coupling: int, trains: Sequence[pulse_plan.Train]) -> Pulsed:
        done = []
        for train in trains:
            self._train(coupling, train)
            done.append(Pulsed(int(train.counts.sum()), int((train.counts > 0).sum()), train.capped))
        return added(done)

    def _train(self, coupling: int, train: pulse_plan.Train) -> None:
        """Sends one train."""
        raise NotImplementedError

    def _coincide(self, trains: Sequence[LineTrain]) -> None:
        """Sends trains on rows and columns."""
        raise NotImplementedError


def one_pair(array: CellArray, pair: int = 0) -> int | None:
    """The `pair` of `CellArray.weights` that reads what `send` moves: None of an array whose weights have one only."""
    return pair if len(array.significances()) > 1 else None


def pair_span(array: CellArray) -> float:
    """From the lowest to the highest weight that one pair of cells holds, without its significance, model units."""
    low, high = array.ranges.weight
    return (high - low) / sum(array.significances())


def added(parts: Sequence[Pulsed]) -> Pulsed:
    """Several requests as one."""
    return Pulsed(sum(p.pulses for p in parts), sum(p.cells for p in parts), sum(p.capped for p in parts))


def together(parts: Sequence[Updated]) -> Updated:
    """Several updates of an array as one."""
    return Updated(
        sum(p.clipped for p in parts), parts[-1].ends, sum(p.unsettled for p in parts), max(p.most for p in parts)
    )
