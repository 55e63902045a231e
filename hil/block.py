"""The energy block: an `nn.Module` whose forward settles freely and whose backward settles the nudged phases.

`loss.backward()` therefore runs the whole hybrid algorithm, back-propagation through the host's modules and
equilibrium propagation through the arrays, over any chain of the two.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from firmware_specs.topology import Conv, Topology
from hil import energy
from hil.backends.seam import Bench, Settled, States
from hil.estimator import Estimator

Observer = Callable[[Settled], None]
"""Told of every settle; a training loop collects settled fraction and clipping with it."""


class EnergyBlock(nn.Module):
    """An energy part placed on an array of a bench.

    Parameters are `weight_i` and `bias_i` for coupling `i` of the topology: (post, pre) for dense couplings,
    (out, in, k, k) for convolutional ones.

    Args:
        topology: Layers and couplings.
        bench: Open counterpart; an array is reserved on it.
        estimator: How the nudged phases are chosen and combined.
        observer: Called with the result of every settle.
        generator: Source of the `random_sign` estimator's draws.
    """

    def __init__(
        self,
        topology: Topology,
        bench: Bench,
        estimator: Estimator = Estimator(),  # noqa: B008 - immutable
        *,
        observer: Observer | None = None,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        self.topology = topology
        self.array = bench.place(topology)
        self.estimator = estimator
        self.observer = observer
        self.generator = generator
        self._quantized = bench.quantized
        self._programmed: tuple[int, ...] | None = None
        for index, coupling in enumerate(topology.couplings):
            weight, bias = _initial(topology, coupling)
            self.register_parameter(f"weight_{index}", weight)
            if bias is not None:
                self.register_parameter(f"bias_{index}", bias)

    def forward(self, drive: Tensor) -> Tensor:
        """Measured free state of the last layer, (batch, *nudge_shape), for a drive (batch, *drive_shape)."""
        self.program()
        named = dict(self.named_parameters())
        plan = _Plan(self, tuple(named))
        state: Tensor = _Settle.apply(plan, drive.unflatten(1, self.topology.drive_shape), *named.values())
        return state

    def program(self) -> None:
        """Writes the parameters to the array if they changed since the last write, never otherwise."""
        versions = self._versions()
        if versions != self._programmed:
            self.array.program({name: value.detach() for name, value in self.named_parameters()})
            self._programmed = versions

    def settle(self, drive: Tensor, nudges: list[Tensor], start: States | None = None) -> Settled:
        """One transaction on the array, reported to the observer."""
        settled = self.array.settle(drive, nudges, start)
        if self.observer is not None:
            self.observer(settled)
        return settled

    @property
    def nudge_limit(self) -> float:
        """Largest nudge to scale up to, model units; infinite where auto-ranging is off."""
        wanted = self._quantized if self.estimator.auto_range is None else self.estimator.auto_range
        return self.array.nudge_limit if wanted else float("inf")

    def get_extra_state(self) -> Tensor:
        """Whether the array holds the present parameters: after a resume it must not be written a second time."""
        return torch.tensor(self._programmed == self._versions())

    def set_extra_state(self, state: Tensor) -> None:
        """Restores `get_extra_state`; torch calls it after the parameters are loaded."""
        self._programmed = self._versions() if bool(state) else None

    def _versions(self) -> tuple[int, ...]:
        return tuple(version for p in self.parameters() for version in (id(p), p._version))


@dataclass(frozen=True)
class _Plan:
    """What the autograd function needs beside tensors."""

    block: EnergyBlock
    names: tuple[str, ...]


class _Settle(torch.autograd.Function):
    """Free phase forward, nudged phases backward (DESIGN: EP as one autograd function)."""

    @staticmethod
    def forward(ctx: Any, plan: _Plan, drive: Tensor, *parameters: Tensor) -> Tensor:
        settled = plan.block.settle(drive, [])
        ctx.plan = plan
        ctx.save_for_backward(drive, *parameters, *settled.free)
        return settled.free[-1].clone()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        plan: _Plan = ctx.plan
        block, estimator = plan.block, plan.block.estimator
        drive, *rest = ctx.saved_tensors
        parameters, start = rest[: len(plan.names)], tuple(rest[len(plan.names) :])
        strengths = estimator.strengths(block.generator)
        nudges, effective = estimator.plan(gradients[0], strengths, block.nudge_limit)
        settled = block.settle(drive, nudges, start)
        phases, weights = estimator.combine(strengths, effective, settled.free, settled.nudged)
        named = dict(zip(plan.names, parameters, strict=True))
        by_drive, by_parameter = energy.contrast(block.topology, named, drive, phases, weights)
        return None, by_drive, *(by_parameter[name] for name in plan.names)


def _initial(topology: Topology, coupling: Any) -> tuple[nn.Parameter, nn.Parameter | None]:
    """Uniform in +-1/sqrt(fan_in), as torch's own layers; drawn from torch's default generator."""
    if isinstance(coupling, Conv):
        channels = topology.shape(coupling.pre)[0]
        shape: tuple[int, ...] = (topology.shape(coupling.post)[0], channels, coupling.kernel, coupling.kernel)
    else:
        shape = (topology.layers[coupling.post].units, topology.cells(coupling)[0] - coupling.bias)
    bound = torch.tensor(shape[1:]).prod().item() ** -0.5
    weight = nn.Parameter(torch.empty(shape).uniform_(-bound, bound))
    bias = nn.Parameter(torch.empty(shape[0]).uniform_(-bound, bound)) if coupling.bias else None
    return weight, bias
