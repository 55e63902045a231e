"""Sections of an experiment whose values are told without torch, and the refusal of wrong ones."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import ConfigDict, Field, PositiveInt, ValidationError

from firmware_specs.datasheet.section import NonNegative, Plain, Positive, Section
from firmware_specs.refusals import explain
from hil.experiments.parts import Count
from hil.learning.unsettled import Unsettled


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


class Early(Plain):
    """As much of an experiment as these are; the rest is let pass."""

    model_config = ConfigDict(extra="ignore", allow_inf_nan=False)

    title: str = ""
    device: str = ""
    data: Data
    slope: Positive = 1.0
    rail: Positive = 1.0
    readout: Literal["linear", "none"] = "linear"
    init: Annotated[UniformInit | GoeInit, Field(discriminator="kind")] = UniformInit()
    settle: Settling = Settling()
    run: Run = Run()


def wrong_values(document: dict[str, object]) -> list[str]:
    """One line a value that cannot be, in the words of `firmware_specs.refusals.explain`."""
    try:
        Early.model_validate(document)
    except ValidationError as error:
        return explain(error, document, Early)
    return []
