"""What a phase carries from sweep to sweep: states, summed currents into the layers, what upward products leave."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from emulator.couplings import Coupling, Shared, channels_last, repeated
from emulator.neurons import Neurons, Past
from firmware_specs.topology import Topology

States = tuple[Tensor, ...]
Ups = list[tuple[Tensor, Shared] | None]
"""Each coupling's upward current, and what `down` shares of it; None where it has to be formed anew."""
Nudge = Tensor | Callable[[Tensor], Tensor]


def laid_out(
    drive: Tensor, nudge: Nudge | None, start: States | None, offsets: States | None
) -> tuple[Tensor, Nudge | None, States | None, States | None]:
    """Currents and states of a phase, maps with their channels side by side."""
    nudge = channels_last(nudge) if isinstance(nudge, Tensor) else nudge
    start, offsets = (None if given is None else tuple(map(channels_last, given)) for given in (start, offsets))
    return channels_last(drive), nudge, start, offsets


class Layered(Protocol):
    """What currents flow in: layers, the couplings between them, and the neurons that answer."""

    @property
    def topology(self) -> Topology:
        """Layers and couplings."""
        ...

    @property
    def couplings(self) -> Sequence[Coupling]:
        """One a coupling of the topology."""
        ...

    @property
    def neurons(self) -> tuple[Callable[..., Tensor], ...]:
        """One a layer, from summed current to state."""
        ...


@dataclass(frozen=True)
class Currents:
    """Summed currents into the layers; a state that is None is at rest, and sends nothing downwards."""

    network: Layered
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


@dataclass
class Team:
    """Samples that one thread relaxes.

    Attributes:
        currents: Into their layers.
        states: Present ones.
        ups: Every coupling's upward current.
        before: States before the last sweep whose changes were asked for.
    """

    currents: Currents
    states: list[Tensor | None]
    ups: Ups
    before: Sequence[Tensor | None] = ()

    def sweep(self, groups: Sequence[tuple[int, ...]], measure: bool) -> Tensor:
        """Moves every layer once; the largest change of each sample's states, (samples,), where it is asked for."""
        self.before = list(self.states) if measure else self.states
        for group in groups:
            self.currents.update(group, self.states, self.ups)
        if not measure:
            return torch.empty(0)
        pairs = zip(moved(self.states), self.before, strict=True)
        return torch.stack([_largest_change(new, old) for new, old in pairs]).amax(0)


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


def moved(states: Sequence[Tensor | None]) -> States:
    """States after a sweep, in which every layer moved."""
    return tuple(s for s in states if s is not None)
