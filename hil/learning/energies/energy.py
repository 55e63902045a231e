"""What an energy is to a block: shapes, parameters, and one function of parameters, drive and states.

Everything else follows from the function: `reference:` settles to its minimum (`minimize`), a nudge is a force on the
last layer, the contrast of two equilibria is autograd's gradient by parameters and drive at the measured states, and
implicit differentiation solves with its Hessian (`implicit`). An energy that knows better overrides a method.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from firmware_specs.topology import Topology
from hil.counterparts.values import Parameters, States

Shape = tuple[int, ...]
UNBOUNDED = (float("-inf"), float("inf"))


@dataclass(frozen=True, kw_only=True)
class Energy(ABC):
    """An energy of one's own: a frozen dataclass whose fields are its settings, as an experiment file gives them.

    `E(parameters, drive, states)` per sample. A block settles to a minimum by the states; a nudge `n` adds
    `-<n, last state>`. Make it smooth (twice differentiable): kinks cost Newton's method its speed, and implicit
    differentiation its meaning.

    Attributes:
        drive_shape: Of one sample, without the batch; what a chain's feedforward part delivers fills it in.
    """

    drive_shape: Shape = ()

    __pydantic_config__: ClassVar[dict[str, object]] = {"extra": "forbid"}  # as a section of an experiment file

    @property
    def topology(self) -> Topology | None:
        """The crossbar network it is, for counterparts that are one; None: only `reference:` holds it."""
        return None

    @property
    def name(self) -> str:
        """What it is called in messages."""
        return type(self).__name__

    @property
    @abstractmethod
    def layers(self) -> tuple[Shape, ...]:
        """Shape of every layer of states, first to last."""

    @property
    def nudge_shape(self) -> Shape:
        """Shape of the last layer: what is read, and nudged."""
        return self.layers[-1]

    @abstractmethod
    def initial(self) -> dict[str, Tensor]:
        """Initial parameters by name, drawn from torch's default generator."""

    @abstractmethod
    def energy(self, parameters: Parameters, drive: Tensor, states: States) -> Tensor:
        """`E` of every sample, (batch,).

        Args:
            parameters: By the names of `initial`.
            drive: (batch, *drive_shape).
            states: One (batch, *layer) tensor a layer.
        """

    def rails(self) -> tuple[tuple[float, float], ...]:
        """Lowest and highest state of every layer."""
        return (UNBOUNDED,) * len(self.layers)

    def bounds(self, parameter: str) -> tuple[float, float]:
        """Range of a parameter; the optimizer's result is clipped to it."""
        return UNBOUNDED

    def contrast(
        self,
        parameters: Parameters,
        drive: Tensor,
        phases: Sequence[States],
        weights: Sequence[Tensor],
        source_currents: Sequence[Tensor] | None = None,
        windows: States | None = None,
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """`sum_p weights_p * dE/d(drive, theta)` at the phases' states, held fixed.

        Args:
            parameters: Those of the settled network.
            drive: (batch, *drive_shape).
            phases: Measured states of each phase.
            weights: One (batch,) tensor a phase; +1/(2 beta) and -1/(2 beta) for centered equilibrium propagation.
            source_currents: Of a resistive network, one a phase; others have none.
            windows: States whose pooling maxima count; of no concern where nothing is pooled.

        Returns:
            Gradient by the drive, (batch, *drive_shape), and by every parameter.
        """
        source = drive.detach().requires_grad_()
        leaves = {name: value.detach().requires_grad_() for name, value in parameters.items()}
        joined = tuple(torch.cat(layers).detach() for layers in zip(*phases, strict=True))
        with torch.enable_grad():
            energies = self.energy(leaves, source.repeat(len(phases), *[1] * (drive.dim() - 1)), joined)
            total = (energies * torch.cat(list(weights))).sum()
            if not total.requires_grad:
                raise ValueError(f"{self.name}.energy depends on no parameter and no drive: nothing to learn")
            by_drive, *rest = torch.autograd.grad(total, [source, *leaves.values()], materialize_grads=True)
        return by_drive, dict(zip(leaves, rest, strict=True))
