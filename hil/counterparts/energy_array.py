"""`reference:` for an energy that is no crossbar network: its minimum, by a minimizer that needs the energy alone."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import torch
from torch import Tensor

from emulator.network import Stop
from firmware_specs.topology import Topology
from hil.counterparts.checks import check_currents, layered_nudges, plain_nudges
from hil.counterparts.seam import (
    Hold,
    NotFinite,
    Nudge,
    Parameters,
    Phase,
    PlacementError,
    Programmed,
    Ranges,
    Settled,
    States,
)
from hil.learning.energies.energy import Energy
from hil.learning.energies.flat import join, limits, split
from hil.learning.energies.minimize import Minimum, minimize


class EnergyArray:
    """A block that settles to the minimum of its energy.

    Args:
        energy: The energy.
        stop: Bound on the Newton steps and tolerance of the free phase.
        nudged_stop: The same of the nudged phases; as the free one's where None.
    """

    ranges = Ranges()
    nudges_every_layer = True

    def __init__(self, energy: Energy, stop: Stop, nudged_stop: Stop | None) -> None:
        self.energy, self.stop, self.nudged_stop = energy, stop, nudged_stop or stop
        self._parameters: dict[str, Tensor] | None = None

    @property
    def topology(self) -> Topology:
        """There is none: an `AttributeError`, so that this is an array without that attribute."""
        raise AttributeError(f"the energy {self.energy.name} is no crossbar network")

    def program(self, parameters: Parameters) -> Programmed:
        """Takes the parameters as they are."""
        for name, value in parameters.items():
            if not bool(value.isfinite().all()):
                raise NotFinite(f"{name}: not all values are finite")
        self._parameters = {name: value.clone() for name, value in parameters.items()}
        count = sum(value.numel() for value in parameters.values())
        return Programmed(count, count, 0)

    def settle(
        self, drive: Tensor, nudges: Sequence[Nudge] = (), start: States | None = None, reads: int = 1
    ) -> Settled:
        """Minimizes freely, then once for every nudge from there; constant nudges run as one batch."""
        if self._parameters is None:
            raise RuntimeError("nothing is programmed yet: program the array before settling it")
        check_currents(self.energy.drive_shape, self.energy.nudge_shape, self.energy.layers, drive, nudges, start)
        nudges = plain_nudges(nudges)
        with torch.no_grad():
            free = self._minimum(drive, None, start, self.stop) if start is None else _given(start)
            nudged = self._nudged(drive, nudges, free.states) if nudges else []
        phases = tuple(_phase(minimum) for minimum in (free, *nudged))
        states = [split(self.energy, minimum.states) for minimum in nudged]
        return Settled(split(self.energy, free.states), tuple(states), phases)

    def _nudged(self, drive: Tensor, nudges: Sequence[Nudge], free: Tensor) -> list[Minimum]:
        drives, starts = (
            torch.cat([drive] * len(nudges)),
            tuple(torch.cat([s] * len(nudges)) for s in split(self.energy, free)),
        )
        held = [nudge.state for nudge in nudges if isinstance(nudge, Hold)]
        constant = [nudge for nudge in nudges if isinstance(nudge, Tensor)]
        if len(held) == len(nudges):
            found = self._minimum(drives, None, (*starts[:-1], torch.cat(held)), self.nudged_stop, held=True)
        elif (spread := layered_nudges(nudges)) is not None:
            currents = tuple(torch.cat(parts) for parts in zip(*spread, strict=True))
            found = self._minimum(drives, currents, starts, self.nudged_stop)
        elif len(constant) == len(nudges):
            found = self._minimum(drives, (torch.cat(constant),), starts, self.nudged_stop)
        else:
            raise PlacementError("an energy of one's own takes constant nudges: set estimator.nudge = 'constant'")
        parts = zip(*(part.chunk(len(nudges)) for part in vars(found).values()), strict=True)
        return [Minimum(*part) for part in parts]

    def _minimum(
        self, drive: Tensor, nudge: States | None, start: States | None, stop: Stop, held: bool = False
    ) -> Minimum:
        """`nudge` has currents into the last layers, as many as it names."""
        parameters, energy = self._parameters or {}, self.energy
        units = sum(prod(shape) for shape in energy.layers)
        begin = drive.new_zeros(len(drive), units) if start is None else join(start)
        low, high = limits(energy, begin)
        fixed = torch.zeros(units, dtype=torch.bool, device=begin.device)
        if held:
            fixed[-prod(energy.nudge_shape) :] = True

        def total(vector: Tensor) -> Tensor:
            states = split(energy, vector)
            value = energy.energy(parameters, drive, states)
            for current, state in zip(nudge or (), states[-len(nudge or ()) :], strict=bool(nudge)):
                value = value - (current * state).flatten(1).sum(1)
            return value

        return minimize(total, begin, low, high, fixed, tolerance=stop.tolerance, most=stop.max_iterations)


def _given(start: States) -> Minimum:
    """States of an earlier free phase count as settled."""
    vector = join(start)
    zeros = torch.zeros(len(vector), dtype=torch.int64, device=vector.device)
    return Minimum(vector, zeros == 0, zeros, torch.zeros_like(vector[:, 0]))


def _phase(minimum: Minimum) -> Phase:
    none = torch.zeros_like(minimum.iterations)
    return Phase(minimum.settled, minimum.iterations, minimum.residual, none, none)
