"""The energy part of a block as a document: layers and couplings of a crossbar network."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, PositiveInt

from firmware_specs.datasheet.section import Positive, Section
from firmware_specs.topology import Substrate

Count = Annotated[int, Field(ge=0)]


class DensePart(Section):
    """One more layer of `units` neurons behind a fully connected crossbar.

    Attributes:
        units: Neurons of the new layer.
        bias: Give them biases, which are trained.
    """

    kind: Literal["dense"]
    units: PositiveInt
    bias: bool = True


class ConvPart(Section):
    """One more layer of `channels` maps behind a convolutional crossbar, pooled 2x2 where `pool` is set.

    Attributes:
        channels: Maps of the new layer.
        kernel: Side of the square kernel.
        stride: Step of the kernel.
        padding: Zeros around the map.
        pool: Pool 2 x 2 behind it, inside the energy.
        bias: One bias a map, which is trained.
    """

    kind: Literal["conv"]
    channels: PositiveInt
    kernel: PositiveInt = 3
    stride: PositiveInt = 1
    padding: Count = 1
    pool: bool = False
    bias: bool = True


class SkipPart(Section):
    """A coupling that jumps over layers, from layer `pre` to layer `post`, counted from 0 (residual Hopfield blocks).

    A convolution of 1 x 1 unless stated otherwise; it must map the one layer's shape to the other's.

    Attributes:
        pre: Layer it comes from; 0 is the block's input layer.
        post: Layer it goes to.
        kernel: Side of the square kernel.
        stride: Step of the kernel.
        padding: Zeros around the map.
        pool: Pool 2 x 2 behind it.
        bias: Give it biases of its own.
    """

    kind: Literal["conv", "dense"] = "conv"
    pre: Count
    post: PositiveInt
    kernel: PositiveInt = 1
    stride: PositiveInt = 1
    padding: Count = 0
    pool: bool = False
    bias: bool = False


class EnergyPart(Section):
    """The energy part of a block.

    Attributes:
        couplings: One more layer each, first to last.
        skips: Further couplings between layers that are not neighbours.
        slope: Gain of the clamped neurons, of the amplifiers in a resistive network; the experiment's when omitted.
        rail: Where clamped neurons clip, 6 (with a slope of 1) for ReLU6; the experiment's when omitted. Not in a
            resistive network.
        clamp_last: Clip the last layer too; it is linear otherwise.
        substrate: `hopfield` or `resistive`.
        kind: A crossbar network; energies of other packages have their own names and keys.
    """

    kind: Literal["crossbar"] = "crossbar"
    couplings: tuple[Annotated[DensePart | ConvPart, Field(discriminator="kind")], ...] = ()
    skips: tuple[SkipPart, ...] = ()
    slope: Positive | None = None
    rail: Positive | None = None
    clamp_last: bool = False
    substrate: Substrate = "hopfield"


class LayerLoss(Section):
    """A loss of one layer of a block, beside that of the output.

    Attributes:
        layer: Which, counted from 0, the block's input layer; the last one on any chip, earlier ones where the host
            relaxes (`reference:`, devices that multiply).
        share: Factor of this loss in the whole one, where that of the output has 1.
        readout: What makes scores of its states: a `linear` layer of its own on the host, which is trained, or `none`
            where it has as many units as there are classes.
    """

    layer: Count
    share: Positive = 1.0
    readout: Literal["linear", "none"] = "linear"
