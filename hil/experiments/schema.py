"""What an experiment is: data, model, estimator, optimizer and run, as one checked document.

A block's feedforward part runs on the host; its output is the drive of the first energy layer. Every coupling of the
energy part adds one more layer. Reading files and `--set` overrides: `hil.experiments.experiment_file`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field, model_validator

from firmware_specs.datasheet.section import NonNegative, Positive, Section
from firmware_specs.registry import choice, registered
from hil.experiments.parts import Count, EnergyPart, LayerLoss
from hil.experiments.sections import Data, GoeInit, Run, Settling, UniformInit
from hil.learning.energies import Energy
from hil.learning.estimator import Estimator, Rule
from hil.learning.feedforward import LayerSection
from hil.learning.gradients.baseline import Implicit, Unrolled
from hil.learning.updates.update import Rewrite, Update

if TYPE_CHECKING:
    FeedforwardLayer = LayerSection
    GradientRule = Rule
    CellUpdate = Update
else:
    FeedforwardLayer = choice("layers")
    GradientRule = choice("estimators", default="centered")
    CellUpdate = choice("updates", default="rewrite")


if TYPE_CHECKING:
    AnyEnergyPart = EnergyPart | Energy
else:
    AnyEnergyPart = choice("energies", default="crossbar")


class BlockPart(Section):
    """One block of the chain.

    Attributes:
        feedforward: Layers on the host before the energy, first to last.
        energy: What the array settles.
        losses: Layers of the energy that have losses of their own in training, of the experiment's kind.
    """

    feedforward: tuple[FeedforwardLayer, ...] = ()
    energy: AnyEnergyPart
    losses: tuple[LayerLoss, ...] = ()


class Optimizer(Section):
    """Adam, AdamW or SGD with momentum; `weight_decay` is L2 for Adam and SGD.

    Attributes:
        kind: Which.
        lr: Learning rate.
        weight_decay: Of all parameters.
        momentum: Of SGD.
        max_norm: Gradients of a larger norm, over all parameters, are scaled down to it; None leaves all as they are. A
            sample close to a bifurcation answers a nudge with twenty times the gradient of its batch, and Adam
            remembers that for a thousand steps.
    """

    kind: Annotated[str, registered("optimizers")] = "adam"
    lr: Positive = 1e-3
    weight_decay: NonNegative = 0.0
    momentum: NonNegative = 0.9
    max_norm: Positive | None = None


class Schedule(Section):
    """Learning rate over the run.

    Attributes:
        kind: `constant`, or `cosine` annealing from `optimizer.lr` to `lr_min`.
        per: Cosine changes the rate after every `step` or every `epoch`.
        lr_min: Rate at the end.
        warmup: First steps, over which the rate rises from 0 to what it would be. Adam's first steps move every
            parameter by the whole rate, which in a resistive network leaves most diodes off for good.
    """

    kind: Annotated[str, registered("schedules")] = "constant"
    per: Literal["step", "epoch"] = "epoch"
    lr_min: NonNegative = 0.0
    warmup: Count = 0


class Experiment(Section):
    """An experiment.

    Attributes:
        title: One line for people.
        device: Address of the default counterpart; `--device` replaces it.
        slope: Gain of the clamped neurons of every block that states none.
        rail: Where the clamped neurons of every Hopfield block clip that states none.
        readout: A linear layer behind the last block, or `none`: the last energy layer holds the class scores.
        estimator: How gradients are obtained; `implicit` and `unrolled` differentiate the reference relaxation instead
            of measuring.
        baseline: The digital rule a study compares with (`--sweep rule=ep,implicit`), with its settings.
        update: How the cells of energy blocks follow the gradient: `rewrite`, or one of the rules by pulses of
            `hil list updates`.
        loss: `cross_entropy` or `mse` (half the squared distance to the one-hot target) of classes, `multi_label` of
            several labels, `regression` of values, or one of `hil list losses`.
    """

    title: str = ""
    device: str = "reference:"
    data: Data
    blocks: Annotated[tuple[BlockPart, ...], Field(min_length=1)]
    slope: Positive = 1.0
    rail: Positive = 1.0
    readout: Literal["linear", "none"] = "linear"
    loss: Annotated[str, registered("losses")] = "cross_entropy"
    init: Annotated[UniformInit | GoeInit, Field(discriminator="kind")] = UniformInit()
    estimator: GradientRule = Estimator()
    baseline: Annotated[Implicit | Unrolled, Field(discriminator="kind")] = Implicit()
    settle: Settling = Settling()
    optimizer: Optimizer = Optimizer()
    update: CellUpdate = Rewrite()
    schedule: Schedule = Schedule()
    run: Run = Run()

    @model_validator(mode="after")
    def _the_best_is_judged_by_validation(self) -> Experiment:
        if (self.run.keep_best or self.run.stop_after) and not self.data.validation:
            raise ValueError(
                "run.keep_best and run.stop_after judge by samples that are not tested with: set "
                "data.validation, e.g. 0.1"
            )
        return self

    @model_validator(mode="after")
    def _schedule_goes_down(self) -> Experiment:
        if self.schedule.kind == "cosine" and self.schedule.lr_min > self.optimizer.lr:
            raise ValueError(
                f"schedule.lr_min must not be above optimizer.lr = {self.optimizer.lr}, got {self.schedule.lr_min}"
            )
        return self
