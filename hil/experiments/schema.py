"""What an experiment is: data, model, estimator, optimizer and run, as one checked document.

A block's feedforward part runs on the host; its output is the drive of the first energy layer. Every coupling of the
energy part adds one more layer. Reading files and `--set` overrides: `hil.experiments.experiment_file`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field, PositiveInt, model_validator

from firmware_specs.datasheet.section import NonNegative, Positive, Section
from firmware_specs.registry import choice, registered
from hil.experiments.parts import Count, EnergyPart, LayerLoss
from hil.learning.energies import Energy
from hil.learning.estimator import Estimator, Rule
from hil.learning.feedforward import LayerSection
from hil.learning.gradients.baseline import Implicit, Unrolled
from hil.learning.inputs import Unsettled
from hil.learning.updates.update import Rewrite, Update

if TYPE_CHECKING:
    FeedforwardLayer = LayerSection
    GradientRule = Rule
    CellUpdate = Update
else:
    FeedforwardLayer = choice("layers")
    GradientRule = choice("estimators", default="centered")
    CellUpdate = choice("updates", default="rewrite")


class Data(Section):
    """Which data set, and how much of it.

    Attributes:
        name: A data set of `hil list data`, `npz:FILE`, `csv:FILE?target=NAME`, `folder:DIR`, or `module:function`.
        train_samples: Use only the first so many training samples of a fixed shuffle; all when omitted.
        test_samples: The same for the test samples.
        augment: Apply the source's training augmentation, if it has one.
        validation: Share of the training samples that is set apart and tested after every epoch; 0: none.
    """

    name: str
    train_samples: PositiveInt | None = None
    test_samples: PositiveInt | None = None
    augment: bool = True
    validation: Annotated[float, Field(ge=0, lt=1)] = 0.0


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


class UniformInit(Section):
    """Torch's own: uniform within +-1/sqrt(fan_in), weights times a gain.

    Attributes:
        gain: Factor of all weights, biases stay. Deep nets of slope 1 rest between their rails with less than 1.
    """

    kind: Literal["uniform"] = "uniform"
    gain: Positive = 1.0


class GoeInit(Section):
    """Spatially symmetric Gaussian kernels for every convolution, biases zero (ff-EBM paper); dense stay uniform.

    Attributes:
        variance: `V`: off-diagonal kernel entries have variance V/k.
    """

    kind: Literal["goe"]
    variance: Positive


class Settling(Section):
    """Stopping rule of the reference relaxation (real and emulated chips have theirs in the datasheet), and reading.

    Attributes:
        max_iterations: Bound on the sweeps of a free phase.
        tolerance: Largest state change in a sweep at which a sample counts as settled; 0 runs all iterations.
        nudged_max_iterations: Bound of the nudged phases; as the free one when omitted.
        nudged_tolerance: Tolerance of the nudged phases; as the free one when omitted.
        reads: Conversions of every state, averaged; on every counterpart that has converters.
        unsettled: Samples that do not settle, on every counterpart. `count`: they are counted. `leave_out`: those of a
            free phase send no gradient. `refuse`: one of them stops the run.
        convolutions: How those of a reference relaxation or an emulated chip are formed; all ways give the same states
            to rounding. `measured`: whichever is fastest on this processor, or what `CROSSBAR_HIL_CONVOLUTIONS` names.
            `rule`: alike on all processors. `direct`, `packed`, `winograd`, `winograd_packed`: this one wherever it
            serves.
    """

    max_iterations: Annotated[int, Field(gt=0, le=10**9)] = 200
    tolerance: NonNegative = 1e-5
    nudged_max_iterations: Annotated[int, Field(gt=0, le=10**9)] | None = None
    nudged_tolerance: NonNegative | None = None
    reads: PositiveInt = 1
    unsettled: Unsettled = "count"
    convolutions: Literal["measured", "rule", "direct", "packed", "winograd", "winograd_packed"] = "measured"


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


class Run(Section):
    """How long, how often, from which seed.

    Attributes:
        epochs: Passes over the training data.
        batch: Samples a step.
        eval_batch: Samples a settle when testing.
        drop_last: Leave out the last batch of an epoch where it is smaller.
        seed: Every source of randomness on the host derives from it.
        checkpoint_every: Steps between checkpoints; 0: at the end of each epoch only.
        keep_checkpoints: How many of the newest checkpoints stay.
        evaluate_every: Epochs between tests; the last epoch is always tested.
        keep_best: Keep the weights of the epoch that does best on the validation samples, and test those at the end.
        stop_after: Stop after so many epochs that did no better on the validation samples; 0: run all epochs.
        dtype: Floating-point type of the model.
        cosine_every: Steps from one comparison of the measured gradients with implicit differentiation to the next; 0:
            never. The comparison is the host's alone, it asks the counterpart for nothing.
        sync_batch_norm: With several ranks: batch norm over all ranks' samples instead of each rank's own.
    """

    epochs: PositiveInt = 10
    batch: PositiveInt = 64
    eval_batch: PositiveInt = 500
    drop_last: bool = False
    seed: Count = 0
    checkpoint_every: Count = 0
    keep_checkpoints: PositiveInt = 2
    evaluate_every: PositiveInt = 1
    keep_best: bool = False
    stop_after: Count = 0
    dtype: Literal["float32", "float64"] = "float32"
    cosine_every: Count = 0
    sync_batch_norm: bool = False


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
