"""`reference:` exact digital relaxation, no analog effects, in the dtype of the drive."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import TracebackType
from typing import ClassVar, Self

import torch
from torch import Tensor

from emulator import currents, network, packed
from emulator.chain import Chain
from emulator.couplings import channels_last
from emulator.ways import RULE, Chosen, Ways
from firmware_specs.topology import Conv, Topology
from hil.counterparts.checks import check_inputs, check_parameters, layered_nudges, plain_nudges
from hil.counterparts.energy_array import EnergyArray
from hil.counterparts.notebook import ShownBench
from hil.counterparts.seam import (
    ByLayer,
    Hold,
    Nudge,
    Parameters,
    Phase,
    Programmed,
    Ranges,
    Settled,
    States,
    Transposed,
)
from hil.learning.energies.energy import Energy
from hil.learning.energy import ideal_network


@dataclass
class ReferenceArray:
    """A block relaxed exactly.

    Attributes:
        topology: The block.
        stop: Bound and tolerance of the free phase and, unless `nudged_stop` is given, of the nudged ones.
        nudged_stop: Bound and tolerance of the nudged phases.
        arithmetic: `full`, or `mixed` with bfloat16 products in all but the last sweeps (float32 parameters only).
        over_relaxation: How far a layer moves in an update, 1..2 in units of the way to its minimum; not in resistive
            networks. None: what a dense block's weights suggest, else 1.
        ways: Who chooses how convolutions are formed.
    """

    topology: Topology
    stop: network.Stop
    nudged_stop: network.Stop | None = None
    arithmetic: packed.Arithmetic = "full"
    over_relaxation: float | None = None
    ways: Ways = RULE
    _network: network.Network | None = None
    nudges_every_layer: ClassVar[bool] = True

    def __getstate__(self) -> dict[str, object]:
        """Of a copy: its block programs it again."""
        return self.__dict__ | {"_network": None}

    @property
    def ranges(self) -> Ranges:
        """Unlimited, but for conductances."""
        return Ranges(weight=(0.0, float("inf"))) if self.topology.substrate == "resistive" else Ranges()

    def program(self, parameters: Parameters) -> Programmed:
        """Takes the parameters as they are."""
        cells = check_parameters(self.topology, parameters)
        taken = {name: value.clone() for name, value in parameters.items()}
        ideal = ideal_network(self.topology, taken, self.arithmetic, self.ways)
        self._network = replace(ideal, over_relaxation=self.over_relaxation)
        return Programmed(cells, cells, 0)

    def compiled(self, parameters: Parameters) -> bool:
        """By topology, arithmetic and type of the parameters."""
        chain = self._chain(parameters)
        return chain is not None and chain.compiled

    def calls_functions(self, parameters: Parameters) -> bool:
        """For sweeps, where torch has one thread."""
        if torch.get_num_threads() > 1:
            return False
        chain = self._chain(parameters)
        return chain is not None and chain.fits

    def _chain(self, parameters: Parameters) -> Chain | None:
        if self.topology.substrate == "resistive" or any(isinstance(c, Conv) for c in self.topology.couplings):
            return None
        return ideal_network(self.topology, parameters, self.arithmetic, self.ways).chain

    def settle(
        self, drive: Tensor, nudges: Sequence[Nudge] = (), start: States | None = None, reads: int = 1
    ) -> Settled:
        """Relaxes to the stated tolerance; constant nudges run as one batch, and `start` is taken as settled."""
        check_inputs(self.topology, drive, nudges, start)
        if self._network is None:
            raise RuntimeError("nothing is programmed yet: program the array before settling it")
        nudges = plain_nudges(nudges)
        with torch.no_grad():
            free = network.relax(self._network, drive, stop=self.stop) if start is None else network.settled(start)
            nudged = self._nudged(self._network, drive, nudges, free.states)
        phases = (free, *nudged)
        return Settled(free.states, tuple(n.states for n in nudged), tuple(_report(p) for p in phases))

    def _nudged(
        self, net: network.Network, drive: Tensor, nudges: Sequence[Nudge], start: States
    ) -> tuple[network.Relaxed, ...]:
        stop = self.nudged_stop or self.stop
        if not nudges:
            return ()
        if (spread := layered_nudges(nudges)) is not None:
            *hidden, last = (network.join(parts) for parts in zip(*spread, strict=True))
            if self.topology.substrate == "resistive":
                hidden = [current * share for current, share in zip(hidden, _shares(self.topology), strict=False)]
            offsets = (*hidden, torch.zeros_like(last))
            return network.split(network.relax(net, drive, last, start, stop, offsets, len(nudges)), len(nudges))
        held = [n.state for n in nudges if isinstance(n, Hold)]
        if held:
            if len(held) < len(nudges):
                raise ValueError("one settle either nudges the last layer or holds it, not both")
            clamped = replace(net, neurons=(*net.neurons[:-1], _Held(network.join(held))))
            return network.split(network.relax(clamped, drive, None, start, stop, copies=len(held)), len(held))
        constant = [n for n in nudges if isinstance(n, Tensor)]
        joined = network.join(constant) if len(constant) == len(nudges) else _together(nudges)
        return network.split(network.relax(net, drive, joined, start, stop, copies=len(nudges)), len(nudges))


def _shares(topology: Topology) -> list[float]:
    """Current into each layer's nodes that counts as much for the energy as one of 1 into the last layer's.

    Behind amplifiers of gain A a state is A times its node, and what comes after them weighs `1 / A^2` of what comes
    before (forward voltage gain A, backward current gain `1 / A`).
    """
    gains = [layer.gain for layer in topology.layers]
    weight, shares = gains[-1], [1.0]
    for gain in gains[-2::-1]:
        weight *= gain**2
        shares.append(gain / weight)
    return shares[::-1]


@dataclass(frozen=True)
class _Held:
    """Neurons that answer with the state they are held at, whatever current they get."""

    state: Tensor

    def __call__(self, current: Tensor) -> Tensor:
        return self.state


def _together(nudges: Sequence[Nudge]) -> currents.Nudge:
    """One nudge for a batch of stacked phases, maps among them laid out as states are."""
    parts = [n for n in nudges if not isinstance(n, Hold | Transposed | ByLayer)]
    parts = [channels_last(n) if isinstance(n, Tensor) else n for n in parts]
    return lambda state: torch.cat(
        [n(part) if callable(n) else n for n, part in zip(parts, state.chunk(len(parts)), strict=True)]
    )


def _report(phase: network.Relaxed) -> Phase:
    none = torch.zeros_like(phase.iterations)
    return Phase(phase.settled, phase.iterations, phase.residual, none, none, phase.restless)


class ReferenceBench(ShownBench):
    """As many exact arrays as the model has blocks.

    Args:
        stop: Bound and tolerance of the relaxation.
        nudged_stop: The same for nudged phases, when they differ.
        arithmetic: Of every array's relaxation.
        over_relaxation: Of every array's relaxation.
        address: The address it was opened from.
        convolutions: Who chooses how they are formed; by rule where omitted.
    """

    quantized = False
    closed = False

    def __init__(
        self,
        stop: network.Stop | None = None,
        nudged_stop: network.Stop | None = None,
        arithmetic: packed.Arithmetic = "full",
        over_relaxation: float | None = None,
        address: str = "reference:",
        convolutions: Chosen | None = None,
    ) -> None:
        self.stop = stop or network.Stop()
        self.nudged_stop = nudged_stop
        self.arithmetic = arithmetic
        self.over_relaxation = over_relaxation
        self.address = address
        self.convolutions = convolutions or Chosen(RULE)

    def place(self, topology: Topology) -> ReferenceArray:
        """Any block fits."""
        told = (self.stop, self.nudged_stop, self.arithmetic, self.over_relaxation)
        return ReferenceArray(topology, *told, self.convolutions)

    def place_energy(self, energy: Energy) -> EnergyArray:
        """Any energy: a minimizer settles it, `stop` bounding its Newton steps."""
        return EnergyArray(energy, self.stop, self.nudged_stop)

    def describe(self) -> dict[str, object]:
        """Kind and stopping rule."""
        return {
            "kind": "reference",
            "max_iterations": self.stop.max_iterations,
            "tolerance": self.stop.tolerance,
            "arithmetic": self.arithmetic,
            "over_relaxation": self.over_relaxation,
        }

    def state_dict(self) -> dict[str, Tensor]:
        """Nothing beyond the model's parameters."""
        return {}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Nothing to restore."""

    def close(self) -> None:
        """Nothing to release; its blocks refuse from now on, as they would on a device."""
        self.closed = True

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
