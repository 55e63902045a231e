"""Exact gradients of the same blocks, to judge equilibrium propagation by and to train with instead of it.

Both rules differentiate the reference relaxation of the block's nominal parameters at the free states the array
measured. On `reference:` that is the exact gradient; on a chip it is what a digital model of the chip would give.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar, Literal

import torch
from torch import Tensor

from emulator import network
from emulator.looks import look_every
from firmware_specs.given import is_real, is_whole
from hil.counterparts.seam import Parameters, States
from hil.learning.energies import implicit
from hil.learning.energy import ideal_network
from hil.learning.estimator import Site

_ONE_SWEEP = network.Stop(max_iterations=1, tolerance=0)


REACHABLE = {torch.float32: 1e-4, torch.float64: 1e-9}
"""Relative change of an adjoint that the rounding of its precision leaves well behind."""


class AdjointError(ArithmeticError):
    """The adjoint equation of some samples did not converge; the message says of how many."""


@dataclass(frozen=True)
class Implicit:
    """Implicit differentiation at the fixed point `s = f(s, drive, theta)` of one sweep.

    Solves `adjoint = dL/ds + (df/ds)^T adjoint` by iteration, which converges at the rate of the relaxation itself,
    then `dL/dtheta = (df/dtheta)^T adjoint`. Exact through clamps and pooling wherever the fixed point is smooth. A
    poor choice for training networks whose free phase does not always settle: they have no such gradient, and
    `Unrolled` does.

    Attributes:
        kind: Names the rule in an experiment file.
        tolerance: A sample's adjoint is solved when no entry changes by more than this share of its largest one; None
            asks for what the precision of the states can give, `REACHABLE`.
        max_iterations: Bound on the iterations.
        unsolved: What happens at that bound. `refuse`: an error. `keep`: the sum so far counts, which is what
            back-propagation through so many sweeps gives at a fixed point, and what equilibrium propagation measures
            after so many nudged sweeps; for training, where some sample of some batch is always close to a bifurcation.
        over_relaxation: Of the sweep that is differentiated, 1..2. The fixed point and its gradient are the same; the
            adjoint is solved at the rate of the over-relaxed sweeps.
    """

    kind: Literal["implicit"] = "implicit"
    tolerance: float | None = None
    max_iterations: int = 5000
    unsolved: Literal["refuse", "keep"] = "refuse"
    over_relaxation: float = 1.0

    __pydantic_config__: ClassVar[dict[str, object]] = {"extra": "forbid"}

    def __post_init__(self) -> None:
        tolerated = self.tolerance is None or (is_real(self.tolerance) and 0 < self.tolerance < 1)
        if not (tolerated and is_whole(self.max_iterations, 1)):
            raise ValueError(
                "0 < tolerance < 1 and a whole number max_iterations > 0 are needed, got "
                f"{self.tolerance!r} and {self.max_iterations!r}"
            )
        if self.unsolved not in ("refuse", "keep"):
            raise ValueError(f"unsolved must be one of refuse, keep, got {self.unsolved!r}")
        network.check_over_relaxation(self.over_relaxation)

    def gradients(
        self, site: Site, drive: Tensor, parameters: Parameters, free: States, loss_gradient: Tensor
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Gradients by the drive and by every parameter; see `hil.learning.estimator.Rule`.

        Raises:
            AdjointError: not solved within the bound: the free phase is unsettled or the network barely stable.
        """
        return self.gradients_by_layer(site, drive, parameters, free, _at_the_last(free, loss_gradient))

    def gradients_by_layer(
        self, site: Site, drive: Tensor, parameters: Parameters, free: States, loss_gradients: States
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The same for a loss that looks at every layer; see `hil.learning.estimator.RuleByLayer`."""
        network_of = site.energy.topology
        if network_of is None:
            return self._of_any(site, drive, parameters, free, loss_gradients)
        source, leaves, start = _leaf(drive), {name: _leaf(p) for name, p in parameters.items()}, _leaves(free)
        with torch.enable_grad():
            net = replace(ideal_network(network_of, leaves), over_relaxation=self.over_relaxation)
            swept = network.relax(net, source, start=start, stop=_ONE_SWEEP).states
            adjoint = self._solve(swept, start, loss_gradients)
            gradients = torch.autograd.grad(swept, [source, *leaves.values()], adjoint, materialize_grads=True)
        return gradients[0], dict(zip(leaves, gradients[1:], strict=True))

    def _of_any(
        self, site: Site, drive: Tensor, parameters: Parameters, free: States, loss_gradients: States
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """By the Hessian of the energy, where there is no sweep to differentiate."""
        tolerance = self.tolerance or REACHABLE[loss_gradients[-1].dtype]
        by_drive, by_parameter, solved = implicit.gradients(
            site.energy, drive, parameters, free, loss_gradients, tolerance
        )
        if self.unsolved == "refuse" and not bool(solved.all()):
            raise AdjointError(
                f"the adjoint of {int((~solved).sum())} of {len(solved)} samples is not solved: the "
                f"minimum of {site.energy.name} is flat there, or its free phase is unsettled"
            )
        return by_drive, by_parameter

    def _solve(self, swept: States, start: States, seed: States) -> States:
        tolerance = self.tolerance or REACHABLE[seed[-1].dtype]
        every = look_every(seed[-1].device)
        adjoint = seed
        for iteration in range(1, self.max_iterations + 1):
            pulled = torch.autograd.grad(swept, start, adjoint, retain_graph=True, materialize_grads=True)
            new = tuple(s + p for s, p in zip(seed, pulled, strict=True))
            change = _largest(tuple(n - a for n, a in zip(new, adjoint, strict=True)))
            adjoint = new
            if iteration % every and iteration < self.max_iterations:
                continue
            size = _largest(new)
            unsolved = ~(change <= tolerance * size)  # NaN is not solved either
            going_on, exploded = torch.stack([unsolved.any(), ~size.isfinite().all()]).tolist()
            if not going_on:
                return adjoint
            if exploded or (iteration == self.max_iterations and self.unsolved == "refuse"):
                raise AdjointError(_complaint(unsolved, iteration))
        return adjoint


def _complaint(unsolved: Tensor, iterations: int) -> str:
    return (
        f"the adjoint of {int(unsolved.sum())} of {len(unsolved)} samples is not solved after {iterations} iterations: "
        "their free phase is unsettled or barely stable. Settle it longer, compute in float64 (run.dtype), use smaller "
        "weights, or differentiate a fixed number of sweeps (unsolved = 'keep', or estimator.kind = 'unrolled')"
    )


@dataclass(frozen=True)
class Unrolled:
    """Back-propagation through the last sweeps of the free phase (the `bptt` baseline of the ff-EBM paper).

    Memory grows with `sweeps`. Approaches `Implicit` as they grow, at the rate of the relaxation.

    Attributes:
        kind: Names the rule in an experiment file.
        sweeps: Sweeps continued from the free states and differentiated.
    """

    kind: Literal["unrolled"] = "unrolled"
    sweeps: int = 20

    __pydantic_config__: ClassVar[dict[str, object]] = {"extra": "forbid"}

    def __post_init__(self) -> None:
        if not is_whole(self.sweeps, 1):
            raise ValueError(f"sweeps must be at least 1, got {self.sweeps!r}: a whole number is expected")

    def gradients(
        self, site: Site, drive: Tensor, parameters: Parameters, free: States, loss_gradient: Tensor
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Gradients by the drive and by every parameter; see `hil.learning.estimator.Rule`."""
        return self.gradients_by_layer(site, drive, parameters, free, _at_the_last(free, loss_gradient))

    def gradients_by_layer(
        self, site: Site, drive: Tensor, parameters: Parameters, free: States, loss_gradients: States
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The same for a loss that looks at every layer; see `hil.learning.estimator.RuleByLayer`."""
        topology = site.energy.topology
        if topology is None:
            raise AdjointError(f"{site.energy.name} has no sweeps to unroll: use estimator.kind = 'implicit'")
        source, leaves = _leaf(drive), {name: _leaf(p) for name, p in parameters.items()}
        stop = network.Stop(max_iterations=self.sweeps, tolerance=0)
        with torch.enable_grad():
            states = network.relax(ideal_network(topology, leaves), source, start=free, stop=stop).states
            gradients = torch.autograd.grad(states, [source, *leaves.values()], loss_gradients, materialize_grads=True)
        return gradients[0], dict(zip(leaves, gradients[1:], strict=True))


def _at_the_last(free: States, loss_gradient: Tensor) -> States:
    """Zeros for every layer but the last."""
    return *(torch.zeros_like(state) for state in free[:-1]), loss_gradient


def _leaf(value: Tensor) -> Tensor:
    return value.detach().requires_grad_()


def _leaves(states: States) -> States:
    return tuple(_leaf(s) for s in states)


def _largest(states: States) -> Tensor:
    """Largest entry of each sample, (batch,)."""
    return torch.stack([s.flatten(1).abs().amax(1) for s in states]).amax(0)
