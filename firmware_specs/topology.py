"""What an array computes: the layers and couplings of one energy block.

A `Topology` is the value that travels everywhere: the host builds blocks from it, a placement step maps it onto
an array, the wire carries it in CONFIGURE, and the emulator relaxes it. It knows shapes, never numbers.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    ValidationError,
    model_serializer,
    model_validator,
)

from firmware_specs.refusals import WHOLE, explain
from firmware_specs.shown import Shown

MOST_LAYERS = MOST_COUPLINGS = 127
"""As many as CONFIGURE can number."""
Size = Annotated[int, Field(gt=0, lt=2**32)]
Window = Annotated[int, Field(gt=0, lt=2**16)]
Shape = tuple[Size, ...]
Substrate = Literal["hopfield", "resistive"]
LEAST_SLOPE, MOST_SLOPE = 1e-9, 1e9


class TopologyError(ValueError):
    """A layer, coupling or topology that cannot be: which one, and what would be right."""

    def __init__(self, name: str, why: str) -> None:
        super().__init__(f"{name}: {why}")
        self.why = why


class _Record(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    if not TYPE_CHECKING:

        def __init__(self, *positional: object, **named: object) -> None:
            if positional:
                raise TypeError(
                    f"{type(self).__name__} takes its fields by name: "
                    f"{', '.join(f'{name}=...' for name in type(self).model_fields)}"
                )
            try:
                super().__init__(**named)
            except ValidationError as error:
                found = [line.removeprefix(f"{WHOLE}: ") for line in explain(error, named, type(self))]
                raise TopologyError(type(self).__name__, "; ".join(found)) from None


class Layer(_Record):
    """One layer of neuron circuits.

    Attributes:
        shape: `(units,)` for a dense layer, `(channels, height, width)` for a convolutional one.
        clamped: True: the neuron clips to the state rails, `s = clamp(slope * z, 0, rail)`; False: linear, `s = z`. In
            a resistive network: True: a diode at every node, False: a bare node.
        slope: Gain of a clamped neuron (the `a` of the ff-EBM paper); a linear layer ignores it. In a resistive
            network: voltage gain A of the bidirectional amplifier behind each node, whose output is the state (forward
            voltage gain A, backward current gain 1/A; Kendall et al. 2020, arXiv 2006.01981). 1 is no amplifier.
        rail: Upper rail of a clamped neuron; slope 1 and rail 6 are ReLU6. A device has its own and is told none:
            where all rails of a block are alike, the host measures its states in units of them (`Topology.in_rails`).
    """

    shape: Annotated[Shape, Field(min_length=1, max_length=3)]
    clamped: bool = True
    slope: Annotated[float, Field(ge=LEAST_SLOPE, le=MOST_SLOPE)] = 1.0
    rail: Annotated[float, Field(ge=LEAST_SLOPE, le=MOST_SLOPE)] = 1.0

    @model_serializer(mode="wrap")
    def _without_the_usual_rail(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Documents of devices, which have a rail of their own, do not mention it."""
        said: dict[str, Any] = write(self)
        if self.rail == 1:
            del said["rail"]
        return said

    @property
    def units(self) -> int:
        """Number of neuron circuits."""
        return math.prod(self.shape)

    @property
    def gain(self) -> float:
        """Slope of a clamped layer, 1 of a linear one."""
        return self.slope if self.clamped else 1.0

    @property
    def excitatory(self) -> int:
        """Of a diode layer, so many leading nodes are kept at or above 0 V; the rest, inhibitory, at or below."""
        return (self.units + 1) // 2


class Dense(_Record):
    """Fully connected crossbar between two layers; both are read as flat vectors.

    Cells: `(units_pre + 1, units_post)`, the last row is the bias line when `bias` is on.
    """

    kind: Literal["dense"] = "dense"
    pre: Annotated[int, Field(ge=-1, lt=MOST_LAYERS)]
    post: Annotated[int, Field(ge=0, lt=MOST_LAYERS)]
    bias: bool = True


