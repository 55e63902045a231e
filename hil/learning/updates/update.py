"""What a rule for the cells is: a section of an experiment that begins its work on one block's arrays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar, Literal, Protocol, runtime_checkable

import torch
from pydantic import PositiveInt
from torch import Tensor

from firmware_specs.datasheet.section import Fraction, Positive, Section
from hil.counterparts.cell_array import CellArray, Pulsed
from hil.experiments.parts import Count
from hil.learning.estimator import Rule


class BlockRule(Protocol):
    """A rule at work on the arrays of one block."""

    def step(self, wanted: Sequence[Tensor], factor: float, draws: torch.Generator) -> Pulsed:
        """Sends the pulses of one training step.

        Args:
            wanted: Descent direction of every coupling, (rows, columns) float64: minus the gradient, each parameter's
                part scaled to a root mean square of 1.
            factor: Of the learning rate, from the schedule.
            draws: Source of the step's random draws, on the CPU.
        """
        ...

    def state_dict(self) -> dict[str, Tensor]:
        """What a bit-exact resume needs beyond the cells."""
        ...

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Restores `state_dict`."""
        ...


@runtime_checkable
class ByStates(BlockRule, Protocol):
    """A rule that moves cells by the states of the phases that a block's estimator settles."""

    def handing_over(self, rule: Rule) -> Rule:
        """The block's estimator from now on, which hands over what the rule needs.

        Raises:
            ValueError: one whose phases the rule cannot use.
        """
        ...


class Update(Section):
    """What every rule has.

    Attributes:
        refresh_every: Steps between refreshes of all cells; 0: never for this reason.
        refresh_drift: Refresh when the predicted drift of a mid-range conductance exceeds this fraction; None: never
            for this reason.
    """

    pulsed: ClassVar[bool] = True
    """Whether pulses alone move the weights."""
    frozen: ClassVar[bool] = False
    """Whether nothing moves them."""
    by_device: ClassVar[bool] = False
    """Whether the chip forms the update itself, so that the host has no gradient of the cells."""
    by_states: ClassVar[bool] = False
    """Whether what moves the cells is formed of the phases' states, which a host has of its own part of a batch."""
    beside: ClassVar[int] = 0
    """Arrays a block needs beside the one it settles on."""

    kind: str
    refresh_every: Count = 0
    refresh_drift: Fraction | None = None

    def begin(self, arrays: Sequence[CellArray]) -> BlockRule | None:
        """The rule on the arrays of one block, the one that settles first; None where the optimizer moves weights."""
        return None


class Rewrite(Update):
    """The optimizer moves parameters, which are written to the cells."""

    pulsed: ClassVar[bool] = False
    kind: Literal["rewrite"] = "rewrite"


class Frozen(Update):
    """Cells stay as they were first written: the host's layers learn alone, which is what an array is compared with."""

    pulsed: ClassVar[bool] = False
    frozen: ClassVar[bool] = True
    kind: Literal["frozen"] = "frozen"


class PulsedUpdate(Update):
    """What rules by pulses share.

    Attributes:
        lr: Root mean square change of the weights in a step that is aimed at; it follows the schedule.
        most: Pulses a cell gets in a step at most.
    """

    lr: Positive = 1e-3
    most: PositiveInt = 31
