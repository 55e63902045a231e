"""Equilibrium propagation as a finite difference in the nudge strength, with its sign defined once, here.

The nudge current of a phase at strength `beta` is `-beta * dL/ds_last`: positive strengths push the loss down. The
gradient is a weighted sum of energy gradients over phases, `dL/dtheta ~ sum_p w_p dE/dtheta(s(beta_p))`, with
`sum_p w_p = 0` and `sum_p w_p beta_p = 1`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from hil.backends.seam import States

Kind = Literal["centered", "positive", "negative", "random_sign"]


@dataclass(frozen=True)
class Estimator:
    """Which phases are settled and how they combine.

    Attributes:
        kind: `centered` settles at +beta and -beta and has an error of second order in beta; the one-sided kinds
            settle once and compare with the free phase, first order; `random_sign` draws the side for every batch.
        beta: Nudge strength, relative to the per-sample loss gradient.
        auto_range: Scale every sample's nudge so that its largest current is `range_fraction` of what the nudge
            converter can express, and divide the contrast by the same factor. None decides by the counterpart: on
            where it is quantized.
        range_fraction: Share of the nudge range that auto-ranging aims at.
    """

    kind: Kind = "centered"
    beta: float = 0.1
    auto_range: bool | None = None
    range_fraction: float = 1.0

    def __post_init__(self) -> None:
        if not self.beta > 0:
            raise ValueError(f"beta must be positive, got {self.beta}: the sign belongs to the kind of estimator")
        if not 0 < self.range_fraction <= 1:
            raise ValueError(f"range_fraction must be in (0, 1], got {self.range_fraction}")

    def strengths(self, generator: torch.Generator | None = None) -> tuple[float, ...]:
        """Nudge strengths of the phases to settle, in units of beta."""
        match self.kind:
            case "centered":
                return (1.0, -1.0)
            case "positive":
                return (1.0,)
            case "negative":
                return (-1.0,)
            case "random_sign":
                return (1.0,) if torch.rand((), generator=generator) < 0.5 else (-1.0,)

    def plan(self, gradient: Tensor, strengths: tuple[float, ...], limit: float) -> tuple[list[Tensor], Tensor]:
        """Nudge currents for a loss gradient.

        Args:
            gradient: dL/ds_last as autograd hands it over, (batch, *last). The mean over the batch is undone, so that
                beta means the same at every batch size.
            strengths: From `strengths`.
            limit: Largest nudge the counterpart can express; infinite: no auto-ranging.

        Returns:
            One nudge a strength, (batch, *last), and the effective beta of each sample, (batch,): the factor that
            joins the nudge to `-gradient`. It is 0 for a sample without any error.
        """
        largest = gradient.flatten(1).abs().amax(1)
        if self.auto_range is not False and limit < float("inf"):
            effective = torch.where(largest > 0, self.range_fraction * limit / largest, 0.0)
        else:
            effective = torch.where(largest > 0, self.beta * len(gradient), 0.0).to(gradient.dtype)
        column = effective.view(-1, *[1] * (gradient.dim() - 1))
        return [-sign * column * gradient for sign in strengths], effective

    def combine(
        self, strengths: tuple[float, ...], effective: Tensor, free: States, nudged: tuple[States, ...]
    ) -> tuple[list[States], list[Tensor]]:
        """Phases and their per-sample weights, ready for `hil.energy.contrast`."""
        inverse = torch.where(effective > 0, 1 / effective, 0.0)
        if len(strengths) == 2:
            return list(nudged), [inverse / 2, -inverse / 2]
        return [nudged[0], free], [inverse * strengths[0], -inverse * strengths[0]]