class Conv(_Record):
    """Convolutional coupling, optionally followed by 2x2 max-pooling *inside the energy*.

    Cells: `(in_channels * kernel**2 + 1, out_channels)`, the last row is the bias line when `bias` is on.
    """

    kind: Literal["conv"] = "conv"
    pre: Annotated[int, Field(ge=-1, lt=MOST_LAYERS)]
    post: Annotated[int, Field(ge=0, lt=MOST_LAYERS)]
    kernel: Window = 3
    stride: Window = 1
    padding: Annotated[int, Field(ge=0, lt=2**16)] = 1
    pool: bool = False
    bias: bool = True

    def output_shape(self, shape: tuple[int, ...], out_channels: int) -> tuple[int, int, int]:
        """Shape after convolution and pooling of a `(channels, height, width)` input."""
        height, width = ((n + 2 * self.padding - self.kernel) // self.stride + 1 for n in shape[1:])
        return (out_channels, height // 2, width // 2) if self.pool else (out_channels, height, width)


Coupling = Annotated[Dense | Conv, Field(discriminator="kind")]


class Topology(_Record, Shown):
    """Layers and couplings of one energy block.

    The *drive* enters layer 0, the *nudge* enters the last layer. In the Hopfield substrate the drive is a bias
    current and every coupling joins two layers. In the resistive substrate the drive is the voltages of the source
    nodes, which `source` describes; the coupling with `pre = -1` joins them to layer 0, and the couplings form a chain
    of dense crossbars (Scellier, ICML 2024, arXiv 2402.11674). There the bias line feeds a current source a node.

    Raises:
        ValueError: on construction, naming the layer or coupling that does not fit.
    """

    substrate: Substrate = "hopfield"
    source: Annotated[Shape, Field(min_length=1, max_length=3)] | None = None
    layers: Annotated[tuple[Layer, ...], Field(min_length=1, max_length=MOST_LAYERS)]
    couplings: Annotated[tuple[Coupling, ...], Field(max_length=MOST_COUPLINGS)] = ()

    @model_validator(mode="after")
    def _fits(self) -> Topology:
        if (self.source is not None) != (self.substrate == "resistive"):
            raise ValueError("'source' describes the source nodes of a resistive network: give it there and only there")
        for index, coupling in enumerate(self.couplings):
            self._check(index, coupling)
        reached = {0} | {c.post for c in self.couplings}
        for index in range(len(self.layers)):
            if index not in reached:
                raise ValueError(f"layer {index} has no coupling from an earlier layer: nothing drives it")
        if self.substrate == "resistive":
            self._check_resistive()
        return self

    @property
    def rails(self) -> tuple[float, ...]:
        """Upper rails of the clamped layers, each once, ascending."""
        return tuple(sorted({layer.rail for layer in self.layers if layer.clamped}))

    @property
    def clips_at_one(self) -> bool:
        """Is this what a device can be told: does no clamped layer state a rail, which is then the device's own?"""
        return self.rails in ((), (1.0,))

    def in_rails(self) -> Topology:
        """The same network with states in units of their common rail R: clamped neurons clip to 0 .. 1.

        `s = R s'` and `z = R z'` leave weights and slopes as they are; drives, nudges and biases are R times smaller.

        Raises:
            ValueError: clamped layers have different rails, so that no unit serves all.
        """
        if len(self.rails) > 1:
            raise ValueError(f"clamped layers have different rails, {', '.join(f'{rail:g}' for rail in self.rails)}")
        layers = tuple(layer.model_copy(update={"rail": 1.0}) for layer in self.layers)
        return self.model_copy(update={"layers": layers})

    def _check_resistive(self) -> None:
        for index, layer in enumerate(self.layers):
            if layer.rail != 1:
                raise ValueError(f"layer {index}: nodes of a resistive network have no rail of their own, leave it out")
        for index, coupling in enumerate(self.couplings):
            if not isinstance(coupling, Dense):
                raise ValueError(f"couplings[{index}]: a resistive network has dense couplings only")
        joined = [(c.pre, c.post) for c in self.couplings]
        chain = [(n - 1, n) for n in range(len(self.layers))]
        if joined != chain:
            raise ValueError(f"a resistive network is a chain, its couplings join {chain}, got {joined}")

    def _check(self, index: int, coupling: Dense | Conv) -> None:
        where = f"couplings[{index}] ({coupling.kind} {coupling.pre} -> {coupling.post})"
        lowest = -1 if self.source is not None else 0
        if not lowest <= coupling.pre < len(self.layers) or coupling.post >= len(self.layers):
            raise ValueError(f"{where}: there are {len(self.layers)} layers, numbered from {lowest}")
        if coupling.pre >= coupling.post:
            raise ValueError(f"{where}: a coupling leads from an earlier layer to a later one")
        if isinstance(coupling, Conv):
            pre, post = self.shape(coupling.pre), self.shape(coupling.post)
            if len(pre) != 3 or len(post) != 3:
                raise ValueError(f"{where}: a convolution joins (channels, height, width) layers, got {pre} and {post}")
            expected = coupling.output_shape(pre, post[0])
            if expected != post:
                raise ValueError(f"{where}: maps {pre} to {expected}, but layer {coupling.post} is {post}")

    def facts(self) -> dict[str, object]:
        """Substrate, layers, couplings and cells."""
        layers = [f"{'x'.join(map(str, s.shape))}{'' if s.clamped else ' (linear)'}" for s in self.layers]
        source = [] if self.source is None else [f"{'x'.join(map(str, self.source))} (sources)"]
        couplings = [f"{c.kind} {c.pre} -> {c.post}" for c in self.couplings]
        cells = [rows * columns for rows, columns in map(self.cells, self.couplings)]
        return {
            "substrate": self.substrate,
            "layers": " - ".join([*source, *layers]),
            "couplings": ", ".join(couplings) or "none",
            "cells": " + ".join(map(str, cells)) or "none",
        }

    def shape(self, layer: int) -> tuple[int, ...]:
        """Shape of a layer; `-1` is the source nodes of a resistive network."""
        if layer == -1:
            assert self.source is not None  # noqa: S101 - validated on construction
            return self.source
        return self.layers[layer].shape

    @property
    def drive_shape(self) -> tuple[int, ...]:
        """Shape of one sample's drive: the first layer, or the source nodes of a resistive network."""
        return self.layers[0].shape if self.source is None else self.source

    @property
    def nudge_shape(self) -> tuple[int, ...]:
        """Shape of one sample's nudge: the last layer."""
        return self.layers[-1].shape

    def weight_shape(self, coupling: Dense | Conv) -> tuple[int, ...]:
        """Of a coupling's weights: (post, pre) dense, (out, in, k, k) convolutional."""
        pre, post = self.shape(coupling.pre), self.shape(coupling.post)
        if isinstance(coupling, Conv):
            return post[0], pre[0], coupling.kernel, coupling.kernel
        return math.prod(post), math.prod(pre)

    def cells(self, coupling: Dense | Conv) -> tuple[int, int]:
        """Rows and columns of the crossbar that holds a coupling; the last row is the bias line, if there is one."""
        pre, post = self.shape(coupling.pre), self.shape(coupling.post)
        if isinstance(coupling, Conv):
            return pre[0] * coupling.kernel**2 + coupling.bias, post[0]
        return math.prod(pre) + coupling.bias, math.prod(post)

    @property
    def update_groups(self) -> tuple[tuple[int, ...], ...]:
        """Layers that may be updated at once, in order: even then odd layers for a chain.

        Layers of one group share no coupling, so updating a group is an exact block step of coordinate descent.
        """
        neighbours: dict[int, set[int]] = {n: set() for n in range(len(self.layers))}
        for coupling in self.couplings:
            if coupling.pre >= 0:
                neighbours[coupling.pre].add(coupling.post)
                neighbours[coupling.post].add(coupling.pre)
        colour: dict[int, int] = {}
        for layer in range(len(self.layers)):
            taken = {colour[n] for n in neighbours[layer] if n in colour}
            colour[layer] = min(set(range(len(self.layers))) - taken)
        return tuple(tuple(n for n in colour if colour[n] == c) for c in range(max(colour.values()) + 1))
