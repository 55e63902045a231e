"""Settling in time: neuron circuits with a time constant, read after a fixed wait.

`tau ds/dt = f(z(s)) - s` for every neuron, `f` its transfer with rails. Its rest points are the equilibria of
`emulator.network.relax`; a wait of a few tau leaves states, and with them gradients, short of it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from emulator.currents import Currents, Nudge, States, Ups, restless
from emulator.looks import look_every
from emulator.network import Network, Relaxed

STEPS_PER_TAU = 8
"""Steps of the exponential integrator in one time constant."""

LOOK = 4
"""Steps between two looks at whether anything still moves."""


def run(
    network: Network,
    drive: Tensor,
    nudge: Nudge | None,
    start: States | None,
    time_s: float,
    tau_s: Sequence[float | Tensor],
    tolerance: float,
    offsets: States | None = None,
) -> Relaxed:
    """Lets every sample of a batch evolve for a time.

    Second-order exponential integration (ETD2 of Cox and Matthews 2002: the input goes on as it went in the last
    step), exact for constant input, all layers at once. Ends early when nothing is further from where it goes than a
    thousandth of the tolerance.

    Args:
        network: What evolves.
        drive: Constant current into layer 0, (batch, *layer_0).
        nudge: Current into the last layer.
        start: States at time 0; zeros when omitted.
        time_s: Duration.
        tau_s: Time constant of each layer's neurons, one number or of the layer's shape.
        tolerance: Distance from `f(z(s))`, in state units, up to which a sample counts as settled.
        offsets: Constant currents into every layer.
    """
    fastest = min(t if isinstance(t, float) else float(t.min()) for t in tau_s)
    steps = max(1, math.ceil(time_s / fastest * STEPS_PER_TAU))
    weights = [_weights(time_s / steps / torch.as_tensor(t, dtype=drive.dtype, device=drive.device)) for t in tau_s]
    states = start if start is not None else network.rest(len(drive), drive)
    move = _folded(network, drive, nudge, offsets)
    if move is None:
        currents = Currents(network, network.inflow(drive), nudge, offsets)
        flow = _Flow(lambda s: _targets(currents, s), weights)
    else:
        widths = [layer.units for layer in network.topology.layers]
        shares, trends = (
            torch.cat([w.expand(layer.shape).flatten() for w, layer in zip(of, network.topology.layers, strict=True)])
            for of in zip(*weights, strict=True)
        )
        flow = _Flow(lambda s: (move(s[0].split(widths, 1)),), [(shares, trends)])
        states = (torch.cat([s.flatten(1) for s in states], 1),)
    states, targets, taken = _evolve(flow, states, steps, tolerance, max(LOOK, look_every(drive.device)))
    if move is not None:
        states, targets = (_apart(network, one[0]) for one in (states, targets))
    distance = _distance(targets, states)
    done = distance <= tolerance
    places = None if bool(done.all()) else restless(targets, states)
    return Relaxed(states, done, torch.full_like(distance, taken, dtype=torch.int64), distance, places)


class _Flow(NamedTuple):
    """Where states go, and how fast: of every layer, or of all in one tensor."""

    targets: Callable[[States], States]
    weights: Sequence[tuple[Tensor, Tensor]]


def _evolve(flow: _Flow, states: States, steps: int, tolerance: float, every: int) -> tuple[States, States, int]:
    """States at the end, what they go to there, and the steps that were taken."""
    before: States | None = None
    for taken in range(steps):
        targets = flow.targets(states)
        if taken and taken % every == 0 and not bool((_distance(targets, states) > tolerance * 1e-3).any()):
            return states, targets, taken
        states = tuple(
            torch.addcmul(torch.lerp(s, t, share), t - past, trend)
            for s, t, past, (share, trend) in zip(states, targets, before or targets, flow.weights, strict=True)
        )
        before = targets
    return states, flow.targets(states), steps


def _folded(
    network: Network, drive: Tensor, nudge: Nudge | None, offsets: States | None
) -> Callable[[Sequence[Tensor]], Tensor] | None:
    """Targets of all layers, side by side, of their flat states; None where the network has no chain."""
    chain = network.chain
    given = [t for t in (drive, nudge, *(offsets or ())) if isinstance(t, Tensor)]
    if (
        chain is None
        or drive.device.type != "cpu"
        or callable(nudge)
        or (torch.is_grad_enabled() and any(t.requires_grad for t in given))
    ):
        return None
    own: list[list[Tensor]] = [[] for _ in chain.layers] if offsets is None else [[o] for o in offsets]
    own[0].append(drive)
    if nudge is not None:
        own[-1].append(nudge)
    constants = [layer.constant(currents) for layer, currents in zip(chain.layers, own, strict=True)]

    def targets(states: Sequence[Tensor]) -> Tensor:
        found = []
        for layer, total in zip(chain.layers, constants, strict=True):
            for term in layer.terms:
                total = torch.addmm(total, states[term.source], term.matrix, alpha=layer.alpha)
            found.append(total.clamp_(layer.low, layer.high) if layer.clamped else total)
        return torch.cat(found, 1)

    return targets


def _apart(network: Network, states: Tensor) -> States:
    layers = network.topology.layers
    parts = states.split([layer.units for layer in layers], 1)
    return tuple(s.unflatten(1, layer.shape) for s, layer in zip(parts, layers, strict=True))


def _weights(step: Tensor) -> tuple[Tensor, Tensor]:
    """Share of the way to its target that a state goes in `step` time constants, and of the target's trend."""
    share = -torch.expm1(-step)
    return share, 1 - share / step


def _targets(currents: Currents, states: States) -> States:
    network = currents.network
    ups: Ups = [currents.up(index, states) for index in range(len(network.couplings))]
    return tuple(network.neurons[n](currents.current(n, states, ups)) for n in range(len(states)))


def _distance(targets: States, states: States) -> Tensor:
    each = [(t - s).flatten(1).abs_().amax(1) for t, s in zip(targets, states, strict=True)]
    return each[0] if len(each) == 1 else torch.stack(each).amax(0)
