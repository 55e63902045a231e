"""Compares a counterpart's gradient with implicit differentiation in float64 (ff-EBM paper, static comparison)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from emulator.network import Stop
from emulator.streams import generator
from hil import data
from hil.counterparts.reference import ReferenceBench
from hil.counterparts.seam import Bench, Settled
from hil.data import DataError
from hil.experiments.schema import Experiment
from hil.learning import layer_losses
from hil.learning.estimator import Estimator, Rule
from hil.learning.gradients.baseline import Implicit, Unrolled
from hil.learning.loss import task
from hil.learning.model import build, energy_blocks, set_rule

EXACT = Stop(max_iterations=20_000, tolerance=1e-13)
"""Free phases of the comparison: to the floor of float64."""
STRAIGHT = 1e-6
"""Largest share of a response that may be curved for a sample to count as differentiable within beta."""
ROUNDING = 1e-9
"""Share of the whole gradient's norm below which one parameter's is rounding."""

Gradients = dict[str, Tensor]


@dataclass(frozen=True)
class Samples:
    """What the gradients are taken on.

    Attributes:
        images: Model input, float64.
        labels: (n,) int64.
        classes: Width of the output.
        note: Where the images come from.
        kept: (n,) bool: whose loss counts.
    """

    images: Tensor
    labels: Tensor
    classes: int
    note: str
    kept: Tensor

    def first(self, count: int) -> Samples:
        """The first so many, all of them kept."""
        return replace(
            self, images=self.images[:count], labels=self.labels[:count], kept=torch.ones_like(self.kept[:count])
        )


@dataclass(frozen=True)
class Agreement:
    """Of two gradients of one parameter: cosine of their angle, and norm of the first over that of the second."""

    cosine: float
    norm_ratio: float


@dataclass(frozen=True)
class Gradcheck:
    """Result of a comparison.

    Attributes:
        parameters: One agreement a parameter, host parameters included.
        settled: Share of the phases that came to rest on the counterpart.
        left_out: Samples whose loss does not count, because their equilibrium has no derivative within +-beta.
    """

    parameters: dict[str, Agreement]
    settled: float
    left_out: int

    @property
    def min_cosine(self) -> float:
        """Worst cosine of any parameter; NaN where one is not a number."""
        return float(np.min([a.cosine for a in self.parameters.values()]))

    @property
    def max_norm_error(self) -> float:
        """Largest deviation of any norm ratio from one; NaN where one is not a number."""
        return float(np.max([abs(a.norm_ratio - 1) for a in self.parameters.values()]))

    def document(self) -> dict[str, object]:
        """As JSON values."""
        return {
            "parameters": {n: {"cosine": a.cosine, "norm_ratio": a.norm_ratio} for n, a in self.parameters.items()},
            "min_cosine": self.min_cosine,
            "max_norm_error": self.max_norm_error,
            "settled": self.settled,
            "left_out": self.left_out,
        }


def samples(experiment: Experiment, root: Path, count: int) -> Samples:
    """The first test images of an experiment; random ones of their shape where its data set is absent.

    Raises:
        DataError: the experiment names no known data set.
    """
    name = experiment.data.name
    data.source(name)
    try:
        dataset = data.load(experiment.data, root)
        classes = dataset.classes
    except DataError as error:
        if name not in data.FORMS:
            raise
        shape, classes = data.FORMS[name]
        draw = generator(torch.device("cpu"), experiment.run.seed, "gradcheck images")
        images = torch.rand(count, *shape, generator=draw, dtype=torch.float64)
        labels = torch.randint(classes, (count,), generator=draw)
        return Samples(images, labels, classes, f"{count} random images: {error}", torch.ones(count, dtype=torch.bool))
    images = dataset.prepare(dataset.test.images[:count], torch.device("cpu"), torch.float64)
    kept = torch.ones(len(images), dtype=torch.bool)
    return Samples(images, dataset.test.labels[:count], classes, f"{len(images)} test images of {name}", kept)


def differentiable(experiment: Experiment, estimator: Estimator, given: Samples) -> Samples:
    """Leaves out the samples whose equilibrium has no derivative within +-beta on the exact model.

    There a neuron meets its rail or pooling changes its maximum, and no method has a gradient to compare with: the
    responses to +beta and -beta are not mirror images. Everywhere else they are, to rounding, in a piecewise linear
    network.

    Raises:
        DataError: no sample is left.
    """
    for _ in range(5):
        seen: list[Settled] = []
        gradients(experiment, ReferenceBench(EXACT), replace(estimator, kind="centered"), given, seen)
        bent = torch.stack([_bent(settled) for settled in seen if settled.nudged]).any(0) & given.kept
        if not bool(bent.any()):
            break
        given = replace(given, kept=given.kept & ~bent)
    if not bool(given.kept.any()):
        raise DataError(f"no sample is differentiable within beta = {estimator.beta}: choose a smaller --beta")
    return given


def _bent(settled: Settled) -> Tensor:
    """Whose mean of the most nudged states lies off the free ones by more than a share of their distance, (batch,)."""
    up, down = (torch.cat([s.flatten(1) for s in states], 1) for states in settled.nudged[:2])
    free = torch.cat([s.flatten(1) for s in settled.free], 1)
    return ((up + down) / 2 - free).norm(dim=1) > STRAIGHT * (up - down).norm(dim=1)


def check(experiment: Experiment, bench: Bench, estimator: Estimator, given: Samples) -> Gradcheck:
    """Gradients by equilibrium propagation on a counterpart against implicit differentiation of the exact model.

    Args:
        experiment: Whose model, at its initial weights, in float64.
        bench: Where the free and nudged phases settle.
        estimator: How they are nudged.
        given: Images and labels of the one batch.
    """
    seen: list[Settled] = []
    measured = gradients(experiment, bench, estimator, given, seen)
    exact = gradients(experiment, ReferenceBench(EXACT), Implicit(tolerance=1e-12), given)
    phases = torch.cat([phase.settled.double() for settled in seen for phase in settled.phases])
    floor = ROUNDING * float(torch.cat([g.flatten() for g in exact.values()]).norm())
    parameters = {name: agreement(measured[name], exact[name], floor) for name in exact}
    return Gradcheck(parameters, float(phases.mean()), int((~given.kept).sum()))


def gradients(
    experiment: Experiment, bench: Bench, rule: Rule, given: Samples, seen: list[Settled] | None = None
) -> Gradients:
    """Gradient of the kept samples' mean loss by every parameter of the initial model; `seen` collects its settles."""
    model = initial_model(experiment, bench, given)
    set_rule(model, rule)
    for block in energy_blocks(model).values():
        block.observer = block.observer if seen is None else seen.append
    whole, kept = task(experiment.loss).loss, given.kept

    def of_kept(scores: Tensor, labels: Tensor) -> Tensor:
        return whole(scores[kept], labels[kept])

    layer_losses.run(model, of_kept, given.images, given.labels)[1].backward()
    return {name: p.grad.double() for name, p in model.named_parameters() if p.grad is not None}


