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
from functools import cached_property

import torch
from torch import Tensor

from emulator.chain import Chain
from emulator.couplings import Coupling, Rounding, Shared, repeated
from emulator.neurons import Neurons, Past
from firmware_specs.given import is_real, is_whole
from firmware_specs.topology import Topology

States = tuple[Tensor, ...]
Ups = list[tuple[Tensor, Shared] | None]
"""Each coupling's upward current, and what `down` shares of it; None where it has to be formed anew."""
Nudge = Tensor | Callable[[Tensor], Tensor]


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
        """The same network with few tensor calls a sweep, where it is dense throughout."""
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


GPU_SWEEPS = 8
"""Sweeps between two looks at the residual on a GPU: a look makes the host wait for it."""


def look_every(device: torch.device) -> int:
    """Iterations between two looks of the host at what a torch device computed."""
    return 1 if device.type == "cpu" else GPU_SWEEPS


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
        check_every: Sweeps between looks at the residual; None: every one on the CPU, every `GPU_SWEEPS` on a GPU.
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
        offsets: Constant currents into every layer beside drive and nudge, (batch, *layer) each (read noise).
        copies: Relaxes so many phases of the same drive and start as one batch; nudge and result have
            copies * batch samples.

    Returns:
        The states and how the phase went. A nudged phase updates the groups in reverse order.
    """
    quick = _by_chain(network, drive, nudge, start, stop, offsets, copies)
    if quick is not None:
        return quick
    every = stop.check_every or look_every(drive.device)
    rounding = Rounding(coarse=network.mixed and start is not None, lead=0 if start is not None else EXACT_LEAD)
    working = replace(network, couplings=[c.begin(rounding) for c in network.couplings])
    inflow = repeated(network.inflow(drive), copies)
    sweep = Currents(working, inflow, nudge, offsets, network.pace(nudge, stop))
    samples = copies * len(drive)
    states, ups = sweep.resume(start, copies)
    groups = network.topology.update_groups
    groups = groups if nudge is None else groups[::-1]
    # a bounded nudged phase starts from exact sums and needs its small response no better than bfloat16 has it
    refreshed = network.mixed and (nudge is None or stop.tolerance > 0)
    residual = drive.new_full((samples,), float("inf"))
    iterations = torch.full((samples,), stop.max_iterations, device=drive.device)
    done = torch.zeros(samples, dtype=torch.bool, device=drive.device)
    for iteration in range(1, stop.max_iterations + 1):
        last, exact = iteration == stop.max_iterations, not rounding.coarse
        measure = stop.tolerance > 0 or last or refreshed
        before = list(states) if measure else states
        for group in groups:
            sweep.update(group, states, ups)
        if not measure:
            continue
        residual = torch.stack([_largest_change(s, old) for s, old in zip(_moved(states), before, strict=True)]).amax(0)
        now = residual <= (stop.tolerance if exact else -1)
        iterations = torch.where(now & ~done, iteration, torch.where(now, iterations, stop.max_iterations))
        done = now
        if iteration % every and not last:
            continue
        change = float(residual.amax())  # the host waits for the device here
        if exact and change <= stop.tolerance:
            break
        if refreshed:
            rounding.after(change, stop.tolerance, every)
    unsettled = stop.tolerance > 0 and not change <= stop.tolerance  # NaN is not settled either
    now_at = _moved(states)
    return Relaxed(now_at, done, iterations, residual, restless(now_at, before) if unsettled else None)


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
    bound, pace = (stop.max_iterations, stop.tolerance), network.pace(nudge, stop)
    with torch.no_grad():
        done = network.chain.relax(currents, copies * len(drive), start, bound, nudge is not None, pace)
    unsettled = stop.tolerance > 0 and not bool(done.settled.all())
    return Relaxed(
        done.states,
        done.settled,
        done.iterations,
        done.residual,
        restless(done.states, done.before) if unsettled else None,
    )


def restless(new: Sequence[Tensor], old: Sequence[Tensor | None]) -> Tensor:
    """Layer and unit of each sample's largest change, (batch, 2) int64; None is a state of zeros."""
    pairs = zip(new, old, strict=True)
    changes = [(n if o is None else n - o).detach().flatten(1).abs().max(1) for n, o in pairs]
    layer = torch.stack([c.values for c in changes]).argmax(0)
    unit = torch.stack([c.indices for c in changes]).gather(0, layer.unsqueeze(0)).squeeze(0)
    return torch.stack([layer, unit], 1)


