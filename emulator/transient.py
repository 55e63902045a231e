"""Settling in time: neuron circuits with a time constant, read after a fixed wait.

`tau ds/dt = f(z(s)) - s` for every neuron, `f` its transfer with rails. Its rest points are the equilibria of
`emulator.network.relax`; a wait of a few tau leaves states, and with them gradients, short of it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from emulator.network import Currents, Network, Nudge, Relaxed, States, Ups, look_every, restless

STEPS_PER_TAU = 8
"""Steps of the exponential integrator in one time constant."""


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
    step), exact for constant input, all layers at once. Ends early when nothing moves by more than a thousandth of the
    tolerance any more.

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
    currents = Currents(network, network.inflow(drive), nudge, offsets)
    states = start if start is not None else network.rest(len(drive), drive)
    distance, taken = drive.new_full((len(drive),), float("inf")), 0
    before: States | None = None
    every = look_every(drive.device)
    while taken < steps and (taken % every or bool((distance > tolerance * 1e-3).any())):
        targets = _targets(currents, states)
        distance = _distance(targets, states)
        states = tuple(
            torch.lerp(s, t, share) + (t - past) * trend
            for s, t, past, (share, trend) in zip(states, targets, before or targets, weights, strict=True)
        )
        before, taken = targets, taken + 1
    targets = _targets(currents, states)
    distance = _distance(targets, states)
    done = distance <= tolerance
    places = None if bool(done.all()) else restless(targets, states)
    return Relaxed(states, done, torch.full_like(distance, taken, dtype=torch.int64), distance, places)


def _weights(step: Tensor) -> tuple[Tensor, Tensor]:
    """Share of the way to its target that a state goes in `step` time constants, and of the target's trend."""
    share = -torch.expm1(-step)
    return share, 1 - share / step


def _targets(currents: Currents, states: States) -> States:
    network = currents.network
    ups: Ups = [currents.up(index, states) for index in range(len(network.couplings))]
    return tuple(network.neurons[n](currents.current(n, states, ups)) for n in range(len(states)))


def _distance(targets: States, states: States) -> Tensor:
    return torch.stack([(t - s).flatten(1).abs().amax(1) for t, s in zip(targets, states, strict=True)]).amax(0)
