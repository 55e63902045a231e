"""Coupled learning (Stern, Hexner, Rocks and Liu 2021, Physical Review X 11, 021045).

The free phase is compared with a clamped one, in which the outputs are *held* a fraction `eta` of the way against the
loss gradient: `dtheta ~ [dE/dtheta(clamped) - dE/dtheta(free)] / eta`.

Holding an output by `eta * d` takes a current `eta * H d`, with H the stiffness of the outputs seen through the
network. As `eta` vanishes the rule is therefore equilibrium propagation of the error `H dL/ds`: for a single block it
descends the loss as well, in the metric of H; through a chain it passes that error on. Its gradient is not the loss's.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor

from firmware_specs.given import is_real
from hil.counterparts.seam import Hold, Parameters, States
from hil.learning.estimator import Site, contrast_weights, contrasted


@dataclass(frozen=True)
class Coupled:
    """Coupled learning as a rule; reference only, since no datasheet has outputs that can be held.

    Attributes:
        kind: Names the rule in an experiment file.
        eta: How far the outputs are moved, relative to the per-sample loss gradient.
    """

    kind: Literal["coupled"] = "coupled"
    eta: float = 0.1

    __pydantic_config__: ClassVar[dict[str, object]] = {"extra": "forbid"}

    def __post_init__(self) -> None:
        if not (is_real(self.eta) and 0 < self.eta < float("inf")):
            raise ValueError(f"eta must be positive and finite, got {self.eta!r}")

    def gradients(
        self, site: Site, drive: Tensor, parameters: Parameters, free: States, loss_gradient: Tensor
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Settles once with held outputs and contrasts with the free states; see `hil.learning.estimator.Rule`."""
        step = self.eta * len(loss_gradient)
        settled = site.settle(drive, [Hold(free[-1] - step * loss_gradient)], free)
        phases, currents = contrasted(settled, one_sided=True)
        weights = contrast_weights((1.0,), torch.full_like(loss_gradient.flatten(1)[:, 0], step))
        return site.energy.contrast(parameters, drive, phases, weights, currents)
