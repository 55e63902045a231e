"""Energies, written once a substrate; their contrast is the gradient of equilibrium propagation.

Hopfield (ff-EBM paper, section 2): `E = sum_l G_l(s_l) - Phi`, with the primitive function
`Phi = <drive, s_1> + sum_c <P(w_c * s_pre + b_c), s_post>`. `G` holds no parameter, so only `Phi` enters the contrast.
Resistive: `hil.learning.cocontent`.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from emulator import couplings, network, neurons, packed, resistive
from emulator.ways import RULE, Ways
from firmware_specs.topology import Topology
from hil.counterparts.seam import Parameters, States
from hil.learning import cocontent


def ideal_network(
    topology: Topology, parameters: Parameters, arithmetic: packed.Arithmetic | None = None, ways: Ways = RULE
) -> network.Network:
    """The network whose equilibria minimize the energy: the parameters as they are, neurons without mismatch.

    Args:
        topology: The block.
        parameters: Its weights and biases.
        arithmetic: Packs the couplings to settle fast; omitted, they are plain and differentiable. A resistive
            network has the plain ones only.
        ways: Who chooses how packed convolutions are formed.
    """
    weights, biases = _by_index(topology, parameters)
    if topology.substrate == "resistive":
        return resistive.build(topology, weights, biases)
    units = neurons.ideal_neurons(topology)
    if arithmetic is None:
        return network.Network(topology, couplings.build(topology, weights, biases), units)
    fast = packed.pack(topology, weights, biases, arithmetic, ways)
    return network.Network(topology, fast, units, mixed=arithmetic == "mixed")


def primitive(topology: Topology, parameters: Parameters, drive: Tensor, states: States) -> Tensor:
    """`Phi` per sample, shape (batch,): minus the part of the energy that holds parameters or the drive."""
    phi = _inner(drive, states[0])
    for coupling, spec in zip(ideal_network(topology, parameters).couplings, topology.couplings, strict=True):
        phi = phi + _inner(coupling.up(states[spec.pre])[0], states[spec.post])
    return phi


def _inner(a: Tensor, b: Tensor) -> Tensor:
    """Inner product per sample, without a copy of channels-last maps."""
    return (a * b).sum(tuple(range(1, a.dim())))


def energy(topology: Topology, parameters: Parameters, drive: Tensor, states: States) -> Tensor:
    """`E` per sample, shape (batch,); infinite nowhere: states are taken to respect their rails.

    Hopfield: `G(s) = s^2 / (2 slope)` on clamped layers, `s^2 / 2` on linear ones.
    """
    if topology.substrate == "resistive":
        return cocontent.energy(topology, parameters, drive, states)
    total = -primitive(topology, parameters, drive, states)
    for layer, state in zip(topology.layers, states, strict=True):
        total = total + (state**2).flatten(1).sum(1) / (2 * layer.gain)
    return total


def contrast(
    topology: Topology,
    parameters: Parameters,
    drive: Tensor,
    phases: Sequence[States],
    weights: Sequence[Tensor],
    source_currents: Sequence[Tensor] | None = None,
    windows: States | None = None,
) -> tuple[Tensor, dict[str, Tensor]]:
    """`sum_p weights_p * dE/d(drive, theta)` at the phases' states, held fixed.

    Args:
        topology: The block.
        parameters: Its weights and biases.
        drive: (batch, *drive_shape).
        phases: Measured states of each phase.
        weights: One (batch,) tensor a phase; +1/(2 beta) and -1/(2 beta) for centered EP.
        source_currents: Measured currents (batch, *source) out of a resistive network's sources, one a phase.
        windows: States whose pooling maxima every phase is taken with; its own when omitted.

    Returns:
        Gradient by the drive, (batch, *drive_shape), and by every parameter.
    """
    if topology.substrate == "resistive":
        return cocontent.contrast(topology, parameters, drive, phases, weights, source_currents)
    fixed = {name: value.detach() for name, value in parameters.items()}
    joined = tuple(torch.cat(layers).detach() for layers in zip(*phases, strict=True))
    share = -torch.cat(list(weights))  # the energy holds -Phi, which is linear in the drive, the weights and biases
    by_drive = _weighted(joined[0], share).unflatten(0, (len(phases), len(drive))).sum(0)
    by_parameter: dict[str, Tensor] = {}
    built = couplings.build(topology, *_by_index(topology, fixed))
    for index, (coupling, spec) in enumerate(zip(built, topology.couplings, strict=True)):
        maxima = None if windows is None else windows[spec.pre]
        weight, bias = coupling.by_parameters(joined[spec.pre], _weighted(joined[spec.post], share), maxima)
        by_parameter[f"weight_{index}"] = weight
        if bias is not None:
            by_parameter[f"bias_{index}"] = bias
    return by_drive, by_parameter


def _weighted(value: Tensor, share: Tensor) -> Tensor:
    """A batch with every sample times its share."""
    return value * share.view(-1, *[1] * (value.dim() - 1))


def _by_index(topology: Topology, parameters: Parameters) -> tuple[dict[int, Tensor], dict[int, Tensor | None]]:
    """Weights and biases by the index of their coupling."""
    indices = range(len(topology.couplings))
    return {i: parameters[f"weight_{i}"] for i in indices}, {i: parameters.get(f"bias_{i}") for i in indices}
