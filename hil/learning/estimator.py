"""Equilibrium propagation as a finite difference in the nudge strength, with its sign defined once, here.

The nudge current of a phase at strength `beta` is `-beta * dL/ds_last`: positive strengths push the loss down. The
gradient is a weighted sum of energy gradients over phases, `dL/dtheta ~ sum_p w_p dE/dtheta(s(beta_p))`, with
`sum_p w_p = 0` and `sum_p w_p beta_p = 1`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import ClassVar, Literal, Protocol, get_args, runtime_checkable

import torch
from torch import Tensor

from firmware_specs.given import is_real, is_whole
from firmware_specs.registry import UnfitThing
from hil.counterparts.seam import ByLayer, Nudge, Parameters, Settled, States, Transposed
from hil.learning.energies.energy import Energy
from hil.learning.jumps import without_jumps

Kind = Literal["centered", "positive", "negative", "random_sign"]
Jumps = Literal["keep", "one_sided"]
Followed = Literal["constant", "reevaluated"]
Reciprocity = Literal["assumed", "measured"]


class Site(Protocol):
    """What a rule sees of the block it works for."""

    @property
    def energy(self) -> Energy:
        """What its states minimize."""
        ...

    @property
    def nudge_limit(self) -> float:
        """Largest nudge the counterpart can express, model units."""
        ...

    @property
    def nudge_step(self) -> float:
        """Distance of two codes of the nudge converter, model units; 0 where it has none."""
        ...

    @property
    def quantized(self) -> bool:
        """True where the counterpart's converters have finite resolution."""
        ...

    @property
    def generator(self) -> torch.Generator | None:
        """Source of random draws; torch's default one when None."""
        ...

    def settle(self, drive: Tensor, nudges: Sequence[Nudge] = (), start: States | None = None) -> Settled:
        """One transaction on the array."""
        ...


