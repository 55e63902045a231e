"""Predictive coding: every layer is pulled to what the layer before predicts of it.

`E = sum_l |s_l - f(W_l s_{l-1} + b_l)|^2 / 2`, `s_0` the drive. Without a nudge every error is zero, so that the free
equilibrium is the forward pass of an ordinary net; the contrast of nudged equilibria is its back-propagated gradient as
the nudge goes to 0. The nets of arXiv 2606.03584 are trained so, by centered equilibrium propagation; on which side of
`f` their weights are could not be looked up [U].
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Annotated, Literal

import torch
import torch.nn.functional as F  # noqa: N812 - torch's own convention
from pydantic import Field
from torch import Tensor

from hil.counterparts.seam import Parameters, States
from hil.learning.energies.energy import Energy, Shape

Activation = Literal["tanh", "sigmoid", "softplus"]
FUNCTIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
    "softplus": F.softplus,
}
"""Smooth ones: the minimizer takes second derivatives."""


@dataclass(frozen=True, kw_only=True)
class PredictiveCoding(Energy):
    """Layers that predict the next one; at rest the forward pass of `f(W s + b)`, the last layer linear.

    Attributes:
        kind: Of the registry.
        units: Units of every layer; what comes before the first is the drive.
        activation: `f`.
    """

    kind: Literal["predictive_coding"] = "predictive_coding"
    units: Annotated[tuple[Annotated[int, Field(gt=0)], ...], Field(min_length=1)]
    activation: Activation = "tanh"

    def __post_init__(self) -> None:
        if self.activation not in FUNCTIONS:
            raise ValueError(f"activation must be one of {', '.join(FUNCTIONS)}, got {self.activation!r}")
        if not self.units or min(self.units) < 1:
            raise ValueError(f"units must be one or more layers of at least one unit, got {self.units}")

    @property
    def layers(self) -> tuple[Shape, ...]:
        """One a number in `units`."""
        return tuple((units,) for units in self.units)

    def initial(self) -> dict[str, Tensor]:
        """Uniform in +-1/sqrt(fan_in), as torch's own layers."""
        drawn: dict[str, Tensor] = {}
        for n, (before, after) in enumerate(pairwise((self.drive_shape, *self.layers))):
            fan_in = torch.Size(before).numel()
            bound = fan_in**-0.5
            drawn[f"weight_{n}"] = torch.empty(*after, fan_in).uniform_(-bound, bound)
            drawn[f"bias_{n}"] = torch.empty(*after).uniform_(-bound, bound)
        return drawn

    def energy(self, parameters: Parameters, drive: Tensor, states: States) -> Tensor:
        """Half the squared prediction errors of every sample."""
        act, last = FUNCTIONS[self.activation], len(states) - 1
        total, before = drive.new_zeros(len(drive)), drive
        for n, state in enumerate(states):
            predicted = F.linear(before.flatten(1), parameters[f"weight_{n}"], parameters[f"bias_{n}"])
            total = total + (state - (predicted if n == last else act(predicted))).square().sum(1) / 2
            before = state
        return total
