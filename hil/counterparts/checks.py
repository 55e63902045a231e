"""What every counterpart refuses before anything is sent to it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from firmware_specs.topology import Topology
from hil.counterparts.seam import ByLayer, Hold, NotFinite, Nudge, Parameters, PlacementError, States, Transposed


def check_inputs(topology: Topology, drive: Tensor, nudges: Sequence[Nudge], start: States | None = None) -> None:
    """`check_currents` for an array that holds a crossbar network."""
    layers = [layer.shape for layer in topology.layers]
    check_currents(topology.drive_shape, topology.nudge_shape, layers, drive, nudges, start)


def check_currents(
    drive_shape: tuple[int, ...],
    nudge_shape: tuple[int, ...],
    layers: Sequence[tuple[int, ...]],
    drive: Tensor,
    nudges: Sequence[Nudge],
    start: States | None,
) -> None:
    """Checks shapes and finiteness of a settle's currents; a nudge that follows the state is not looked into.

    Args:
        drive_shape: Of one sample.
        nudge_shape: Of one sample.
        layers: Shape of every layer of one sample.
        drive: What is driven with.
        nudges: One a phase.
        start: States of an earlier free phase, if they are given.

    Raises:
        ValueError: naming the input, what it is and what is expected. TypeError: no tensor, or no sequence of them.
    """
    if not isinstance(drive, Tensor):
        raise TypeError(f"drive: {type(drive).__name__}, expected a tensor (batch, *{drive_shape})")
    if not isinstance(nudges, Sequence):
        raise TypeError(f"nudges: {type(nudges).__name__}, expected a list, a tensor (batch, *{nudge_shape}) a phase")
    if start is not None:
        _check_start(layers, len(drive), start)
    named, expected = {"drive": drive}, {"drive": drive_shape}
    for index, nudge in enumerate(nudges):
        if isinstance(nudge, ByLayer):
            if len(nudge.currents) != len(layers):
                raise ValueError(f"nudge {index}: currents into {len(nudge.currents)} layers, there are {len(layers)}")
            for layer, current in enumerate(nudge.currents):
                named[f"nudge {index} of layer {layer}"] = current
                expected[f"nudge {index} of layer {layer}"] = layers[layer]
        if isinstance(nudge, Hold):
            named[f"held state {index}"] = nudge.state
        if isinstance(nudge, Tensor | Transposed):
            named[f"nudge {index}"] = nudge if isinstance(nudge, Tensor) else nudge.current
    for name, value in named.items():
        wanted = (len(drive), *expected.get(name, nudge_shape))
        if value.shape != wanted:
            raise ValueError(f"{name}: shape {tuple(value.shape)}, expected {wanted} (batch first)")
    _check_finite(named, "sent")


def _check_start(layers: Sequence[tuple[int, ...]], batch: int, start: States) -> None:
    """States to go on from are one tensor a layer."""
    expected = [(batch, *layer) for layer in layers]
    given = [tuple(state.shape) if isinstance(state, Tensor) else type(state).__name__ for state in start]
    if given != expected or isinstance(start, Tensor):
        raise ValueError(f"start: {given}, expected a tensor a layer of shapes {expected}")


def constant_nudges(nudges: Sequence[Nudge]) -> list[Tensor]:
    """The nudges, where all of them are currents that stay what they are.

    Raises:
        PlacementError: one follows the state, or holds it, which hardware cannot.
    """
    if any(isinstance(n, Transposed) for n in nudges):
        raise PlacementError(
            "estimator.reciprocity = 'measured' needs both directions of every coupling while the host relaxes: "
            "a device that multiplies has them, one that settles has not: --set estimator.reciprocity=assumed"
        )
    if any(isinstance(n, ByLayer) for n in nudges):
        raise PlacementError(
            "a loss that looks at earlier layers needs currents into them: reference: and devices that multiply take "
            "them, one that settles has a nudge line at its last layer only"
        )
    constant = [n for n in nudges if isinstance(n, Tensor)]
    if len(constant) < len(nudges):
        raise PlacementError(
            "estimator: a nudge that follows or holds the state (nudge = 'reevaluated', kind = 'coupled') needs "
            "reference: ; a device holds nudge currents constant: --set estimator.nudge=constant"
        )
    return constant


def plain_nudges(nudges: Sequence[Nudge]) -> list[Nudge]:
    """The nudges of symmetric couplings: their transpose is what they are."""
    return [n.current if isinstance(n, Transposed) else n for n in nudges]


def layered_nudges(nudges: Sequence[Nudge]) -> list[tuple[Tensor, ...]] | None:
    """Currents of every phase by layer; None where all nudges are for the last layer alone.

    Raises:
        ValueError: one is by layer and another is not.
    """
    spread = [n.currents for n in nudges if isinstance(n, ByLayer)]
    if spread and len(spread) < len(nudges):
        raise ValueError("one settle nudges either all layers or the last one, not both")
    return spread or None


def check_parameters(topology: Topology, parameters: Parameters) -> int:
    """Checks that every coupling has its weights and biases, of the crossbar's size and finite.

    Returns:
        Number of weights and biases.

    Raises:
        ValueError: naming the parameter, what it is and what is expected.
    """
    total, named = 0, dict[str, Tensor]()
    for index, coupling in enumerate(topology.couplings):
        rows, columns = topology.cells(coupling)
        total += rows * columns
        named |= _sized(parameters, f"weight_{index}", topology.weight_shape(coupling))
        if coupling.bias:
            named |= _sized(parameters, f"bias_{index}", (columns,))
    _check_finite(named, "written")
    return total


def _sized(parameters: Parameters, name: str, shape: tuple[int, ...]) -> dict[str, Tensor]:
    if name not in parameters:
        raise ValueError(f"{name}: missing; the block has {', '.join(sorted(parameters)) or 'no parameters'}")
    value = parameters[name]
    if value.shape != shape:
        raise ValueError(f"{name}: shape {tuple(value.shape)}, the crossbar needs {shape}")
    return {name: value}


def _check_finite(named: Mapping[str, Tensor], done: str) -> None:
    """One sum tells, many times faster than looking at each value; only one that is not finite needs the look.

    The sum over all of them makes the host wait for a GPU once.
    """
    if math.isfinite(float(sum(value.detach().sum() for value in named.values()))):
        return
    for name, value in named.items():
        if wrong := int((~torch.isfinite(value)).sum()):
            raise NotFinite(f"{name}: {wrong} values are not finite; nothing was {done}")