def initial_model(experiment: Experiment, bench: Bench, given: Samples) -> nn.Sequential:
    """The experiment's model at its initial weights, in float64 and training mode."""
    run = experiment.run.model_copy(update={"dtype": "float64"})
    shape = tuple(given.images.shape[1:])
    return build(experiment.model_copy(update={"run": run}), bench, shape, given.classes)


def agreement(measured: Tensor, exact: Tensor, floor: float = 0.0) -> Agreement:
    """Cosine and norm ratio.

    Args:
        measured: One gradient.
        exact: The other.
        floor: Norm up to which a gradient is zero but for rounding, as that of a bias before batch norm is. Where both
            vanish they agree, where only the exact one does they do not.
    """
    norms = float(measured.norm()), float(exact.norm())
    if norms[1] <= floor:
        return Agreement(1.0, 1.0) if norms[0] <= floor else Agreement(0.0, 0.0)
    cosine = float((measured * exact).sum()) / (norms[0] * norms[1]) if norms[0] else 0.0
    return Agreement(cosine, norms[0] / norms[1])


@dataclass(frozen=True)
class Curves:
    """How the two gradients build up, sweep by sweep, on the reference.

    Attributes:
        sweeps: Sweeps of the nudged phases, and of the free phase that are differentiated.
        propagation: One gradient a number of sweeps, by equilibrium propagation.
        unrolled: The same by back-propagation through the last sweeps of the free phase.
    """

    sweeps: Sequence[int]
    propagation: Sequence[Gradients]
    unrolled: Sequence[Gradients]


def has_sweeps(experiment: Experiment, given: Samples) -> bool:
    """Whether every block relaxes in sweeps, as crossbar networks do, that a truncated gradient can be taken from."""
    model = initial_model(experiment, ReferenceBench(EXACT), given)
    return all(block.energy.topology is not None for block in energy_blocks(model).values())


def curves(experiment: Experiment, estimator: Estimator, given: Samples, sweeps: Sequence[int]) -> Curves:
    """Both gradients truncated to few sweeps; for small beta they agree at every number (ff-EBM paper, figure 3)."""
    nudged = [
        gradients(experiment, ReferenceBench(EXACT, Stop(count, tolerance=0)), estimator, given) for count in sweeps
    ]
    unrolled = [gradients(experiment, ReferenceBench(EXACT), Unrolled(sweeps=count), given) for count in sweeps]
    return Curves(sweeps, nudged, unrolled)
