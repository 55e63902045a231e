"""`device`: the chip moves its cells by itself, by the contrast of the phases that it settles and holds.

The host says which samples, which nudges, and how long the circuits are on for each: their windows carry the learning
rate and the size of the error. It forms no gradient of the cells and keeps no weight.

A real circuit adds an offset of its own to every contrast, which goes on moving cells where there is nothing to learn
(learning bias: Dillavou et al., PNAS 2024, arXiv 2311.00537; arXiv 2505.22887). Two remedies need nothing from inside
the chip. `alternate`: each nudge is contrasted with the free phase by itself, the one that raises the loss with the
polarity turned; `(c + u) - (-c + u)`: an offset ahead of the polarity switch cancels. `zero_contrast`: phases are
contrasted with themselves, so that the offset alone moves cells; what it moves them by a second is read off them and
taken back from time to time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from pydantic import PositiveInt
from torch import Tensor

from firmware_specs.datasheet.section import Positive
from firmware_specs.messages import Term
from hil.counterparts.cell_array import CellArray, Pulsed, SelfUpdating
from hil.counterparts.mapping import crossbar_matrix, parameters_of
from hil.counterparts.seam import Parameters, States
from hil.experiments.parts import Count
from hil.learning.estimator import Estimator, Rule, Site
from hil.learning.updates.two_phases import Nudges, contrast, contrasts_two_phases, nudges
from hil.learning.updates.update import Update


class ByDevice(Update):
    """The chip forms the update itself.

    Attributes:
        lr: Learning rate: change of a weight by a gradient of 1; it follows the schedule. A sample's window is as long
            as it takes the nominal circuit, at most as long as the chip's longest.
        alternate: Contrast each nudged phase with the free one, polarities turned with the nudge.
        zero_contrast: Updates without contrast, before the first step, from which the offset is measured; 0: none.
        correct_every: Steps after which the measured offset is taken back, where it was measured.
        reads: Readings of every cell then, averaged.
    """

    by_device = True
    by_states = True

    kind: Literal["device"] = "device"
    lr: Positive = 0.05
    alternate: bool = False
    zero_contrast: Count = 0
    correct_every: PositiveInt = 10
    reads: PositiveInt = 4

    def begin(self, arrays: Sequence[CellArray]) -> DeviceRule:
        """On the array that settles.

        Raises:
            ValueError: its chip cannot update itself.
        """
        array = arrays[0]
        if not isinstance(array, SelfUpdating):
            raise ValueError("update.kind = 'device': this counterpart cannot update itself")
        array.update_unit()
        return DeviceRule(self, array)


@dataclass(frozen=True)
class Asked:
    """What one backward pass asks the chip to learn from.

    Attributes:
        drive: (batch, *drive_shape).
        nudges: What it nudges with.
    """

    drive: Tensor
    nudges: Nudges


class HandingOver:
    """Equilibrium propagation whose contrast of the cells the chip forms: what it needs is kept for the update.

    Args:
        estimator: Which nudges.

    Attributes:
        asked: Of the backward passes since the last update.
    """

    def __init__(self, estimator: Estimator) -> None:
        self.estimator, self.kind = estimator, estimator.kind
        self.asked: list[Asked] = []

    def gradients(
        self, site: Site, drive: Tensor, parameters: Parameters, free: States, loss_gradient: Tensor
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Gradient by the drive, measured where a layer in front learns; zeros by the parameters."""
        given = nudges(self.estimator, site, loss_gradient)
        self.asked.append(Asked(drive.detach(), given))
        by_drive = torch.zeros_like(drive)
        if drive.requires_grad:
            by_drive = contrast(site, drive, parameters, free, given).by_drive
        return by_drive, {name: torch.zeros_like(value) for name, value in parameters.items()}


