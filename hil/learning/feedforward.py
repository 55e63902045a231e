"""Layers of a feedforward part: the document's form and the torch module it becomes."""

from __future__ import annotations

import math
from typing import Annotated, Literal, Protocol

import torch
from pydantic import Field, PositiveInt
from torch import Tensor, nn

from firmware_specs.datasheet.section import Fraction, Positive, Section
from hil.learning.norm import MapNorm

Count = Annotated[int, Field(ge=0)]
Shape = tuple[int, ...]
PER_SAMPLE = "values_per_sample"
"""Attribute of a batch norm: how many values of a channel one sample has; 1 of flat features."""


class LayerSection(Protocol):
    """A section of an experiment that becomes a module; its `kind` is its name in the registry."""

    @property
    def kind(self) -> str:
        """Name in the registry."""
        ...

    def build(self, shape: Shape) -> nn.Module:
        """The module for inputs of a shape, without the batch.

        Raises:
            ValueError: it cannot take that shape.
        """
        ...


class Flatten(Section):
    """Any shape to a flat vector."""

    kind: Literal["flatten"]

    def build(self, shape: Shape) -> nn.Module:
        """The module."""
        return nn.Flatten()


class Linear(Section):
    """Dense layer.

    Attributes:
        units: Outputs.
        bias: Add a trained bias.
    """

    kind: Literal["linear"]
    units: PositiveInt
    bias: bool = True

    def build(self, shape: Shape) -> nn.Module:
        """The module for a flat input."""
        if len(shape) != 1:
            raise ValueError(f"linear needs a flat input, got {shape}: put a flatten before it")
        return nn.Linear(shape[0], self.units, self.bias)


class Conv(Section):
    """Convolution; the usual choice before a batch norm is `bias = false`.

    Attributes:
        channels: Maps that come out.
        kernel: Side of the square kernel.
        stride: Step of the kernel.
        padding: Zeros around the map.
        bias: Add a trained bias.
    """

    kind: Literal["conv"]
    channels: PositiveInt
    kernel: PositiveInt = 3
    stride: PositiveInt = 1
    padding: Count = 1
    bias: bool = True

    def build(self, shape: Shape) -> nn.Module:
        """The module for a (channels, height, width) input."""
        _needs_maps("conv", shape)
        return nn.Conv2d(shape[0], self.channels, self.kernel, self.stride, self.padding, bias=self.bias)


class Pool(Section):
    """Max or average pooling with a square window.

    Attributes:
        window: Side of the window, which is also its step.
    """

    kind: Literal["max_pool", "avg_pool"]
    window: PositiveInt = 2

    def build(self, shape: Shape) -> nn.Module:
        """The module for a (channels, height, width) input."""
        _needs_maps(self.kind, shape)
        return nn.MaxPool2d(self.window) if self.kind == "max_pool" else nn.AvgPool2d(self.window)


class BatchNorm(Section):
    """Batch norm.

    Attributes:
        learn: Train gain and offset; off as in the ff-EBM paper, where they stay at 1 and 0.
        momentum: Weight of the newest batch in the running statistics.
    """

    kind: Literal["batch_norm"]
    learn: bool = False
    momentum: Fraction = 0.1

    def build(self, shape: Shape) -> nn.Module:
        """The module, over channels or units."""
        norm = MapNorm if len(shape) == 3 else nn.BatchNorm1d
        built = norm(shape[0], momentum=self.momentum, affine=self.learn)
        setattr(built, PER_SAMPLE, math.prod(shape[1:]))
        return built


class Relu(Section):
    """Rectifier."""

    kind: Literal["relu"]

    def build(self, shape: Shape) -> nn.Module:
        """The module."""
        return nn.ReLU()


class MirroredSources(nn.Module):
    """`gain * [x, -x]` along the first axis after the batch.

    Source voltages of a resistive network: the negative copies stand in for negative weights, which conductances are
    not, and the gain makes up for the attenuation of resistor ladders (Scellier, arXiv 2402.11674).

    Args:
        gain: Voltage of an input of 1.0, model units.
    """

    def __init__(self, gain: float) -> None:
        super().__init__()
        self.gain = gain

    def forward(self, inputs: Tensor) -> Tensor:
        """(batch, n, ...) to (batch, 2 n, ...)."""
        scaled = inputs * self.gain
        return torch.cat([scaled, -scaled], 1)


class Mirror(Section):
    """`[x, -x]` times a gain: what the sources of a resistive network are driven with.

    Attributes:
        gain: What both halves are multiplied by.
    """

    kind: Literal["mirror"]
    gain: Positive = 1.0

    def build(self, shape: Shape) -> nn.Module:
        """The module; doubles the first axis."""
        return MirroredSources(self.gain)


def _needs_maps(what: str, shape: Shape) -> None:
    if len(shape) != 3:
        raise ValueError(f"{what} needs a (channels, height, width) input, got {shape}")