class Rule(Protocol):
    """How a block turns the loss gradient by its output into gradients by its drive and its parameters.

    Implementations: `Estimator` here, `Implicit` and `Unrolled` in `hil.learning.gradients.baseline`.
    """

    def gradients(
        self, site: Site, drive: Tensor, parameters: Parameters, free: States, loss_gradient: Tensor
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Gradients of the loss.

        Args:
            site: The block.
            drive: Of the forward pass, (batch, *drive_shape).
            parameters: The weights and biases that are programmed.
            free: States the forward pass measured.
            loss_gradient: dL/ds_last, (batch, *nudge_shape).

        Returns:
            Gradient by the drive, (batch, *drive_shape), and by every parameter.
        """
        ...


@runtime_checkable
class RuleByLayer(Rule, Protocol):
    """A rule for losses that look at any layer's states, not at the last one's alone."""

    def gradients_by_layer(
        self, site: Site, drive: Tensor, parameters: Parameters, free: States, loss_gradients: States
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """As `Rule.gradients`, of dL/ds of every layer, (batch, *layer) each, zeros where the loss does not look."""
        ...


def check_gradients(
    rule: Rule, found: object, drive: Tensor, parameters: Parameters
) -> tuple[Tensor, dict[str, Tensor]]:
    """What a rule found, where it has the form that `Rule.gradients` asks for.

    Raises:
        UnfitThing: it has not; the message says what is expected.
    """
    match found:
        case (Tensor() as by_drive, dict() as by_parameter):
            wrong = [name for name, value in parameters.items() if not _is_like(by_parameter.get(name), value)]
            wrong += [] if _is_like(by_drive, drive) else ["the drive"]
        case _:
            wrong = ["anything"]
    if wrong:
        asked = ", ".join(f"{name} {tuple(value.shape)}" for name, value in parameters.items())
        raise UnfitThing(
            f"estimator {getattr(rule, 'kind', type(rule).__name__)!r}: gradients gives nothing of use for {wrong[0]}: "
            f"expected a gradient by the drive, {tuple(drive.shape)}, and a dict of those by {asked}"
        )
    return by_drive, by_parameter


def _is_like(gradient: object, value: Tensor) -> bool:
    return isinstance(gradient, Tensor) and gradient.shape == value.shape


@dataclass(frozen=True)
class Estimator:
    """Equilibrium propagation: which phases are settled and how they combine.

    Attributes:
        kind: `centered` settles at +beta and -beta and has an error of second order in beta; the one-sided kinds
            settle once and compare with the free phase, first order; `random_sign` draws the side for every batch.
        beta: Nudge strength, relative to the per-sample loss gradient; unused where nudges are auto-ranged.
        auto_range: Scale every sample's nudge so that its largest current is `range_fraction` of what the nudge
            converter can express, and divide the contrast by the same factor. None decides by the counterpart: on
            where it is quantized. Without effect where nothing limits the nudge.
        range_fraction: Share of the nudge range that auto-ranging aims at.
        dither: Add a uniform random part of one code to every nudge before it is rounded: rounding errors are then
            noise that averages out over samples, instead of small errors that never leave code 0.
        points: Nudged phases of a centered estimate, an even number. More than two are the higher central differences
            of the nudge strength, beta the largest: the error is of order `beta ** points` where the states respond
            smoothly (a neuron that reaches a rail, or a pooling window that changes its maximum, ends that). The real
            counterpart of holomorphic equilibrium propagation (Laborieux and Zenke 2022), whose complex nudges no
            circuit has.
        largest: Scale every sample's nudge, at every block, so that its largest current is this, model units, and not
            `beta` times its gradient: error currents shrink from block to block, and a contrast that has shrunk with
            them drowns in the rounding of float32. None: `beta`, or the converter's range where nudges are auto-ranged.
        jumps: What becomes of a sample that one of the two nudges moved more than `JUMP` (`jumps.py`) times as far as
            the other. Where maxima are pooled, a nudge may tip a window to another maximum, and its states jump by what
            does not shrink with the nudge; one such sample in a batch can outweigh all others. `keep`: its contrast
            counts as it is. `one_sided`: it is taken between the calmer nudge and a third phase, as long as the
            nudged ones and without a nudge, so that a free phase that had not quite come to rest does no harm. All
            phases are then contrasted at the maxima of the free states: between two nudges a tied window may change
            hands though hardly a state moves, and its gradient would go from one input to the other. Centered
            estimates of two points only.
        reciprocity: `assumed`: couplings are taken to be the same both ways. `measured`: nudged phases answer as if
            they were transposed, by what the device shows in either direction (`hil.counterparts.seam.Transposed`);
            only where the host relaxes.
        nudge: At the last block, `constant` during a phase, or `reevaluated` at every sweep (`gradients/followed.py`;
            reference only). Earlier blocks are always nudged by a constant current.
    """

    kind: Kind = "centered"
    beta: float = 0.1
    auto_range: bool | None = None
    range_fraction: float = 1.0
    dither: bool = False
    points: int = 2
    largest: float | None = None
    jumps: Jumps = "keep"
    reciprocity: Reciprocity = "assumed"
    nudge: Followed = "constant"

    __pydantic_config__: ClassVar[dict[str, object]] = {"extra": "forbid"}  # as a section of an experiment file

    def __post_init__(self) -> None:
        for name, choices in (
            ("kind", Kind),
            ("jumps", Jumps),
            ("nudge", Followed),
            ("reciprocity", Reciprocity),
        ):
            if getattr(self, name) not in get_args(choices):
                raise ValueError(f"{name} must be one of {', '.join(get_args(choices))}, got {getattr(self, name)!r}")
        for name, kind, expected in (
            ("auto_range", bool | None, "True, False or None"),
            ("dither", bool, "True or False"),
        ):
            if not isinstance(getattr(self, name), kind):
                raise ValueError(f"{name} must be {expected}, got {getattr(self, name)!r}")
        if not (is_real(self.beta) and 0 < self.beta < float("inf")):
            raise ValueError(
                f"beta must be positive and finite, got {self.beta!r}: the sign belongs to the kind of estimator"
            )
        if not (is_real(self.range_fraction) and 0 < self.range_fraction <= 1):
            raise ValueError(f"range_fraction must be in (0, 1], got {self.range_fraction!r}")
        if not is_whole(self.points, 2) or self.points not in ((2, 4, 6, 8) if self.kind == "centered" else (2,)):
            raise ValueError(f"points must be 2, 4, 6 or 8, and 2 unless centered, got {self.points!r} ({self.kind})")
        if self.largest is not None and not (is_real(self.largest) and 0 < self.largest < float("inf")):
            raise ValueError(f"largest must be positive and finite, got {self.largest!r}")
        if self.jumps == "one_sided" and (self.kind != "centered" or self.points != 2):
            raise ValueError(
                f"jumps = 'one_sided' needs a centered estimate of 2 points, got {self.kind}, {self.points}"
            )
        if self.nudge == "reevaluated" and (self.largest is not None or self.jumps != "keep"):
            raise ValueError("nudge = 'reevaluated' follows beta and the loss: it goes with neither largest nor jumps")
        if self.nudge == "reevaluated" and self.reciprocity == "measured":
            raise ValueError("nudge = 'reevaluated' needs reference:, whose couplings are reciprocal already")

    def gradients(
        self, site: Site, drive: Tensor, parameters: Parameters, free: States, loss_gradient: Tensor
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Settles the nudged phases in one transaction and contrasts the measured states; see `Rule`."""
        return self._gradients(site, drive, parameters, free, (loss_gradient,))

    def gradients_by_layer(
        self, site: Site, drive: Tensor, parameters: Parameters, free: States, loss_gradients: States
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The same with a nudge into every layer; one factor a sample, so that their proportions are the loss's.

        Nudges into hidden layers: Lin, Bal and Sengupta, arXiv 2508.15989 (intermediate error signals).
        """
        if self.reciprocity == "measured":
            raise ValueError("estimator.reciprocity = 'measured' nudges the last layer only")
        return self._gradients(site, drive, parameters, free, loss_gradients)

    def _gradients(
        self, site: Site, drive: Tensor, parameters: Parameters, free: States, parts: States
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Of a loss by the last layer's states, or by all layers'."""
        if self.nudge == "reevaluated":
            raise ValueError(
                "nudge = 'reevaluated' follows the loss, which backward() does not know: call "
                "hil.learning.gradients.followed.scores_and_loss(model, loss, inputs, labels), or use 'constant'"
            )
        levels = self.levels(site.generator)
        effective = self.effective_beta(torch.cat([p.flatten(1) for p in parts], 1), self.aim(site))
        whole = [effective.view(-1, *[1] * (p.dim() - 1)) * p for p in parts]
        nudges = [tuple(_scaled(w, -level) for w in whole) for level in levels]
        if self.dither:
            nudges = [tuple(p + _dither(p, site.nudge_step, site.generator) for p in n) for n in nudges]
        if self.jumps == "one_sided":
            nudges.append(tuple(torch.zeros_like(p) for p in parts))
        settled = site.settle(drive, [self._sent(n) for n in nudges], free)
        weights = contrast_weights(levels, effective)
        if self.jumps == "one_sided":
            settled, weights = without_jumps(settled, weights)
        phases, currents = contrasted(settled, one_sided=len(levels) == 1)
        windows = free if self.jumps == "one_sided" else None
        return site.energy.contrast(parameters, drive, phases, weights, currents, windows)

    def _sent(self, currents: States) -> Nudge:
        if len(currents) > 1:
            return ByLayer(currents)
        return Transposed(currents[0]) if self.reciprocity == "measured" else currents[0]

    def levels(self, generator: torch.Generator | None = None) -> tuple[float, ...]:
        """Nudge strengths of the phases to settle, in units of beta."""
        match self.kind:
            case "centered":
                half = self.points // 2
                return tuple(sign * j / half for j in range(half, 0, -1) for sign in (1.0, -1.0))
            case "positive":
                return (1.0,)
            case "negative":
                return (-1.0,)
            case "random_sign":
                return (1.0,) if torch.rand((), generator=generator) < 0.5 else (-1.0,)

    def aim(self, site: Site) -> float | None:
        """Largest current every sample's nudge is scaled to, model units; None: no auto-ranging."""
        wanted = site.quantized if self.auto_range is None else self.auto_range
        # a hair inside the range: rounding must not count every sample's largest nudge as clipped
        inside = self.range_fraction * (1 - 1e-6) * site.nudge_limit
        if self.largest is not None:
            return min(self.largest, inside)
        return inside if wanted and inside < float("inf") else None

    def effective_beta(self, loss_gradient: Tensor, aim: float | None) -> Tensor:
        """Factor between the negative loss gradient and the nudge, (batch,); 0 for a sample without any error.

        Args:
            loss_gradient: dL/ds_last as autograd hands it over, (batch, *last), or that of all layers side by side. The
                mean over the batch is undone, so that beta means the same at every batch size.
            aim: Largest nudge of each sample, or None for `beta` times the per-sample gradient.
        """
        largest = loss_gradient.flatten(1).abs().amax(1)
        wanted = torch.full_like(largest, self.beta * len(loss_gradient)) if aim is None else aim / largest
        # an error so small that its factor would overflow is none
        smallest = 4 * torch.finfo(largest.dtype).tiny * max(1.0, aim or 0.0)
        return torch.where(largest > smallest, wanted, torch.zeros_like(wanted))


def _scaled(nudge: Tensor, by: float) -> Tensor:
    return nudge if by == 1.0 else -nudge if by == -1.0 else by * nudge


def _dither(nudge: Tensor, step: float, generator: torch.Generator | None) -> Tensor:
    """Uniform within half a code to either side, of the nudge's shape."""
    return (torch.rand(nudge.shape, generator=generator).to(nudge) - 0.5) * step


def contrasted(settled: Settled, *, one_sided: bool) -> tuple[tuple[States, ...], tuple[Tensor, ...] | None]:
    """Phases of a contrast, and their source currents where they are measured; of one-sided pairs the free is last."""
    phases, currents = settled.nudged, settled.source_currents
    if one_sided:
        return (*phases, settled.free), None if currents is None else (*currents[1:], currents[0])
    return phases, None if currents is None else currents[1:]


def contrast_weights(levels: tuple[float, ...], effective: Tensor) -> list[Tensor]:
    """Weight of each phase's energy gradient, one (batch,) tensor a phase; of one-sided pairs the free one is last."""
    inverse = torch.where(effective > 0, 1 / effective, torch.zeros_like(effective))
    return [weight * inverse for weight in stencil(levels)]


def stencil(levels: tuple[float, ...]) -> list[float]:
    """Weights whose sum over function values at the levels is the derivative at 0; a lone level is paired with 0."""
    return list(_stencil(levels))


@cache
def _stencil(levels: tuple[float, ...]) -> tuple[float, ...]:
    nodes = torch.tensor(levels if len(levels) > 1 else (*levels, 0.0), dtype=torch.float64)
    powers = nodes.expand(len(nodes), -1) ** torch.arange(len(nodes))[:, None]
    wanted = torch.zeros(len(nodes), dtype=torch.float64)
    wanted[1] = 1.0
    return tuple(torch.linalg.solve(powers, wanted).tolist())
