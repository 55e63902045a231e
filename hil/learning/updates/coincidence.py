"""`coincidence`: random pulse trains on rows and columns, and every cell moves by the outer product of the two.

The host sends what lines have, never what cells are to do: a step is one request an array (Gokmen and Vlasov, Front.
Neurosci. 10:333, 2016; aihwkit's pulsed update with `StochasticCompressed` trains). What it sends is the contrast that
equilibrium propagation measures, for a cell of row i and column j `s_i s_j - s'_i s'_j` of the two phases, which is two
outer products a sample. They can be sent as they are, one that rises and one that falls (`phases`), of which most
cancels in the cells; or as the same sum of differences and means (`differences`),

    s_i s_j - s'_i s'_j = (s_i - s'_i) (s_j + s'_j) / 2 + (s_i + s'_i) / 2 (s_j - s'_j),

of which nothing does. A line carries no sign, so that every product takes a train for each pair of signs it has: of
neurons that clip at 0 one of each phase; of differences, which have either sign, two, and four where the other factor
has either sign, too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from pydantic import PositiveInt
from torch import Tensor

from firmware_specs.datasheet.section import Positive
from firmware_specs.topology import Topology
from hil.counterparts.cell_array import CellArray, Coincident, Pulsed
from hil.counterparts.coincidence_plan import Outer
from hil.counterparts.seam import Parameters, States
from hil.learning.estimator import Estimator, Rule, Site
from hil.learning.updates.two_phases import contrast, contrasts_two_phases, nudges
from hil.learning.updates.update import Update


class Coincidence(Update):
    """Random trains on rows and columns.

    Attributes:
        lr: Root mean square change of the weights in a step that is aimed at; it follows the schedule.
        slots: Of every sample and train: in each of them every line is pulsed or not. With more of them larger changes
            fit, and the fewer lines saturate; those in which no lines meet are not sent.
        terms: What the contrast of the two phases is sent as: `differences` or `phases`, see the module.
    """

    by_states = True

    kind: Literal["coincidence"] = "coincidence"
    lr: Positive = 1e-3
    slots: PositiveInt = 10
    terms: Literal["differences", "phases"] = "differences"

    def begin(self, arrays: Sequence[CellArray]) -> CoincidenceRule:
        """On the array that settles.

        Raises:
            ValueError: its device cannot pulse rows and columns together.
        """
        array = arrays[0]
        if not isinstance(array, Coincident):
            raise ValueError("update.kind = 'coincidence': this counterpart cannot pulse rows and columns together")
        array.coincide([], self.slots, torch.Generator())
        return CoincidenceRule(self, array)


@dataclass(frozen=True)
class Phase:
    """One measured phase of a batch.

    Attributes:
        states: Of every layer, (batch, *layer).
        weight: Of its energy gradient in the loss gradient, (batch,).
    """

    states: States
    weight: Tensor


class KeepingPhases:
    """Equilibrium propagation that keeps the phases it contrasts, for the update.

    Args:
        estimator: Which nudges.

    Attributes:
        kept: The two phases of every backward pass since the last update.
    """

    def __init__(self, estimator: Estimator) -> None:
        self.estimator, self.kind = estimator, estimator.kind
        self.kept: list[tuple[Phase, Phase]] = []

    def gradients(
        self, site: Site, drive: Tensor, parameters: Parameters, free: States, loss_gradient: Tensor
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """As the estimator's."""
        found = contrast(site, drive, parameters, free, nudges(self.estimator, site, loss_gradient))
        first, second = (Phase(s, w.detach()) for s, w in zip(found.phases, found.weights, strict=True))
        self.kept.append((first, second))
        return found.by_drive, found.by_parameter


class CoincidenceRule:
    """Trains on the rows and columns of one array.

    Args:
        settings: How.
        array: Of the block.
    """

    def __init__(self, settings: Coincidence, array: Coincident) -> None:
        self._settings, self._array = settings, array
        self._phases: KeepingPhases | None = None

    def handing_over(self, rule: Rule) -> Rule:
        """The block's estimator, whose phases go to the cells from now on.

        Raises:
            ValueError: one that does not contrast two phases.
        """
        if not contrasts_two_phases(rule):
            raise ValueError(
                "update.kind = 'coincidence' sends the contrast of two phases: an estimator of one or two constant "
                "nudges without dither, jumps, measured reciprocity or re-evaluated nudges"
            )
        self._phases = KeepingPhases(rule)
        return self._phases

    def step(self, wanted: Sequence[Tensor], factor: float, draws: torch.Generator) -> Pulsed:
        """One request for all couplings of the array; `wanted` is the direction that the trains have on average."""
        assert self._phases is not None  # noqa: S101 - the blocks were told before the first step
        kept, self._phases.kept = self._phases.kept, []
        size, topology = self._settings.lr * factor, self._array.topology
        products = [
            scaled(outers(topology, n, kept, self._settings.terms), bias, size) for n, bias in _biases(topology)
        ]
        return self._array.coincide(products, self._settings.slots, draws)

    def state_dict(self) -> dict[str, Tensor]:
        """Nothing: the cells have it all."""
        return {}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Nothing to take."""


def _biases(topology: Topology) -> list[tuple[int, bool]]:
    return [(n, coupling.bias) for n, coupling in enumerate(topology.couplings)]


def outers(topology: Topology, number: int, kept: Sequence[tuple[Phase, Phase]], terms: str) -> list[Outer]:
    """Outer products whose sum is minus the loss gradient by the weights of a dense coupling, the bias line last.

    By a weight the energy has the gradient `-s_i s_j`; both phases of a pair have the same weight but for its sign.
    """
    coupling, found = topology.couplings[number], []
    for first, second in kept:
        pre = [phase.states[coupling.pre].flatten(1).double().cpu() for phase in (first, second)]
        post = [phase.states[coupling.post].flatten(1).double().cpu() for phase in (first, second)]
        if coupling.bias:
            pre = [torch.cat([each, each.new_ones(len(each), 1)], dim=1) for each in pre]
        weight = first.weight.double().cpu()[:, None]
        if terms == "phases":
            found += [Outer(pre[0], weight * post[0]), Outer(pre[1], -weight * post[1])]
        else:
            found += [
                Outer(weight * (pre[0] - pre[1]), (post[0] + post[1]) / 2),
                Outer((pre[0] + pre[1]) / 2, weight * (post[0] - post[1])),
            ]
    return found


def scaled(products: Sequence[Outer], bias: bool, size: float) -> list[Outer]:
    """Products whose sum has a root mean square of `size`, over the weights and over the biases."""
    total = sum((outer.sum for outer in products[1:]), start=products[0].sum) if products else torch.zeros(0, 0)
    factors = total.new_zeros(len(total))
    for part in (slice(0, len(total) - bias), slice(len(total) - bias, len(total))):
        mean = float(total[part].square().mean().sqrt()) if total[part].numel() else 0.0
        factors[part] = size / mean if mean > torch.finfo(total.dtype).tiny else 0.0
    return [Outer(outer.rows * factors, outer.columns) for outer in products]