def _largest_change(new: Tensor, old: Tensor | None) -> Tensor:
    change = new.detach().abs() if old is None else (new.detach() - old.detach()).abs_()
    return change.amax(tuple(range(1, new.dim())))


def _moved(states: Sequence[Tensor | None]) -> States:
    """States after a sweep, in which every layer moved."""
    return tuple(s for s in states if s is not None)


@dataclass(frozen=True)
class Currents:
    """Summed currents into the layers; a state that is None is at rest, and sends nothing downwards."""

    network: Network
    drive: Tensor
    nudge: Nudge | None
    offsets: States | None = None
    pace: float = 1.0

    def up(self, index: int, states: Sequence[Tensor | None]) -> tuple[Tensor, Shared]:
        """Upward current of a coupling at the present states."""
        spec, coupling = self.network.topology.couplings[index], self.network.couplings[index]
        state = states[spec.pre]
        if state is not None:
            return coupling.up(state)
        shapes = [self.network.topology.shape(layer) for layer in (spec.pre, spec.post)]
        pre, post = (self.drive.new_zeros(1, *shape) for shape in shapes)
        return coupling.resume(pre, post, len(self.drive))  # one sample at rest stands for all

    def resume(self, start: States | None, copies: int) -> tuple[list[Tensor | None], Ups]:
        """States to start from, repeated, and every coupling's upward current there; omitted, the network is at rest.

        Upward currents at rest are the biases', formed where they are needed.
        """
        if start is None:
            return [None] * len(self.network.topology.layers), [None] * len(self.network.couplings)
        pairs = zip(self.network.couplings, self.network.topology.couplings, strict=True)
        ups = [coupling.resume(start[spec.pre], start[spec.post], copies) for coupling, spec in pairs]
        return [repeated(s, copies) for s in start], [*ups]

    def update(self, group: tuple[int, ...], states: list[Tensor | None], ups: Ups) -> None:
        """Moves the layers of a group to their minimum; what they feed is then to be formed anew."""
        for layer in group:
            neurons, (current, own) = self.network.neurons[layer], self._current(layer, states, ups)
            if not isinstance(neurons, Neurons):
                states[layer] = neurons(current)
                continue
            past = self._past(current, states[layer])
            states[layer] = neurons(current, past, overwrite=own and not torch.is_grad_enabled())
        for index, coupling in enumerate(self.network.topology.couplings):
            if coupling.pre in group:
                ups[index] = None

    def _past(self, current: Tensor, state: Tensor | None) -> Past | None:
        if self.pace == 1.0:
            return None
        return Past(torch.zeros_like(current) if state is None else state, self.pace)

    def current(self, layer: int, states: Sequence[Tensor | None], ups: Ups) -> Tensor:
        """Summed current into a layer; fills in the upward currents it needs."""
        return self._current(layer, states, ups)[0]

    def _current(self, layer: int, states: Sequence[Tensor | None], ups: Ups) -> tuple[Tensor, bool]:
        """Summed current, and whether nothing else refers to its memory."""
        terms = [self.drive] if layer == 0 else []
        downward = []
        for index, coupling in enumerate(self.network.topology.couplings):
            post = states[coupling.post]
            if coupling.post == layer or (coupling.pre == layer and post is not None):
                ups[index] = formed = ups[index] or self.up(index, states)
                if coupling.post == layer:
                    terms.append(formed[0])
                elif post is not None:
                    downward.append((self.network.couplings[index], post, formed[1]))
        if self.nudge is not None and layer == len(states) - 1:
            terms.append(self._nudge(self.nudge, states[layer]))
        if self.offsets is not None:
            terms.append(self.offsets[layer])
        total = sum(terms[1:], start=terms[0])
        for between, state, shared in downward:
            total = between.add_down(total, state, shared)
        return total, len(terms) + len(downward) > 1

    def _nudge(self, nudge: Nudge, state: Tensor | None) -> Tensor:
        if isinstance(nudge, Tensor):
            return nudge
        last = self.network.topology.layers[-1]
        return nudge(self.drive.new_zeros(len(self.drive), *last.shape) if state is None else state)


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