class DeviceRule:
    """A chip's own update at work on one block.

    Args:
        settings: How.
        array: Of the block.
    """

    def __init__(self, settings: ByDevice, array: SelfUpdating) -> None:
        self._settings, self._array = settings, array
        self._handed: HandingOver | None = None
        cells = [array.topology.cells(c) for c in array.topology.couplings]
        self._state: dict[str, Tensor] = {
            f"drift_{n}": torch.zeros(s, dtype=torch.float64) for n, s in enumerate(cells)
        }
        self._state |= {"open_s": torch.zeros((), dtype=torch.float64), "steps": torch.tensor(0)}

    def handing_over(self, rule: Rule) -> Rule:
        """The block's estimator, whose nudges go to the chip from now on.

        Raises:
            ValueError: one whose nudges no chip can contrast by itself.
        """
        if not contrasts_two_phases(rule):
            raise ValueError(
                "update.kind = 'device' goes with equilibrium propagation of one or two constant nudges: an estimator "
                "of 2 points without dither, jumps, measured reciprocity or re-evaluated nudges"
            )
        if self._settings.zero_contrast and rule.kind == "random_sign":
            raise ValueError(
                "update.zero_contrast measures the offset of one polarity: not with a random sign of the nudge"
            )
        self._handed = HandingOver(rule)
        return self._handed

    def step(self, wanted: Sequence[Tensor], factor: float, draws: torch.Generator) -> Pulsed:
        """Lets the chip learn from what was asked since the last step; `wanted` is not known to the host, and zero."""
        assert self._handed is not None  # noqa: S101 - the blocks were told before the first step
        asked, self._handed.asked = self._handed.asked, []
        state, settings = self._state, self._settings
        if settings.zero_contrast and not int(state["steps"]) and asked:
            self._measure_offset(asked[0])
        sent = [self._learn(one, factor) for one in asked]
        self._state = self._state | {"steps": state["steps"] + 1}
        if settings.zero_contrast and (int(state["steps"]) + 1) % settings.correct_every == 0:
            self._take_back()
        return Pulsed(sum(s.pulses for s in sent), sum(s.cells for s in sent), sum(s.capped for s in sent))

    def state_dict(self) -> dict[str, Tensor]:
        """The measured offset and for how long it was at work since it was last taken back."""
        return dict(self._state)

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Takes it back."""
        self._state = {name: state[name].clone() for name in self._state}

    def _learn(self, asked: Asked, factor: float) -> Pulsed:
        terms, sent, weight = self._terms(asked)
        effective = asked.nudges.effective
        inverse = torch.where(effective > 0, 1 / effective, torch.zeros_like(effective))
        wanted_s = self._settings.lr * factor * weight * inverse.double().cpu() / self._array.update_unit()
        windows_s = wanted_s.clamp(max=self._array.longest_window_s()).float()
        done = self._array.update(asked.drive, sent, terms, windows_s)
        self._state = self._state | {"open_s": self._state["open_s"] + windows_s.double().sum()}
        cells = sum(rows * columns for rows, columns in map(self._array.topology.cells, self._array.topology.couplings))
        return Pulsed(cells, cells, done.clipped + int((wanted_s > windows_s.double() * (1 + 1e-6)).sum()))

    def _terms(self, asked: Asked) -> tuple[tuple[Term, ...], tuple[Tensor, ...], float]:
        """Terms, nudges in their order, and the share of the inverse strength that each term counts."""
        if len(asked.nudges.levels) == 2:  # up and down
            if self._settings.alternate:
                return (Term(1, 0, True), Term(2, 0, False)), asked.nudges.sent, 0.5
            return (Term(1, 2, True),), asked.nudges.sent, 0.5
        if asked.nudges.levels[0] > 0:
            return (Term(1, 0, True),), asked.nudges.sent, 1.0
        return ((Term(1, 0, False),) if self._settings.alternate else (Term(0, 1, True),)), asked.nudges.sent, 1.0

    def _measure_offset(self, asked: Asked) -> None:
        """What the circuits move the weights by in a second without contrast; puts the weights back."""
        array, settings, topology = self._array, self._settings, self._array.topology
        terms, _, _ = self._terms(asked)
        flat = tuple(Term(0, 0, term.up) for term in terms)
        samples = asked.drive
        before = array.cell_parameters(settings.reads)
        windows_s = torch.full((len(samples),), array.longest_window_s())
        for _ in range(settings.zero_contrast):
            array.update(samples, (), flat, windows_s)
        after = array.cell_parameters(settings.reads)
        seconds = settings.zero_contrast * len(samples) * array.longest_window_s()
        drifts = {}
        for n, coupling in enumerate(topology.couplings):
            matrices = [crossbar_matrix(topology, coupling, each, n) for each in (before, after)]
            drifts[f"drift_{n}"] = (matrices[1] - matrices[0]) / seconds
        array.prepare(before)
        self._state = self._state | drifts

    def _take_back(self) -> None:
        """Writes the weights without what the offset has moved them by."""
        array, topology = self._array, self._array.topology
        found = array.cell_parameters(self._settings.reads)
        for n, coupling in enumerate(topology.couplings):
            moved = self._state[f"drift_{n}"] * self._state["open_s"]
            found |= parameters_of(topology, coupling, crossbar_matrix(topology, coupling, found, n) - moved, n)
        array.prepare(found)
        self._state = self._state | {"open_s": torch.zeros((), dtype=torch.float64)}
