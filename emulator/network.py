"""Relaxation of a layered network to a minimum of its energy, by block coordinate descent.

Layers that share no coupling are updated together (even, then odd ones in a chain), each to the exact minimum given
its neighbours, so the energy never rises (ff-EBM paper, section 2: full replacement, no step size), or past it by
over-relaxation, under which it does not rise either. Where a layer feeds
a pooled one, the update takes the present maxima for fixed: with states that are not negative this minimizes an upper
bound of the energy that touches it at the present state, and the energy does not rise either. A pooled layer that is
linear may be negative, and gives no such promise.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial

import torch
from torch import Tensor

from emulator import sharing
from emulator.chain import Chain
from emulator.chain_layers import Bound
from emulator.couplings import Coupling, Rounding, repeated
from emulator.currents import Currents, Nudge, States, Team, laid_out, moved, restless
from emulator.looks import between_looks, look_every
from emulator.neurons import Neurons
from firmware_specs.given import is_real, is_whole
from firmware_specs.topology import Topology


@dataclass(frozen=True)
class Network:
    """A programmed network: couplings with their weights, neurons with their transfer.

    Attributes:
        topology: Layers and the couplings between them.
        couplings: One a coupling of the topology.
        neurons: One a layer, from summed current (batch, *layer) to state.
        source: What joins the source nodes of a resistive network to layer 0.
        mixed: Whether the couplings were packed for mixed arithmetic.
        over_relaxation: How far a layer moves in an update, in units of the way to its minimum, at least 1 and below 2;
            a layer that is not of `Neurons` always goes there. None: what its weights suggest where it is dense
            throughout and a phase is to come to rest, else 1.

    Raises:
        ValueError: another over-relaxation, with which sweeps do not lower the energy.
    """

    topology: Topology
    couplings: Sequence[Coupling]
    neurons: tuple[Callable[..., Tensor], ...]
    source: Coupling | None = None
    mixed: bool = False
    over_relaxation: float | None = None

    def __post_init__(self) -> None:
        if self.over_relaxation is not None:
            check_over_relaxation(self.over_relaxation)

    @cached_property
    def chain(self) -> Chain | None:
        """The same network with few tensor calls a sweep, where it is dense throughout.

        Formed at the first settle: weights that are changed in place after it are not seen by compiled sweeps.
        """
        return Chain.of(self.topology, self.couplings, self.neurons)

    @cached_property
    def _suggested(self) -> float:
        if self.chain is None:
            return 1.0
        with torch.no_grad():
            return self.chain.over_relaxation()

    def pace(self, nudge: Nudge | None, stop: Stop) -> float:
        """Over-relaxation of a phase: a given number of sweeps, and a nudge that follows the state, take plain ones."""
        if self.over_relaxation is not None:
            return self.over_relaxation
        return 1.0 if stop.tolerance == 0 or callable(nudge) else self._suggested

    def inflow(self, drive: Tensor) -> Tensor:
        """Constant current into layer 0: the drive itself, or what the sources at these voltages send."""
        return drive if self.source is None else self.source.up(drive)[0]

    def rest(self, batch: int, like: Tensor) -> States:
        """All-zero states, the start of a free phase."""
        return tuple(like.new_zeros(batch, *layer.shape) for layer in self.topology.layers)


def check_over_relaxation(factor: float) -> float:
    """A layer that moves `factor` times as far as to its minimum lowers the energy where 1 <= factor < 2.

    Returns:
        The factor.

    Raises:
        ValueError: it is none of these.
    """
    if not (is_real(factor) and 1 <= factor < 2):
        raise ValueError(f"over_relaxation must be a number from 1 to below 2, got {factor!r}")
    return factor


EXACT_LEAD = 3
"""Exact sweeps at the start of a phase in mixed arithmetic, where no earlier states are given."""


@dataclass(frozen=True)
class Stop:
    """When a phase ends.

    Attributes:
        max_iterations: Bound on sweeps.
        tolerance: Largest change of any state in one sweep at which a sample counts as settled; the phase ends when
            all samples do. 0 runs all `max_iterations`. It is no distance to the equilibrium: where a sweep leaves a
            share r of the error, the states are still r / (1 - r) times the last change away.
        check_every: Sweeps between looks at the residual; None: every one on the CPU, `looks.GPU_SWEEPS` on a GPU.
    """

    max_iterations: int = 500
    tolerance: float = 1e-6
    check_every: int | None = None

    def __post_init__(self) -> None:
        if not is_whole(self.max_iterations, 1):
            raise ValueError(f"max_iterations: {self.max_iterations!r}, expected a whole number of at least 1")
        if not (is_real(self.tolerance) and 0 <= self.tolerance < float("inf")):
            raise ValueError(f"tolerance: {self.tolerance!r}, expected a finite number of at least 0")
        if self.check_every is not None and not is_whole(self.check_every, 1):
            raise ValueError(f"check_every: {self.check_every!r}, expected a whole number of at least 1, or None")


@dataclass(frozen=True)
class Relaxed:
    """Result of one phase.

    Attributes:
        states: One tensor a layer, (batch, *layer).
        settled: (batch,) bool.
        iterations: (batch,) sweeps until each sample settled, or the bound.
        residual: (batch,) largest change of any state in the last sweep.
        restless: (batch, 2) layer and unit that changed most in it; None where every sample settled.
    """

    states: States
    settled: Tensor
    iterations: Tensor
    residual: Tensor
    restless: Tensor | None = None


def relax(
    network: Network,
    drive: Tensor,
    nudge: Nudge | None = None,
    start: States | None = None,
    stop: Stop = Stop(),
    offsets: States | None = None,
    copies: int = 1,
) -> Relaxed:
    """Relaxes every sample of a batch.

    Args:
        network: What to relax.
        drive: Constant current into layer 0, (batch, *layer_0); voltages of the source nodes in a resistive network.
        nudge: Current into the last layer: a constant (batch, *last), or a function of the present last state.
        start: Initial states; zeros when omitted.
        stop: Bound and tolerance.
        offsets: Constant currents into every layer beside drive and nudge (read noise), (batch, *layer) each; of copies
            (copies * batch, *layer).
        copies: Relaxes so many phases of the same drive and start as one batch; nudge and result have
            copies * batch samples.

    Returns:
        The states and how the phase went. A nudged phase updates the groups in reverse order.
    """
    quick = _by_chain(network, drive, nudge, start, stop, offsets, copies)
    if quick is not None:
        return quick
    drive, nudge, start, offsets = laid_out(drive, nudge, start, offsets)
    every = stop.check_every or look_every(drive.device)
    rounding = Rounding(coarse=network.mixed and start is not None, lead=0 if start is not None else EXACT_LEAD)
    alike = not callable(nudge) and all(isinstance(n, Neurons) for n in network.neurons)
    whole, pace = slice(0, len(drive)), network.pace(nudge, stop)
    own = sharing.shares(network.couplings, len(drive)) if alike else [whole]
    teams = sharing.each(lambda s: _team(network, rounding, s, drive, nudge, start, offsets, copies, pace), own)
    groups = network.topology.update_groups
    groups = groups if nudge is None else groups[::-1]
    # a bounded nudged phase starts from exact sums and needs its small response no better than bfloat16 has it
    refreshed = network.mixed and (nudge is None or stop.tolerance > 0)
    samples = copies * len(drive)
    residual = drive.new_full((samples,), float("inf"))
    iterations = torch.full((samples,), stop.max_iterations, device=drive.device)
    done = torch.zeros(samples, dtype=torch.bool, device=drive.device)

    def sweep(measure: bool) -> list[Tensor]:
        return sharing.each(partial(Team.sweep, groups=groups, measure=measure), teams)

    iteration = 0
    while iteration < stop.max_iterations:
        stretch, exact = range(iteration + 1, min(iteration + every, stop.max_iterations) + 1), not rounding.coarse
        measured = [stop.tolerance > 0 or refreshed or i == stop.max_iterations for i in stretch]
        for iteration, changes in zip(stretch, between_looks(sweep, measured), strict=True):
            if not measured[iteration - stretch.start]:
                continue
            residual = sharing.joined(changes, copies)
            now = residual <= (stop.tolerance if exact else -1)
            iterations = torch.where(now & ~done, iteration, torch.where(now, iterations, stop.max_iterations))
            done = now
        if not measured[-1]:
            continue
        change = float(residual.amax())  # the host waits for the device here
        if exact and change <= stop.tolerance:
            break
        if refreshed:
            rounding.after(change, stop.tolerance, every)
    unsettled = stop.tolerance > 0 and not change <= stop.tolerance  # NaN is not settled either
    pairs = zip(*(moved(team.states) for team in teams), strict=True)
    now_at = tuple(sharing.joined(layer, copies) for layer in pairs)
    places = sharing.joined([restless(moved(t.states), t.before) for t in teams], copies) if unsettled else None
    return Relaxed(now_at, done, iterations, residual, places)


def _team(
    network: Network,
    rounding: Rounding,
    share: slice,
    drive: Tensor,
    nudge: Nudge | None,
    start: States | None,
    offsets: States | None,
    copies: int,
    pace: float,
) -> Team:
    """A share of the samples of a phase, ready to sweep."""
    working = replace(network, couplings=[c.begin(rounding) for c in network.couplings])
    inflow = repeated(network.inflow(sharing.part(drive, share, 1)), copies)
    own_nudge = sharing.part(nudge, share, copies) if isinstance(nudge, Tensor) else nudge
    own = None if offsets is None else tuple(sharing.part(o, share, copies) for o in offsets)
    currents = Currents(working, inflow, own_nudge, own, pace)
    begun = None if start is None else tuple(sharing.part(s, share, 1) for s in start)
    return Team(currents, *currents.resume(begun, copies))


def _by_chain(
    network: Network,
    drive: Tensor,
    nudge: Nudge | None,
    start: States | None,
    stop: Stop,
    offsets: States | None,
    copies: int,
) -> Relaxed | None:
    """`relax` where a chain serves; None where a nudge follows the state, or a gradient is to be recorded."""
    if callable(nudge) or stop.check_every is not None or drive.device.type != "cpu" or network.chain is None:
        return None
    given = [t for t in (drive, nudge, *(start or ()), *(offsets or ())) if t is not None]
    if torch.is_grad_enabled() and any(t.requires_grad for t in given):
        return None
    currents: list[list[Tensor]] = (
        [[o] for o in offsets] if offsets is not None else [[] for _ in network.topology.layers]
    )
    currents[0].append(repeated(drive, copies))
    if nudge is not None:
        currents[-1].append(nudge)
    bound, pace = Bound(stop.max_iterations, stop.tolerance), network.pace(nudge, stop)
    with torch.no_grad():
        done = network.chain.relax(currents, copies * len(drive), start, bound, nudge is not None, pace)
    places = None
    if stop.tolerance > 0 and done.before is not None and not bool(done.settled.all()):
        places = restless(done.states, done.before)
    return Relaxed(done.states, done.settled, done.iterations, done.residual, places)


def settled(states: States) -> Relaxed:
    """States taken as a phase that already ended: no sweep was spent on them here."""
    samples, device = len(states[0]), states[0].device
    return Relaxed(
        states,
        torch.ones(samples, dtype=torch.bool, device=device),
        torch.zeros(samples, dtype=torch.long, device=device),
        states[0].new_zeros(samples),
    )


def join(networks_input: Sequence[Tensor]) -> Tensor:
    """Stacks phases along the batch, so that several nudged phases run as one batch."""
    return torch.cat(list(networks_input))


def split(relaxed: Relaxed, phases: int) -> tuple[Relaxed, ...]:
    """Takes a stacked batch of equal phases apart again."""
    parts = [layer.chunk(phases) for layer in relaxed.states]
    places = [None] * phases if relaxed.restless is None else relaxed.restless.chunk(phases)
    fields = zip(
        relaxed.settled.chunk(phases), relaxed.iterations.chunk(phases), relaxed.residual.chunk(phases), strict=True
    )
    return tuple(
        replace(relaxed, states=tuple(p[k] for p in parts), settled=s, iterations=i, residual=r, restless=places[k])
        for k, (s, i, r) in enumerate(fields)
    )
