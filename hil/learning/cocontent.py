"""Energy of a resistive network, its co-content, and the contrast of it that equilibrium propagation needs.

`E = sum_l k_l [ 1/2 sum_ij g_ij (s_i - v_j)^2 - sum_j b_j v_j ]` over couplings from states s (of the sources, or of
layer l - 1) to nodes v of layer l; b are current sources (Kendall et al. 2020, arXiv 2006.01981; Scellier,
arXiv 2402.11674). Diodes, rails and leaks add terms without parameters. Behind amplifiers of gain A a state is
`s = A v`, and because they draw `i_out / A`, Kirchhoff's current law in layer l is dE/dv with `k_(l-1) = A^2 k_l`;
`k_last = A_last`, so that a nudge, a current into the last nodes, pushes the last states with its own strength.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from emulator.couplings import repeated
from firmware_specs.topology import Topology
from hil.counterparts.seam import Parameters, States


def energy(topology: Topology, parameters: Parameters, drive: Tensor, states: States) -> Tensor:
    """`E` per sample, (batch,), of states that respect their diodes; drive is the source voltages."""
    total = drive.new_zeros(len(drive))
    gains, scales = _amplifiers(topology)
    pre = drive.flatten(1)
    for layer, state in enumerate(states):
        node, weight = state.flatten(1) / gains[layer], parameters[f"weight_{layer}"]
        squares = pre.square() @ weight.sum(0) / 2 + node.square() @ weight.sum(1) / 2
        term = squares - ((pre @ weight.T) * node).sum(1)
        if f"bias_{layer}" in parameters:
            term = term - node @ parameters[f"bias_{layer}"]
        total = total + scales[layer] * term
        pre = state.flatten(1)
    return total


def contrast(
    topology: Topology,
    parameters: Parameters,
    drive: Tensor,
    phases: Sequence[States],
    weights: Sequence[Tensor],
    source_currents: Sequence[Tensor] | None = None,
) -> tuple[Tensor, dict[str, Tensor]]:
    """`sum_p weights_p dE/d(drive, theta)` at measured states; the weights of a sample sum to 0 over the phases.

    A squared voltage drop is contrasted as `1/2 (x_p^2 - x_0^2) = (x_p - x_0) (x_p + x_0) / 2`, whose product over
    x = a - c expands to matrix products: nothing of size (batch, in, out), and no difference of large squares.

    Args:
        topology: The block.
        parameters: Its conductances and current sources.
        drive: Source voltages, (batch, *source).
        phases: Measured states of each phase.
        weights: One (batch,) tensor a phase.
        source_currents: Current (batch, *source) out of every source, one a phase, where it was measured; otherwise
            the drive's gradient is computed from voltages and programmed conductances.
    """
    gains, scales = _amplifiers(topology)
    column = torch.cat(list(weights[:-1])).unsqueeze(1)
    repeats = len(phases) - 1
    pre_mean, pre_change = repeated(drive.flatten(1), repeats), None
    by_parameter: dict[str, Tensor] = {}
    by_drive: Tensor | None = None
    for layer, gain in enumerate(gains):
        last = phases[-1][layer].flatten(1)
        mean = torch.cat([(p[layer].flatten(1) + last) / 2 for p in phases[:-1]])
        change = torch.cat([p[layer].flatten(1) - last for p in phases[:-1]])
        node_mean, signed = mean / gain, change * column * (scales[layer] / gain)
        by_weight = torch.addmm((signed * node_mean).sum(0).unsqueeze(1), signed.T, pre_mean, alpha=-1)
        if pre_change is not None:
            weighted = pre_change * column * scales[layer]
            by_weight += (weighted * pre_mean).sum(0)
            by_weight.addmm_(node_mean.T, weighted, alpha=-1)
        by_parameter[f"weight_{layer}"] = by_weight
        if f"bias_{layer}" in parameters:
            by_parameter[f"bias_{layer}"] = -signed.sum(0)
        if by_drive is None:
            if source_currents is None:
                into_source = -(signed @ parameters["weight_0"])
                by_drive = into_source.unflatten(0, (repeats, len(drive))).sum(0).view_as(drive)
            else:
                by_drive = scales[0] * _weighted_sum(source_currents, weights)
        pre_mean, pre_change = mean, change
    assert by_drive is not None  # noqa: S101 - a topology has at least one layer
    return by_drive, by_parameter


def _weighted_sum(values: Sequence[Tensor], weights: Sequence[Tensor]) -> Tensor:
    terms = [v * w.view(-1, *[1] * (v.dim() - 1)) for v, w in zip(values, weights, strict=True)]
    return torch.stack(terms).sum(0)


def _amplifiers(topology: Topology) -> tuple[list[float], list[float]]:
    """Voltage gain behind each layer, and the factor `k` of the coupling before it."""
    gains = [layer.gain for layer in topology.layers]
    scales = [gains[-1]] * len(gains)
    for layer in range(len(gains) - 2, -1, -1):
        scales[layer] = scales[layer + 1] * gains[layer] ** 2
    return gains, scales
